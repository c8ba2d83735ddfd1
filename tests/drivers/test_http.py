"""
The HTTP driver against a real server that misbehaves in every way.

``serving`` runs an asyncio server in the test's own loop; see ``faulty_server.py`` for the lines.
"""

import asyncio
import gzip
import json
import logging
import random
import threading
from contextlib import closing

import httpx
import pytest
from faulty_server import BROKEN, REPLY, damaged, drip, endless, http, serving, silent

from airflow_agent_provider.core.effects import CallModel
from airflow_agent_provider.core.messages import Message, ModelReply
from airflow_agent_provider.drivers.endpoint import Endpoint
from airflow_agent_provider.drivers.http import HttpModel
from airflow_agent_provider.drivers.http_lanes import tls_context
from airflow_agent_provider.exceptions import (
    AgentProviderError,
    ConfigurationError,
    ModelUnavailable,
    RateLimited,
    RequestRejected,
)
from airflow_agent_provider.wire.bedrock_converse import BedrockConverse
from airflow_agent_provider.wire.openai_chat import OpenAIChat

KEY = "sk-secret-123"
PROMPT = "a private question"
ASK = CallModel((Message("user", PROMPT),), max_tokens=64)


def model_at(base_url, **settings):
    settings = {"key": KEY, "max_retries": 0, "timeout_s": 20, "backoff_s": 0.001} | settings
    return HttpModel(OpenAIChat(), Endpoint("connection 'c'", base_url, "small-1", **settings))


def ask(*script, calls=1, **settings):
    """Ask a server that answers by the script; give the last reply or error, and what the server saw."""

    async def run():
        async with serving(*script) as server, model_at(server.base_url, **settings) as model:
            outcome = None
            for _ in range(calls):
                try:
                    outcome = await model.answer(ASK)
                except AgentProviderError as error:
                    outcome = error
            return outcome, server

    return asyncio.run(run())


# What is sent


class Signer:
    """Signs with a number that grows."""

    secrets = ("hidden-token-123",)

    def __init__(self):
        self.signed = []
        self.threads = set()

    def sign(self, method, url, headers, body):
        self.signed.append((method, url, headers["content-type"], body))
        self.threads.add(threading.current_thread())
        return {"authorization": f"Signed {len(self.signed)}", "x-date": "now"}


def test_every_try_is_signed():
    """What is signed is what is sent, and the signature replaces the key."""
    signer = Signer()
    _, server = ask(http(503), http(), signer=signer, max_retries=1)
    assert [head.lower().count("authorization: signed") for head, _ in server.requests] == [1, 1]
    assert "authorization: Signed 2\r\n" in server.requests[1][0]
    assert "x-date: now\r\n" in server.requests[1][0]
    assert [
        ("POST", f"{server.base_url}/chat/completions", "application/json", body)
        for _, body in server.requests
    ] == signer.signed


def test_signing_leaves_the_event_loop_alone():
    """Credentials may have to be fetched, which takes its time."""
    signer = Signer()
    ask(http(), signer=signer)
    assert threading.main_thread() not in signer.threads


def test_a_signer_that_fails_is_told_like_any_other_failure():
    """Its own errors, with the connection's name; a transient one is tried again and nothing is sent."""

    class Failing(Signer):
        def sign(self, method, url, headers, body):
            super().sign(method, url, headers, body)
            raise ModelUnavailable("no credentials this time", maybe_billed=False)

    signer = Failing()
    error, server = ask(http(), signer=signer, max_retries=2)
    assert str(error) == "connection 'c': no credentials this time"
    assert (len(signer.signed), server.requests) == (3, [])


def test_what_was_signed_with_is_a_secret():
    """A server that echoes it does not get it into our errors."""
    echo = json.dumps({"error": {"message": "wrong token hidden-token-123"}}).encode()
    error, _ = ask(http(403, echo), signer=Signer())
    assert "wrong token" in str(error)
    assert "hidden-token-123" not in str(error)


def test_the_request_is_sent_once_and_whole():
    """Path, key, plain body asked for, and the prompt where it belongs."""
    reply, server = ask(http())
    assert reply.text == "12 rows"
    ((head, body),) = server.requests
    assert head.startswith("POST /v1/chat/completions HTTP/1.1\r\n")
    assert f"authorization: Bearer {KEY}\r\n" in head.lower().replace("bearer", "Bearer")
    assert "accept-encoding: identity\r\n" in head.lower()
    assert json.loads(body)["messages"] == [{"role": "user", "content": PROMPT}]


def test_the_connections_headers_are_sent():
    """They win over the wire's own."""
    _, server = ask(http(), headers={"x-team": "data", "authorization": "Custom abc"})
    head = server.requests[0][0].lower()
    assert "x-team: data\r\n" in head
    assert "authorization: custom abc\r\n" in head
    assert KEY not in head


def test_a_cap_on_tokens_bounds_the_call():
    """A call may ask for less, not for more."""
    for cap, sent in ((10, 10), (1000, 64)):
        _, server = ask(http(), max_tokens=cap)
        assert json.loads(server.requests[0][1])["max_tokens"] == sent


def test_calls_share_one_connection():
    """Keep-alive works call after call."""
    _, server = ask(http(), calls=5)
    assert (len(server.requests), server.connections) == (5, 1)


def test_a_connection_that_the_server_closed_is_replaced():
    """Without spending a retry."""

    async def answer_and_close(writer):
        writer.write(http())
        writer.close()

    reply, server = ask(answer_and_close, calls=3)
    assert reply.text == "12 rows"
    assert server.connections == 3


def test_calls_in_flight_are_bounded():
    """Forty calls at once on four connections: all are answered, never more than four at a time."""

    async def slowly(writer):
        await asyncio.sleep(0.01)
        writer.write(http())

    async def run():
        async with serving(slowly) as server, model_at(server.base_url, max_connections=4) as model:
            replies = await asyncio.gather(*(model.answer(ASK) for _ in range(40)))
            return replies, server

    replies, server = asyncio.run(run())
    assert [reply.text for reply in replies] == ["12 rows"] * 40
    assert server.most_busy == server.connections == 4


def test_one_model_serves_several_event_loops():
    """One after another, closed or not in between."""
    transport = httpx.MockTransport(lambda _: httpx.Response(200, content=REPLY))
    model = HttpModel(
        OpenAIChat(), Endpoint("c", "http://localhost", "m"), open_transport=lambda _: transport
    )

    async def closing():
        async with model:
            return await model.answer(ASK)

    texts = [asyncio.run(model.answer(ASK)).text, asyncio.run(closing()).text, asyncio.run(closing()).text]
    assert texts == ["12 rows"] * 3


def test_all_models_share_one_tls_context():
    """Building one costs 15 ms and most of a megabyte."""
    assert tls_context() is tls_context()


def test_the_environments_proxy_is_used_only_when_asked(monkeypatch):
    """By default nothing in the environment redirects a key."""

    async def run(*, trust_env):
        async with serving(http()) as proxy, serving(http()) as server:
            monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.port}")
            monkeypatch.setenv("no_proxy", "")
            async with model_at(server.base_url, trust_env=trust_env) as model:
                await model.answer(ASK)
            return len(proxy.requests), len(server.requests)

    assert asyncio.run(run(trust_env=False)) == (0, 1)
    assert asyncio.run(run(trust_env=True)) == (1, 0)


@pytest.mark.parametrize("proxy", ["ftp://me:hidden-pw@proxy", "socks5://me:hidden-pw@proxy"])
def test_an_unusable_proxy_is_a_configuration_error(monkeypatch, proxy):
    """Its URL, which may hold a password, is not repeated."""
    monkeypatch.setenv("http_proxy", proxy)
    monkeypatch.setenv("no_proxy", "")
    with pytest.raises(ConfigurationError, match="proxy") as caught:
        asyncio.run(model_at("http://localhost:1", trust_env=True).answer(ASK))
    assert "hidden-pw" not in str(caught.value)
    assert caught.value.__context__ is None


# Trying again


@pytest.mark.parametrize("status", [408, 429, 500, 503, 529])
def test_a_transient_failure_is_tried_again(status):
    """Two failures, then the answer."""
    reply, server = ask(http(status, b"{}"), http(status, b"{}"), http(), max_retries=2)
    assert reply.text == "12 rows"
    assert len(server.requests) == 3


def test_tries_are_bounded():
    """The last failure goes up, with the name of the connection."""
    error, server = ask(http(500, b"{}"), max_retries=2)
    assert type(error) is ModelUnavailable
    assert str(error).startswith("connection 'c': HTTP 500")
    assert len(server.requests) == 3


@pytest.mark.parametrize("status", [301, 400, 401, 403, 404, 422])
def test_a_permanent_refusal_is_never_tried_again(status):
    """It would cost time and change nothing."""
    error, server = ask(http(status, b"{}"), max_retries=5)
    assert type(error) is RequestRejected
    assert len(server.requests) == 1


def test_the_servers_waiting_time_is_kept():
    """The next try comes no earlier than asked."""
    reply, server = ask(http(429, b"{}", retry_after_ms=150), http(), max_retries=1)
    assert reply.text == "12 rows"
    assert server.arrivals[1] - server.arrivals[0] >= 0.15


def test_a_wait_beyond_the_deadline_is_not_begun():
    """The error goes up at once, with the server's waiting time for whoever can wait."""
    error, server = ask(http(429, b"{}", retry_after=3600), http(), max_retries=3)
    assert type(error) is RateLimited
    assert error.retry_after_s == 3600
    assert len(server.requests) == 1


def test_a_broken_answer_is_tried_again():
    """Garbage may be a passing fault of a gateway."""
    reply, server = ask(http(body=b"{"), http(), max_retries=1)
    assert reply.text == "12 rows"
    assert len(server.requests) == 2


# Servers that misbehave


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_answer_is_a_typed_error(name):
    """Named after the connection, without key, prompt, cause or context; the next call works."""

    async def run():
        async with serving(BROKEN[name], http()) as server, model_at(server.base_url) as model:
            with pytest.raises(ModelUnavailable) as caught:
                await model.answer(ASK)
            return caught.value, await model.answer(ASK)

    error, reply = asyncio.run(run())
    assert str(error).startswith("connection 'c': ")
    assert KEY not in str(error)
    assert PROMPT not in str(error)
    assert error.__cause__ is None
    assert error.__context__ is None
    assert reply.text == "12 rows"


def test_damaged_answers_give_a_reply_or_a_typed_error():
    """Four hundred seeded faults on the line: nothing untyped, nothing that hangs, nothing that leaks."""
    dice = random.Random(7)

    async def send_damaged(writer):
        writer.write(damaged(dice))
        writer.close()

    async def run():
        async with serving(send_damaged) as server, model_at(server.base_url) as model:
            calls = [model.answer(ASK) for _ in range(400)]
            return [(await asyncio.gather(call, return_exceptions=True))[0] for call in calls]

    outcomes = asyncio.run(run())
    assert {ModelReply, ModelUnavailable} <= {type(one) for one in outcomes}
    assert {type(one) for one in outcomes} <= {ModelReply, ModelUnavailable, RequestRejected, RateLimited}
    assert all(KEY not in str(one) for one in outcomes)


@pytest.mark.parametrize("line", [drip, silent, endless])
def test_the_total_deadline_ends_every_call(line):
    """A body that drips or never ends, a server that says nothing: over all tries together."""
    error, _ = ask(line, timeout_s=0.2, max_retries=5, max_body_bytes=10**12)
    assert type(error) is ModelUnavailable
    assert "0.2 s" in str(error)


def test_the_deadline_spans_tries_and_waits():
    """Failing tries use it up too."""

    async def fail_late(writer):
        await asyncio.sleep(0.06)
        writer.write(http(500, b"{}"))

    error, server = ask(fail_late, timeout_s=0.2, max_retries=1000)
    assert type(error) is ModelUnavailable
    assert len(server.requests) <= 4


def test_silence_has_a_bound_of_its_own():
    """So that another try fits into the deadline."""
    reply, server = ask(silent, http(), read_timeout_s=0.1, max_retries=1)
    assert reply.text == "12 rows"
    error, _ = ask(silent, read_timeout_s=0.1)
    assert "silent for 0.1 s" in str(error)
    assert len(server.requests) == 2


def test_a_large_body_is_cut_off():
    """Whatever its length claims, and also when it only unpacks to a large one."""
    large = b" " * 20_000 + REPLY
    for line in (
        http(body=large),
        http(body=gzip.compress(large), content_encoding="gzip"),
        endless,
        http(body=large, content_length=10**15),
    ):
        error, _ = ask(line, max_body_bytes=10_000)
        assert type(error) is ModelUnavailable
        assert "larger than 10000 bytes" in str(error)


def test_a_packed_body_is_read():
    """Some gateways pack although asked not to."""
    reply, _ = ask(http(body=gzip.compress(REPLY), content_encoding="gzip"))
    assert reply.text == "12 rows"


def test_of_an_error_only_the_beginning_is_read():
    """A refusal with an endless body is still a refusal."""

    async def endless_refusal(writer):
        writer.write(b"HTTP/1.1 401 No\r\ntransfer-encoding: chunked\r\n\r\n")
        while True:
            writer.write(b"1000\r\n" + b"x" * 4096 + b"\r\n")
            await writer.drain()

    error, _ = ask(endless_refusal)
    assert type(error) is RequestRejected


def test_a_redirect_is_not_followed():
    """The key goes to nobody that the connection does not name."""

    async def run():
        async with serving(http()) as thief:
            location = f"{thief.base_url}/chat/completions"
            for status in (301, 302, 303, 307, 308):
                async with (
                    serving(http(status, b"", location=location)) as server,
                    model_at(server.base_url) as model,
                ):
                    with pytest.raises(RequestRejected, match="redirect"):
                        await model.answer(ASK)
            return len(thief.requests)

    assert asyncio.run(run()) == 0


def test_cookies_are_not_kept():
    """One call's cookie does not travel with the next."""
    _, server = ask(http(set_cookie="session=abc"), http(), calls=2)
    assert "cookie" not in server.requests[1][0].lower()


def test_a_refused_connection_is_unavailable():
    """The message says where, and never the key."""

    async def run():
        async with serving(http()) as server:
            base_url = server.base_url
        async with model_at(base_url) as model:
            await model.answer(ASK)

    with pytest.raises(ModelUnavailable, match=r"cannot connect to 127\.0\.0\.1:\d+") as caught:
        asyncio.run(run())
    assert KEY not in str(caught.value)


def test_tls_with_a_server_that_has_none_is_unavailable():
    """A failed handshake is a typed error too."""

    async def greet(reader, writer):
        with closing(writer):
            writer.write(b"220 mail.example.org ESMTP\r\n")
            await reader.read()

    async def run():
        server = await asyncio.start_server(greet, "127.0.0.1", 0)
        async with server, model_at(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}") as model:
            await model.answer(ASK)

    with pytest.raises(ModelUnavailable, match="cannot connect"):
        asyncio.run(run())


def test_a_connection_that_takes_too_long_is_unavailable():
    """The connect time-out has a message of its own."""

    def never(request):
        raise httpx.ConnectTimeout("", request=request)

    model = HttpModel(
        OpenAIChat(),
        Endpoint("c", "http://localhost", "m", max_retries=0),
        open_transport=lambda _: httpx.MockTransport(never),
    )
    with pytest.raises(ModelUnavailable, match="no connection to localhost within 10 s"):
        asyncio.run(model.answer(ASK))


# Secrets and people


@pytest.mark.parametrize(
    "settings",
    [
        {"key": "sk-line\nbreak-456"},
        {"key": "sk-ünicode-456"},
        {"headers": {"x-key": "sk-line\r\nbreak-456"}},
        {"headers": {"bad name": "sk-456"}},
    ],
)
def test_what_cannot_be_sent_is_a_configuration_error_without_its_value(settings):
    """The libraries below quote the whole header."""
    error, server = ask(http(), **settings)
    assert type(error) is ConfigurationError
    assert "456" not in str(error)
    assert error.__cause__ is None
    assert error.__context__ is None
    assert server.requests == []


@pytest.mark.parametrize(
    "base_url", ["localhost:8000", "ftp://localhost", "http://[", "http://localhost:99999999"]
)
def test_an_unusable_base_url_is_a_configuration_error(base_url):
    """Should one come past the hook."""
    with pytest.raises(ConfigurationError):
        asyncio.run(model_at(base_url).answer(ASK))


def test_logs_hold_neither_key_nor_prompt_nor_answer(caplog):
    """At any level, of any library, through retries and failures."""
    caplog.set_level(logging.DEBUG)
    echo = json.dumps({"error": {"message": f"you sent {KEY}"}}).encode()
    ask(http(429, echo, retry_after_ms=1), http(500, echo), http(), http(401, echo), max_retries=2, calls=2)
    assert "try 2 follows" in caplog.text
    for private in (KEY, PROMPT, "12 rows"):
        assert private not in caplog.text


def test_a_cancelled_call_stays_cancelled():
    """It is not mistaken for a time-out, and the model can be asked again."""

    async def run():
        async with serving(silent, http()) as server, model_at(server.base_url) as model:
            task = asyncio.create_task(model.answer(ASK))
            await server.asked.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            return await model.answer(ASK)

    assert asyncio.run(run()).text == "12 rows"


def test_the_key_is_not_in_the_repr():
    """Endpoints appear in tracebacks."""
    endpoint = Endpoint("c", "http://localhost", "m", key=KEY, headers={"api-key": KEY})
    assert KEY not in repr(endpoint)
    assert endpoint.secrets == (KEY, KEY)


def test_the_models_of_a_server_are_listed():
    """For the connection form's test button."""

    async def run():
        async with (
            serving(http(body=b'{"data": [{"id": "small-1"}]}')) as server,
            model_at(server.base_url) as model,
        ):
            return await model.models(), server.requests[0][0]

    models, head = asyncio.run(run())
    assert models == ("small-1",)
    assert head.startswith("GET /v1/models HTTP/1.1")


def test_a_server_without_a_list_is_not_asked_for_it():
    """Some APIs have none where their models are."""

    async def run():
        async with serving(http()) as server:
            endpoint = Endpoint("connection 'c'", server.base_url, "small-1")
            async with HttpModel(BedrockConverse(), endpoint) as model:
                return await model.models(), server.requests

    assert asyncio.run(run()) == ((), [])
