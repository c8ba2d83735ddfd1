"""The hook, with connections from the environment and a server in a thread."""

import asyncio
import logging
import subprocess
import sys
import threading

import pytest

from airflow_agent_provider.core.effects import CallModel
from airflow_agent_provider.core.messages import Message, Usage
from airflow_agent_provider.drivers.http import HttpModel
from airflow_agent_provider.exceptions import ConfigurationError, RequestRejected
from airflow_agent_provider.hooks.llm import LLMHook
from airflow_agent_provider.testing import ScriptedModel

KEY = "sk-secret-123"
ASK = CallModel((Message("user", "How many rows?"),))


def test_chat_asks_the_connections_model(chat_server, connect):
    """Model, key and texts arrive; the answer comes back with its usage."""
    connect(host=chat_server.base_url, password=KEY, extra={"model": "small-1"})
    reply = LLMHook().chat("How many rows?", system="Be brief.", max_tokens=50)
    assert (reply.text, reply.usage) == ("12 rows", Usage(9, 3))
    ((method, path, headers, content),) = chat_server.requests
    assert (method, path) == ("POST", "/v1/chat/completions")
    assert headers["authorization"] == f"Bearer {KEY}"
    assert content == {
        "model": "small-1",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "How many rows?"},
        ],
        "max_tokens": 50,
        "temperature": 0.0,
    }


def test_answer_may_be_called_again_and_again(chat_server, connect):
    """Each call has an event loop of its own."""
    connect(host=chat_server.base_url, extra={"model": "small-1"})
    hook = LLMHook()
    assert [hook.answer(ASK).text, hook.answer(ASK).text] == ["12 rows", "12 rows"]


def test_the_model_of_the_hook_goes_before_the_connections(chat_server, connect):
    """One connection serves several models."""
    connect("other", host=chat_server.base_url, extra={"model": "small-1"})
    LLMHook("other", model="small-2").chat("hi")
    assert chat_server.requests[0][3]["model"] == "small-2"


def test_get_model_gives_a_model_to_await(chat_server, connect):
    """With the endpoint to look at."""
    connect(host=chat_server.base_url, extra={"model": "small-1"})

    async def run():
        async with LLMHook().get_model() as model:
            assert isinstance(model.model, HttpModel)
            assert (model.endpoint.model, model.endpoint.base_url) == ("small-1", chat_server.base_url)
            return await model.answer(ASK)

    assert asyncio.run(run()).text == "12 rows"


def test_aget_model_gives_the_same_where_an_event_loop_runs(chat_server, connect):
    """Fields are read and secrets masked on another thread, so that the loop goes on."""
    connect(host=chat_server.base_url, password=KEY, extra={"model": "small-1"})
    threads = []

    class Watched(LLMHook):
        def _model(self, connection):
            threads.append(threading.current_thread())
            return super()._model(connection)

    async def run():
        async with await Watched().aget_model() as model:
            assert model.endpoint == LLMHook().get_model().endpoint
            return await model.answer(ASK)

    assert asyncio.run(run()).text == "12 rows"
    assert len(threads) == 1
    assert threading.main_thread() not in threads


def test_aget_model_tells_of_a_missing_connection():
    """In the same words."""
    with pytest.raises(ConfigurationError, match="'nowhere' does not exist") as caught:
        asyncio.run(LLMHook("nowhere").aget_model())
    assert caught.value.__cause__ is None


def test_the_sync_methods_say_so_where_an_event_loop_runs(connect):
    """asyncio's own error would not say what to do instead."""
    connect(host="http://localhost:1/v1", extra={"model": "m"})

    async def run():
        LLMHook().chat("hi")

    with pytest.raises(ConfigurationError, match="await"):
        asyncio.run(run())


def test_a_scripted_model_stands_in_for_any_connection():
    """Users test their DAGs without a server and without a connection."""
    with ScriptedModel(["yes"]).installed() as script:
        assert LLMHook("nowhere").chat("hi").text == "yes"
        model = asyncio.run(LLMHook("nowhere").aget_model())
    assert model is script
    assert script.calls[0].messages == (Message("user", "hi"),)
    assert LLMHook.aget_model.__module__ == "airflow_agent_provider.hooks.llm"


def test_a_missing_connection_says_how_to_make_one():
    """By its id, in the UI or the environment."""
    with pytest.raises(ConfigurationError, match=r"'nowhere' does not exist.*AIRFLOW_CONN_NOWHERE") as caught:
        LLMHook("nowhere").get_model()
    assert caught.value.__cause__ is None


def test_nothing_is_read_before_it_is_needed():
    """Operators make hooks while DAGs are parsed."""
    assert LLMHook("nowhere").llm_conn_id == "nowhere"
    assert LLMHook().llm_conn_id == LLMHook.default_conn_name == "llm_default"


def test_the_key_is_masked_in_logs(connect, monkeypatch):
    """Whoever logs it later, Airflow shows stars: for the key and for headers that hold one."""
    masked = []
    monkeypatch.setattr("airflow.sdk.log.mask_secret", lambda secret, *_: masked.append(secret))
    extra = {"model": "m", "headers": {"Api-Key": "second-secret", "x-team": "data"}}
    connect(host="https://example.org/v1", password=KEY, extra=extra)
    LLMHook().get_model()
    assert KEY in masked
    assert "second-secret" in masked
    assert "data" not in masked


def test_importing_the_hook_leaves_httpx_alone():
    """The DAG processor imports every module that a DAG names."""
    code = (
        "import sys, airflow.sdk; airflow.sdk.BaseHook; before = set(sys.modules)\n"
        "import airflow_agent_provider.hooks.llm\n"
        "print(sorted(n for n in set(sys.modules) - before if not n.startswith('airflow_agent_provider')))"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"


def test_an_estimate_is_made_before_anything_is_sent(chat_server, connect):
    """By the connection's own price and cap; what has no price has no dollars."""
    extra = {"model": "small-1", "max_tokens": 100, "input_usd_per_mtok": 1, "output_usd_per_mtok": 2}
    connect(host=chat_server.base_url, extra=extra)
    connect("unpriced", host=chat_server.base_url, extra={"model": "small-1"})
    told = LLMHook().estimate([ASK, ASK], answer_share=0.5)
    assert (told.calls, told.expected) == (2, Usage(8, 100))
    assert told.expected_usd == pytest.approx(208e-6)
    assert told.worst_usd > told.expected_usd
    assert LLMHook("unpriced").estimate([ASK]).worst_usd is None
    assert LLMHook(["llm_default", "unpriced"]).estimate([ASK, ASK]).expected_usd == told.expected_usd
    assert chat_server.requests == []


# The form's test button


def test_the_test_finds_the_model_in_the_list(chat_server, connect):
    """No token is spent."""
    connect(host=chat_server.base_url, password=KEY, extra={"model": "small-1"})
    worked, told = LLMHook().test_connection()
    assert (worked, told) == (True, f"{chat_server.base_url} answers and has the model small-1")
    assert [request[0] for request in chat_server.requests] == ["GET"]


@pytest.mark.parametrize("listed", [(404, {}), (405, {}), (200, {"data": [{"id": "another"}]})])
def test_the_test_asks_for_a_word_where_the_list_does_not_help(chat_server, connect, listed):
    """Gateways list nothing, or not all that they have."""
    chat_server.routes["GET", "/v1/models"] = listed
    connect(host=chat_server.base_url, extra={"model": "small-1"})
    worked, told = LLMHook().test_connection()
    assert worked
    assert "small-1" in told
    assert chat_server.requests[-1][3]["max_tokens"] == 16


def test_the_test_tells_what_is_wrong_without_the_key(chat_server, connect, caplog):
    """A wrong key, echoed by the server."""
    caplog.set_level(logging.DEBUG)
    refusal = (401, {"error": {"message": f"bad key {KEY}"}})
    chat_server.routes = {("GET", "/v1/models"): refusal, ("POST", "/v1/chat/completions"): refusal}
    connect(host=chat_server.base_url, password=KEY, extra={"model": "small-1"})
    worked, told = LLMHook().test_connection()
    assert not worked
    assert told.startswith("connection 'llm_default': HTTP 401")
    assert KEY not in told + caplog.text


def test_the_test_tells_of_a_model_that_is_not_there(chat_server, connect):
    """The commonest slip of all."""
    chat_server.routes["POST", "/v1/chat/completions"] = (
        404,
        {"error": {"message": "model 'smal' not found"}},
    )
    connect(host=chat_server.base_url, extra={"model": "smal"})
    worked, told = LLMHook().test_connection()
    assert not worked
    assert "model 'smal' not found" in told


def test_the_test_tells_of_a_server_that_is_not_there(connect):
    """And of a connection that is wrong or missing."""
    connect(host="http://127.0.0.1:1/v1", extra={"model": "m", "max_retries": 0})
    worked, told = LLMHook().test_connection()
    assert not worked
    assert "cannot connect to 127.0.0.1:1" in told
    assert LLMHook("nowhere").test_connection()[0] is False


def test_errors_are_those_of_the_hierarchy(chat_server, connect):
    """A refused request is permanent wherever it is made."""
    chat_server.routes = {}
    connect(host=chat_server.base_url, extra={"model": "m"})
    with pytest.raises(RequestRejected, match="no such path"):
        LLMHook().chat("hi")
