"""Which model takes which parameter."""

import pytest

from airflow_agent_provider.wire.families import (
    accepts_temperature,
    deployment_accepts_temperature,
    max_tokens_field,
    signs_tool_requests,
)


@pytest.mark.parametrize(
    "model",
    [
        "gpt-4o",
        "gpt-4.1-mini",
        "gpt-3.5-turbo",
        "ft:gpt-4o-mini:team",
        "openai/gpt-4o",
        "gpt-oss-20b",
        "claude-3-5-sonnet-20241022",
        "claude-opus-4-20250514",
        "claude-opus-4-1-20250805",
        "anthropic/claude-opus-4.6",
        "claude-sonnet-4-5-20250929",
        "claude-haiku-4-5",
        "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
        "arn:aws:bedrock:eu-west-1:123456789012:inference-profile/eu.anthropic.claude-haiku-4-5-v1:0",
        "amazon.nova-pro-v1:0",
        "openai.gpt-oss-120b-1:0",
        "gemini-1.5-pro",
        "gemini-2.5-flash",
        "models/gemini-2.0-flash-001",
        "llama3.1:8b",
        "olmo-2",
        "Qwen/Qwen2.5-7B-Instruct",
    ],
)
def test_older_and_own_models_take_a_temperature(model):
    """So that temperature 0 keeps its meaning there."""
    assert accepts_temperature(model)
    assert max_tokens_field(model, "http://localhost:8000/v1") == "max_tokens"


@pytest.mark.parametrize(
    "model", ["o1", "o3-mini", "gpt-5", "gpt-5.2-mini", "openai/gpt-5", "openai.gpt-5", "gpt-6"]
)
def test_newer_openai_models_take_neither_temperature_nor_the_old_bound(model):
    """Also behind a gateway."""
    assert not accepts_temperature(model)
    assert max_tokens_field(model, "http://gateway/v1") == "max_completion_tokens"


@pytest.mark.parametrize(
    "model",
    [
        "claude-opus-4-7",
        "claude-opus-4-8-20260101",
        "claude-opus-4-10",
        "claude-opus-5",
        "claude-new-1",
        "eu.anthropic.claude-opus-5-v1:0",
    ],
)
def test_newer_claude_models_take_no_temperature(model):
    """A name nobody listed is taken for a newer one."""
    assert not accepts_temperature(model)


def test_openai_itself_takes_the_new_bound_for_every_model():
    """The old name is deprecated there."""
    assert max_tokens_field("gpt-4o", "https://api.openai.com/v1") == "max_completion_tokens"


@pytest.mark.parametrize(
    "model",
    ["gemini-3-pro-preview", "gemini-3.8-flash", "google/gemini-4", "gemini-flash-latest", "gemini-10"],
)
def test_newer_geminis_keep_their_temperature_and_sign_what_they_ask(model):
    """Below its default a newer one may loop; a name nobody listed is taken for a newer one."""
    assert not accepts_temperature(model)
    assert signs_tool_requests(model)


@pytest.mark.parametrize("model", ["gemini-2.5-pro", "gemini-1.5-flash-002", "gemma-3-27b-it", "gpt-5"])
def test_older_geminis_and_others_sign_nothing(model):
    """The placeholder would mean nothing to them."""
    assert not signs_tool_requests(model)


@pytest.mark.parametrize(
    ("deployment", "accepted"),
    [
        ("gpt-4o", True),
        ("prod-gpt-4.1-mini", True),
        ("gpt-35-turbo", True),
        ("chat", False),
        ("gpt-5", False),
    ],
)
def test_of_an_azure_deployment_only_a_telling_name_lets_a_temperature_through(deployment, accepted):
    """Its owner may have called it anything, and what is behind may refuse the parameter."""
    assert deployment_accepts_temperature(deployment) is accepted
