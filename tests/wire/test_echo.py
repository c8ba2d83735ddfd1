"""What servers quote of a prompt is struck, and what they say themselves stays."""

import json
import time

import pytest

from airflow_agent_provider.core.effects import CallModel
from airflow_agent_provider.core.messages import Message, ToolRequest, ToolSpec
from airflow_agent_provider.wire.echo import without_prompt

PROMPT = 'Customer Ada Okonkwo, "premium",\nordered 3 of 5 items; e-mail ada@example.org, account 77-4411-X. Ça va?'
CALL = CallModel(
    (
        Message("system", "You explain failed checks of a data team."),
        Message("user", PROMPT),
        Message("assistant", "", (ToolRequest("1", "query", {"sql": "SELECT name FROM customers"}),)),
    ),
    (ToolSpec("query", "Run a query on the warehouse", {"type": "object"}),),
)


@pytest.mark.parametrize(
    "quoted",
    [
        PROMPT,
        json.dumps(PROMPT),
        json.dumps(PROMPT, ensure_ascii=False),
        repr(PROMPT),
        PROMPT.upper(),
        PROMPT[:60],
        PROMPT[30:],
        " ".join(PROMPT.split()),
        "You explain failed checks of a data team.",
        json.dumps({"messages": [{"role": "user", "content": PROMPT}]}),
        "{'sql': 'SELECT name FROM customers'}",
        str([{"type": "missing", "loc": ("body", "model"), "input": {"content": PROMPT}}]),
    ],
)
def test_a_quoted_prompt_is_struck_however_it_is_written(quoted):
    """Escaped, in other letters, cut at either end; the server's own words stay."""
    told = without_prompt(f"HTTP 400: the model does not accept: {quoted} (see the documentation)", CALL)
    assert told.startswith("HTTP 400: the model does not accept: ")
    assert told.endswith("(see the documentation)")
    assert "[prompt]" in told
    for private in (
        "Okonkwo",
        "okonkwo",
        "OKONKWO",
        "premium",
        "example",
        "4411",
        "customers",
        "failed checks",
    ):
        assert private not in told


@pytest.mark.parametrize("value", ["ada@example.org", "77-4411-X"])
def test_a_telling_word_alone_is_struck(value):
    """An address or an account number needs no context."""
    assert without_prompt(f"invalid value '{value}'", CALL) == "invalid value '[prompt]'"


def test_a_short_prompt_is_struck_whole():
    """Also where it is a single word."""
    call = CallModel((Message("user", "Okonkwo"),))
    assert (
        without_prompt("cannot answer 'Okonkwo', 'okonkwo'!", call) == "cannot answer '[prompt]', '[prompt]'!"
    )


def test_the_beginning_of_an_excerpt_is_struck_where_the_text_was_cut():
    """Also when it is a single word; a word that is none of the prompt's stays."""
    assert without_prompt("does not accept: Customer Ad...", CALL) == "does not accept: [prompt]..."
    assert without_prompt("does not accept: Custom...", CALL) == "does not accept: [prompt]..."
    assert without_prompt("does not accept: temperature...", CALL) == "does not accept: temperature..."


@pytest.mark.parametrize(
    "said",
    [
        "HTTP 404: no such model or path: check the model's name; the server said: model 'smal' not found",
        "HTTP 400: This model's maximum context length is 4096 tokens, however you requested 5124",
        "HTTP 400: Invalid schema for function 'query': 'type' is a required property",
        "HTTP 401: the API key is missing or wrong: check the connection's password",
        "connection 'llm_default': the answer's 'usage' is str, expected dict",
        "",
    ],
)
def test_what_a_server_says_itself_stays(said):
    """It is what helps to mend the fault."""
    assert without_prompt(said, CALL) == said


def test_a_prompt_without_blanks_is_struck_too():
    """Escaped by number, as JSON carries it to be safe."""
    text = "顧客の岡本さんの口座番号は秘密です"
    call = CallModel((Message("user", text),))
    assert without_prompt(f"bad input: {json.dumps(text)}", call) == 'bad input: "[prompt]"'


def test_a_long_prompt_is_searched_in_time():
    """A megabyte of rows against an error of usual length: well below a second, said in CPU time."""
    call = CallModel((Message("user", "order 4711 of customer Okonkwo is late; " * 25_000),))
    start_s = time.process_time()
    told = without_prompt("HTTP 400: " + "something of the server's own words " * 10, call)
    assert "[prompt]" not in told
    assert time.process_time() - start_s < 5
