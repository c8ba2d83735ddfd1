"""The reply cache: what is kept, for how long, what a hit costs; on both ledgers."""

import asyncio
import dataclasses
import json
import random
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from airflow_agent_provider.core.effects import CallModel
from airflow_agent_provider.core.messages import (
    Message,
    ModelReply,
    ToolRequest,
    Usage,
    reply_from_json,
    to_json,
)
from airflow_agent_provider.drivers.endpoint import Endpoint
from airflow_agent_provider.drivers.http import HttpModel
from airflow_agent_provider.exceptions import ModelUnavailable
from airflow_agent_provider.ledger.cache import CachedModel, LedgerCache
from airflow_agent_provider.ledger.control import LedgerControl, Terms
from airflow_agent_provider.ledger.database import SQLiteDatabase
from airflow_agent_provider.routing.price import StatedPrice
from airflow_agent_provider.wire.openai_chat import OpenAIChat

CALL = CallModel((Message("user", "How many rows?"),), max_tokens=100)
REPLY = ModelReply(
    "12 rows", (ToolRequest("1", "query", {"sql": "x"}),), "tool_calls", Usage(9, 3), "m", "r", 7
)


class Clock:
    """Held by hand."""

    now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def shared(store):
    """A ledger on each of the databases that it may live in."""
    return store.open()


@pytest.fixture
def database(tmp_path):
    database = SQLiteDatabase(tmp_path / "l.sqlite", hold=True)
    yield database
    database.close()


def rows(database):
    with database.read() as statements:
        return statements.execute("SELECT key, size FROM agent_reply_cache ORDER BY stored_at, key")


# The store


def test_a_reply_comes_back_whole_marked_and_free(shared, clock):
    """Text, requests and the server's own ids; no token was used for it."""
    cache = LedgerCache(shared, ttl_s=60, clock=clock)
    cache.keep("k", "llm", REPLY)
    assert cache.find("k") == dataclasses.replace(REPLY, usage=Usage(), cost_micros=0, cached=True)
    assert cache.find("other") is None


def test_a_reply_is_good_for_its_time_to_live(shared, clock):
    """And not a moment longer; a shorter time to live holds for what is there already."""
    cache = LedgerCache(shared, ttl_s=60, clock=clock)
    cache.keep("k", "llm", REPLY)
    clock.now += 30
    assert cache.find("k")
    assert LedgerCache(shared, ttl_s=20, clock=clock).find("k") is None
    clock.now += 30
    assert cache.find("k") is None


def test_expired_rows_are_removed(shared, clock):
    """By the next one that is kept."""
    cache = LedgerCache(shared, ttl_s=60, clock=clock)
    cache.keep("old", "llm", REPLY)
    clock.now += 61
    cache.keep("new", "llm", REPLY)
    assert [row["key"] for row in rows(shared)] == ["new"]


def test_a_newer_reply_replaces_the_older(shared, clock):
    """Under the same key, with a new lease."""
    cache = LedgerCache(shared, ttl_s=60, clock=clock)
    cache.keep("k", "llm", REPLY)
    clock.now += 50
    cache.keep("k", "llm", dataclasses.replace(REPLY, text="13 rows"))
    clock.now += 50
    assert cache.find("k").text == "13 rows"


def test_the_table_stays_within_its_bytes_and_the_oldest_go(shared, clock):
    """Whatever is kept, the sum of the sizes passes the bound never."""
    size = len(json.dumps(to_json(REPLY)))
    cache = LedgerCache(shared, ttl_s=10_000, max_bytes=10 * size, clock=clock)
    for number in range(40):
        clock.now += 1
        cache.keep(f"k{number:02}", "llm", REPLY)
        assert sum(row["size"] for row in rows(shared)) <= 10 * size
    kept = [row["key"] for row in rows(shared)]
    assert kept == [f"k{number:02}" for number in range(40 - len(kept), 40)]
    assert len(kept) >= 9


def test_a_very_large_reply_is_not_kept(shared, clock):
    """It would drive out all others."""
    cache = LedgerCache(shared, ttl_s=60, clock=clock)
    cache.keep("k", "llm", dataclasses.replace(REPLY, text="x" * 300_000))
    assert cache.find("k") is None


def test_a_connections_replies_can_be_forgotten(shared, clock):
    """For those who asked what lies there, and the others stay."""
    cache = LedgerCache(shared, ttl_s=60, clock=clock)
    cache.keep("k", "llm", REPLY)
    cache.keep("o", "other", REPLY)
    cache.forget("llm")
    assert cache.find("k") is None
    assert cache.find("o")


def test_workers_that_make_room_at_once_do_not_get_in_each_others_way(store, clock):
    """Four of them keep the same few keys, with room for hardly any."""

    def work(seed):
        draw = random.Random(seed)
        cache = LedgerCache(store.open(hold=True), ttl_s=60, max_bytes=2000)
        for _ in range(25):
            cache.keep(f"k{draw.randrange(6)}", "llm", ModelReply("x" * draw.randrange(300)))
        cache.database.close()

    LedgerCache(store.open(), ttl_s=60, clock=clock).find("makes the table")
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(work, range(4))) == [None] * 4


def test_replies_of_older_journals_are_read():
    """They lack the younger fields."""
    old = to_json(REPLY)
    del old["connection"], old["cached"]
    assert reply_from_json(old) == REPLY
    marked = dataclasses.replace(REPLY, connection="cheap", cached=True)
    assert reply_from_json(json.loads(json.dumps(to_json(marked)))) == marked


# The model in front of it


def answer(content="12 rows", finish="stop"):
    message = {"role": "assistant", "content": content}
    return {
        "choices": [{"message": message, "finish_reason": finish}],
        "usage": {"prompt_tokens": 9, "completion_tokens": 3},
    }


class Server:
    """Counts what it was asked; ``body`` is what it answers."""

    def __init__(self, body=None, status=200):
        self.body, self.status, self.served = body or answer(), status, []

    def __call__(self, request):
        self.served.append(request)
        return httpx.Response(self.status, content=json.dumps(self.body))


def model(database, server, *, clock, on_call=None, ttl_s=60, wire=None, key=None, **fields):
    fields = {"model": "m", "base_url": "http://127.0.0.1", "max_retries": 0, **fields}
    endpoint = Endpoint("connection 'llm'", key=key, **fields)
    control = LedgerControl(database, Terms("llm", "m", price=StatedPrice(1, 1)), on_call=on_call)
    http = HttpModel(
        wire or OpenAIChat(), endpoint, open_transport=lambda _: httpx.MockTransport(server), control=control
    )
    cache = LedgerCache(database, ttl_s=ttl_s, clock=clock)
    return CachedModel(http, cache, connection="llm", on_call=on_call)


def ask(one, call=CALL):
    return asyncio.run(one.answer(call))


def test_the_second_time_nothing_is_asked(database, clock):
    """Another process, which knows nothing but the ledger, is served as well."""
    server = Server()
    first = ask(model(database, server, clock=clock))
    second = ask(model(database, server, clock=clock))
    assert len(server.served) == 1
    assert (first.text, first.cached, first.usage.total_tokens, first.cost_micros) == (
        "12 rows",
        False,
        12,
        12,
    )
    assert (second.text, second.cached, second.usage.total_tokens, second.cost_micros) == (
        "12 rows",
        True,
        0,
        0,
    )


def test_a_hit_is_counted_as_cached(database, clock):
    """So that calls answered by the server and by the cache can be told apart."""
    records = []
    one = model(database, Server(), clock=clock, on_call=records.append)
    ask(one)
    ask(one)
    assert [(one.endpoint, one.model, one.outcome, one.cost_micros) for one in records] == [
        ("llm", "m", "answered", 12),
        ("llm", "m", "cached", 0),
    ]


def test_after_its_time_a_reply_is_asked_for_again(database, clock):
    """The time to live is the connection's."""
    server = Server()
    one = model(database, server, clock=clock, ttl_s=60)
    ask(one)
    clock.now += 61
    assert not ask(one).cached
    assert len(server.served) == 2


@pytest.mark.parametrize(
    "changed",
    [
        dataclasses.replace(CALL, messages=(Message("user", "How many columns?"),)),
        dataclasses.replace(CALL, max_tokens=101),
        dataclasses.replace(CALL, schema={"type": "object"}),
    ],
)
def test_another_question_is_another_entry(database, clock, changed):
    """Prompt, bound and schema are part of it."""
    server = Server(answer("{}"))
    one = model(database, server, clock=clock)
    ask(one)
    ask(one, changed)
    assert len(server.served) == 2


@pytest.mark.parametrize(
    "changed",
    [
        {"model": "m2"},
        {"base_url": "http://127.0.0.2"},
        {"max_tokens": 50},
        {"headers": {"x-mode": "careful"}},
        {"wire": OpenAIChat(extra_body={"seed": 2})},
    ],
)
def test_whom_is_asked_is_part_of_the_question(database, clock, changed):
    """A connection that is changed finds nothing old."""
    server = Server()
    ask(model(database, server, clock=clock))
    ask(model(database, server, clock=clock, **changed))
    assert len(server.served) == 2


def test_a_new_key_keeps_the_cache(database, clock):
    """Keys are renewed, and no answer depends on them."""
    server = Server()
    ask(model(database, server, clock=clock, key="sk-old"))
    ask(model(database, server, clock=clock, key="sk-new", headers={"x-api-key": "other"}))
    assert len(server.served) == 1


def test_what_is_drawn_at_random_is_never_kept(database, clock):
    """Who asks for variety gets it."""
    server = Server()
    one = model(database, server, clock=clock)
    warm = dataclasses.replace(CALL, temperature=0.7)
    ask(one, warm)
    ask(one, warm)
    assert len(server.served) == 2


@pytest.mark.parametrize(
    ("body", "schema"),
    [
        (answer("12 ro", "length"), None),
        (answer("I cannot", "content_filter"), None),
        (answer("12 rows", "strange"), None),
        (answer(""), None),
        (answer("12 rows"), {"type": "object"}),
    ],
)
def test_what_is_no_good_answer_is_not_kept(database, clock, body, schema):
    """Truncated, refused, ended for an unknown reason, empty, or not what the schema wants."""
    server = Server(body)
    one = model(database, server, clock=clock)
    for _ in range(2):
        assert not ask(one, dataclasses.replace(CALL, schema=schema)).cached
    assert len(server.served) == 2


def test_an_error_is_not_kept(database, clock):
    """The next call asks again."""
    server = Server(status=500)
    one = model(database, server, clock=clock)
    with pytest.raises(ModelUnavailable):
        ask(one)
    server.status = 200
    assert ask(one).text == "12 rows"


def test_a_hit_is_served_while_the_server_is_down(database, clock):
    """Nothing is sent, so no breaker is asked."""
    server = Server()
    one = model(database, server, clock=clock)
    ask(one)
    server.status = 500
    assert ask(one).cached


def test_without_a_ledger_the_server_is_asked(tmp_path, clock):
    """A folder stands where the file should be: the cache fails open."""
    (tmp_path / "l.sqlite").mkdir()
    server = Server()
    one = model(SQLiteDatabase(tmp_path / "l.sqlite"), server, clock=clock)
    assert [ask(one).cached, ask(one).cached] == [False, False]


def test_a_ledger_that_is_busy_is_waited_for_beside_the_event_loop(database, tmp_path, clock):
    """Another process writes while the reply is to be kept."""
    other = SQLiteDatabase(tmp_path / "l.sqlite")
    one = model(database, Server(), clock=clock)
    ask(one, dataclasses.replace(CALL, max_tokens=1))  # the tables are there

    async def ask_while_busy():
        with other.write():
            asking = asyncio.create_task(one.answer(CALL))
            await asyncio.sleep(0.3)  # the loop is free while a thread waits
            assert not asking.done()
        return await asking

    assert not asyncio.run(ask_while_busy()).cached
    assert ask(one).cached


def test_its_face_is_that_of_the_model_inside(database, clock):
    """Endpoint, list of models, closing."""
    server = Server({"data": [{"id": "m"}]})
    one = model(database, server, clock=clock)
    assert one.endpoint is one.model.endpoint

    async def models():
        async with one:
            return await one.models()

    assert asyncio.run(models()) == ("m",)
