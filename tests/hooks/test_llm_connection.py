"""Every field of the connection form, right and wrong."""

import json

import pytest

from airflow_agent_provider.exceptions import ConfigurationError
from airflow_agent_provider.hooks.llm import LLMHook
from airflow_agent_provider.hooks.llm_extras import EXTRAS, PROVIDER_NAMES
from airflow_agent_provider.hooks.llm_providers import PROVIDERS, SPECIAL_EXTRAS
from airflow_agent_provider.wire.anthropic_messages import AnthropicMessages
from airflow_agent_provider.wire.azure_openai import AzureOpenAIChat
from airflow_agent_provider.wire.gemini import Gemini
from airflow_agent_provider.wire.openai_chat import OpenAIChat
from airflow_agent_provider.wire.openai_responses import OpenAIResponses

KEY = "sk-secret-123"


@pytest.fixture
def read(connect):
    """Define a connection and read it through the hook."""

    def define_and_read(uri=None, **fields):
        extra = fields.pop("extra", {"model": "m"})
        return LLMHook(connect(uri=uri, extra=extra, **fields)).get_model()

    return define_and_read


def test_every_provider_that_may_be_chosen_is_known():
    """The list of names and the table of facts agree."""
    assert tuple(PROVIDERS) == PROVIDER_NAMES
    assert set(EXTRAS) > SPECIAL_EXTRAS


@pytest.mark.parametrize(
    ("provider", "base_url", "wire"),
    [
        ("openai", "https://api.openai.com/v1", OpenAIChat),
        ("openai_responses", "https://api.openai.com/v1", OpenAIResponses),
        ("anthropic", "https://api.anthropic.com", AnthropicMessages),
        ("google", "https://generativelanguage.googleapis.com/v1beta", Gemini),
        ("vllm", "http://localhost:8000/v1", OpenAIChat),
        ("ollama", "http://localhost:11434/v1", OpenAIChat),
        ("llamacpp", "http://localhost:8080/v1", OpenAIChat),
        ("litellm", "http://localhost:4000/v1", OpenAIChat),
    ],
)
def test_a_provider_brings_its_base_url(read, provider, base_url, wire):
    """So that a connection needs a model and a key at most."""
    model = read(password=KEY, extra={"provider": provider, "model": "m"})
    assert model.endpoint.base_url == base_url
    assert type(model.model.wire) is wire


@pytest.mark.parametrize(
    ("host", "api_version", "base_url"),
    [
        ("https://res.openai.azure.com", None, "https://res.openai.azure.com/openai/v1"),
        ("https://res.openai.azure.com/", None, "https://res.openai.azure.com/openai/v1"),
        ("https://res.openai.azure.com/openai/v1/", None, "https://res.openai.azure.com/openai/v1"),
        ("https://res.openai.azure.com", "2024-10-21", "https://res.openai.azure.com/openai"),
        ("https://res.openai.azure.com/openai", "2025-04-01-preview", "https://res.openai.azure.com/openai"),
        ("https://gateway.example.org/azure", None, "https://gateway.example.org/azure/openai/v1"),
    ],
)
def test_azures_address_is_made_of_the_resources(read, host, api_version, base_url):
    """As the portal shows it, or with the path that clients want; a dated version means the classic API."""
    extra = {"provider": "azure_openai", "model": "prod-gpt-4o", "api_version": api_version}
    model = read(host=host, password=KEY, extra=extra)
    assert model.endpoint.base_url == base_url
    assert model.model.wire.api_version == (api_version or "")
    assert model.model.wire.headers(KEY)["api-key"] == KEY


def test_of_azures_models_as_little_is_assumed_as_of_their_names(read):
    """A deployment may have any name: no temperature then, and the bound's new name where all know it."""
    extra = {"provider": "azure_openai", "model": "chat"}
    host = "https://res.openai.azure.com"
    model = read(host=host, password=KEY, extra=extra)
    assert model.model.wire == AzureOpenAIChat("max_completion_tokens", send_temperature=False)
    model = read(
        host=host, password=KEY, extra=extra | {"send_temperature": True, "api_version": "2024-02-01"}
    )
    assert model.model.wire == AzureOpenAIChat("max_tokens", send_temperature=True, api_version="2024-02-01")


@pytest.mark.parametrize(("given", "region"), [("eu", "eu"), (" EU ", "eu"), ("us-gov", "us-gov"), ("", "")])
def test_the_region_that_policies_go_by_is_on_the_endpoint(read, given, region):
    """As one word in small letters, whoever wrote it."""
    model = read(host="https://example.org/v1", extra={"model": "m", "region": given})
    assert model.endpoint.region == region


@pytest.mark.parametrize(
    ("fields", "base_url"),
    [
        ({"host": "https://example.org/v1"}, "https://example.org/v1"),
        ({"host": " https://example.org/v1/ "}, "https://example.org/v1"),
        ({"host": "HTTPS://example.org"}, "https://example.org"),
        ({"host": "https://example.org/v1", "port": 8443}, "https://example.org:8443/v1"),
        ({"host": "https://example.org:9/v1", "port": 8443}, "https://example.org:9/v1"),
        ({"host": "example.org", "schema": "https"}, "https://example.org/v1"),
        ({"host": "localhost", "schema": "http", "port": 8000}, "http://localhost:8000/v1"),
        ({"host": "http://[::1]:8000/v1"}, "http://[::1]:8000/v1"),
    ],
)
def test_the_base_url_is_put_together(read, fields, base_url):
    """From a whole URL, or host, port and schema."""
    assert read(**fields).endpoint.base_url == base_url


@pytest.mark.parametrize(
    "uri",
    [
        f"llm://:{KEY}@http%3A%2F%2Flocalhost%3A8000%2Fv1/?model=m&timeout_s=30&send_temperature=false",
        f"llm://http://:{KEY}@localhost:8000/v1?model=m&timeout_s=30&send_temperature=false",
        f"llm://:{KEY}@localhost:8000/http?model=m&timeout_s=30&send_temperature=false",
    ],
)
def test_a_connection_written_as_a_uri_is_understood(read, uri):
    """Where every extra is text and the path arrives as schema."""
    model = read(uri=uri)
    assert model.endpoint.base_url == "http://localhost:8000/v1"
    assert (model.endpoint.key, model.endpoint.model, model.endpoint.timeout_s) == (KEY, "m", 30.0)
    assert model.model.wire == OpenAIChat(send_temperature=False)


def test_extras_reach_endpoint_and_wire(read):
    """All of them."""
    extra = {
        "provider": "vllm",
        "model": "m",
        "max_tokens": 500,
        "timeout_s": 30,
        "connect_timeout_s": 2.5,
        "read_timeout_s": 20,
        "max_retries": 0,
        "max_connections": 8,
        "max_body_bytes": 2048,
        "headers": {"X-Team": "data"},
        "extra_body": {"top_k": 5},
        "max_tokens_field": "max_completion_tokens",
        "send_temperature": False,
        "allow_http": True,
        "trust_env": True,
    }
    model = read(host="http://gpu-box:8000/v1", password=KEY, extra=extra)
    endpoint = model.endpoint
    names = (
        "max_tokens",
        "timeout_s",
        "connect_timeout_s",
        "read_timeout_s",
        "max_retries",
        "max_connections",
    )
    assert {name: getattr(endpoint, name) for name in names} == {name: extra[name] for name in names}
    assert (endpoint.max_body_bytes, endpoint.trust_env) == (2048, True)
    assert endpoint.headers == {"x-team": "data"}
    assert model.model.wire == OpenAIChat(
        "max_completion_tokens", send_temperature=False, extra_body={"top_k": 5}
    )


def test_extras_left_empty_in_the_form_take_their_defaults(read):
    """The form sends them as null or as empty text."""
    model = read(
        host="https://example.org",
        extra={"model": "m", "timeout_s": None, "provider": "", "max_retries": None},
    )
    assert (model.endpoint.timeout_s, model.endpoint.max_retries) == (180.0, 2)


def test_newer_models_get_what_they_accept(read):
    """Without the user knowing of it."""
    model = read(password=KEY, extra={"provider": "openai", "model": "gpt-5"})
    assert model.model.wire == OpenAIChat("max_completion_tokens", send_temperature=False)
    model = read(password=KEY, extra={"provider": "anthropic", "model": "claude-opus-5"})
    assert model.model.wire == AnthropicMessages(send_temperature=False)


def test_anthropics_base_url_may_be_given_with_its_version(read):
    """The path of that API brings its own."""
    model = read(
        host="https://api.anthropic.com/v1/", password=KEY, extra={"provider": "anthropic", "model": "m"}
    )
    assert model.endpoint.base_url == "https://api.anthropic.com"


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"extra": {}}, "'model' is missing"),
        ({"extra": {"model": " "}}, "'model' is missing"),
        ({"extra": {"model": 7}}, "'model' must be text"),
        ({"extra": {"model": "m"}}, "password is missing"),
        ({"extra": {"model": "m", "provider": "anthropic"}}, "password is missing"),
        ({"extra": {"model": "m", "provider": "opnai"}}, "'provider' must be one of openai, openai_r"),
        ({"extra": {"model": "m", "provider": "openai_compatible"}}, "host is missing"),
        ({"extra": {"model": "m", "tiemout_s": 5}}, "unknown extra 'tiemout_s'; known are allow_http"),
        ({"extra": {"model": "m", "timeout_s": "soon"}}, "'timeout_s' must be a number"),
        ({"extra": {"model": "m", "timeout_s": True}}, "'timeout_s' must be a number"),
        ({"extra": {"model": "m", "timeout_s": 0}}, "'timeout_s' must be a number of seconds greater than 0"),
        ({"extra": {"model": "m", "timeout_s": "inf"}}, "'timeout_s' must be a number"),
        ({"extra": {"model": "m", "connect_timeout_s": -1}}, "'connect_timeout_s' must be"),
        ({"extra": {"model": "m", "max_retries": 1.5}}, "'max_retries' must be a whole number, at least 0"),
        ({"extra": {"model": "m", "max_retries": -1}}, "'max_retries' must be a whole number, at least 0"),
        ({"extra": {"model": "m", "max_tokens": 0}}, "'max_tokens' must be a whole number, at least 1"),
        ({"extra": {"model": "m", "allow_http": "maybe"}}, "'allow_http' must be true or false"),
        ({"extra": {"model": "m", "headers": ["a"]}}, "'headers' must be a JSON object"),
        ({"extra": {"model": "m", "headers": {"a b": "c"}}}, "'headers' holds a header name"),
        ({"extra": {"model": "m", "headers": {"Host": "evil"}}}, "'headers' holds a header name"),
        ({"extra": {"model": "m", "headers": {"x": "a\r\nb: c"}}}, "'headers' holds a value of 'x'"),
        ({"extra": {"model": "m", "headers": {"x": 1}}}, "'headers' holds a value of 'x'"),
        ({"extra": {"model": "m", "extra_body": "{"}}, "'extra_body' must be a JSON object"),
        ({"extra": {"model": "m", "extra_body": {"stream": True}}}, "must not hold 'stream'"),
        ({"extra": {"model": "m", "extra_body": {"max_tokens": 9}}}, "must not hold 'max_tokens'"),
        ({"extra": {"model": "m", "extra_body": {"n": 9}}}, "must not hold 'n'"),
        (
            {"extra": {"model": "m", "extra_body": {"generationConfig": {"maxOutputTokens": 9}}}},
            "must not hold 'generationConfig.maxOutputTokens'",
        ),
        ({"extra": {"model": "m", "region": "eu and us"}}, "'region' must be text like eu, us or local"),
        ({"extra": {"model": "m", "region": 1}}, "'region' must be text"),
        (
            {"extra": {"model": "m", "api_version": "2024-10-21"}},
            "'api_version' means nothing to provider openai",
        ),
        (
            {"extra": {"model": "m", "aws_conn_id": "a"}},
            "'aws_conn_id' means nothing to provider openai, only",
        ),
        (
            {"extra": {"model": "m", "provider": "anthropic", "max_tokens_field": "max_tokens"}},
            "'max_tokens_field' means nothing to provider anthropic",
        ),
        ({"extra": {"model": "m", "provider": "google"}}, "password is missing"),
        ({"extra": {"model": "m", "provider": "openai_responses"}}, "password is missing"),
        ({"extra": {"model": "m", "provider": "azure_openai"}}, "host is missing"),
        (
            {
                "host": "https://x.org",
                "extra": {"model": "m", "provider": "azure_openai", "api_version": "v1"},
            },
            "'api_version' must be text like 2024-10-21",
        ),
        ({"extra": {"model": "m", "max_tokens_field": "tokens"}}, "'max_tokens_field' must be one of"),
        ({"extra": "[1]"}, "extra must be a JSON object"),
        ({"host": "example.org/v1"}, "host must be a base URL with its scheme"),
        ({"host": "ftp://example.org"}, "host is no http or https URL"),
        ({"host": "https://"}, "host must be a base URL with its scheme"),
        ({"host": "https://exa mple.org"}, "host is no http or https URL"),
        ({"host": "https://[::1"}, "host is no http or https URL"),
        ({"host": "https://example.org:99999"}, "host is no http or https URL"),
        ({"host": "https://me:hidden-pw@example.org"}, "host holds credentials"),
        ({"host": "https://example.org/v1?key=hidden-pw"}, "without ?"),
        ({"host": "https://example.org", "password": "sk-hidden-pw\n"}, "password holds blanks"),
        ({"host": "https://example.org", "password": "sk hidden-pw"}, "password holds blanks"),
        ({"host": "https://example.org", "password": "hidden-pw-é"}, "password holds blanks"),
        ({"host": "http://example.org", "password": "hidden-pw"}, "plain http"),
        ({"host": "http://localhost.example.org", "password": "hidden-pw"}, "plain http"),
        ({"host": "http://10.0.0.7:8000/v1", "password": "hidden-pw"}, "plain http"),
        (
            {"host": "http://gpu-box/v1", "extra": {"model": "m", "headers": {"api-key": "hidden-pw"}}},
            "plain http",
        ),
    ],
)
def test_a_wrong_field_is_named_and_its_value_is_not(read, fields, told):
    """One clear error that says which connection, which field and what it must be."""
    with pytest.raises(ConfigurationError) as caught:
        read(**fields)
    message = str(caught.value)
    assert message.startswith("connection 'llm_default': ")
    assert told in message
    assert "hidden-pw" not in message
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    "host", ["http://localhost:1", "http://ollama.localhost", "http://127.8.0.1", "http://[::1]"]
)
def test_a_key_may_go_over_plain_http_on_this_machine(read, host):
    """Nobody listens in between."""
    assert read(host=host, password=KEY).endpoint.key == KEY


def test_plain_http_without_a_key_needs_no_leave(read):
    """There is nothing to steal."""
    assert read(host="http://gpu-box:8000/v1").endpoint.base_url == "http://gpu-box:8000/v1"


def test_a_broken_extra_is_told(read, connect, monkeypatch):
    """Airflow itself would take it for empty."""
    monkeypatch.setenv("AIRFLOW_CONN_LLM_DEFAULT", json.dumps({"conn_type": "llm", "extra": '{"model": '}))
    with pytest.raises(ConfigurationError, match="extra must be a JSON object"):
        LLMHook().get_model()
