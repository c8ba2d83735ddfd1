"""Which model takes which parameter."""

import pytest

from airflow_agent_provider.wire.families import accepts_temperature, max_tokens_field


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
        "llama3.1:8b",
        "olmo-2",
        "Qwen/Qwen2.5-7B-Instruct",
    ],
)
def test_older_and_own_models_take_a_temperature(model):
    """So that temperature 0 keeps its meaning there."""
    assert accepts_temperature(model)
    assert max_tokens_field(model, "http://localhost:8000/v1") == "max_tokens"


@pytest.mark.parametrize("model", ["o1", "o3-mini", "gpt-5", "gpt-5.2-mini", "openai/gpt-5", "gpt-6"])
def test_newer_openai_models_take_neither_temperature_nor_the_old_bound(model):
    """Also behind a gateway."""
    assert not accepts_temperature(model)
    assert max_tokens_field(model, "http://gateway/v1") == "max_completion_tokens"


@pytest.mark.parametrize(
    "model",
    ["claude-opus-4-7", "claude-opus-4-8-20260101", "claude-opus-4-10", "claude-opus-5", "claude-new-1"],
)
def test_newer_claude_models_take_no_temperature(model):
    """A name nobody listed is taken for a newer one."""
    assert not accepts_temperature(model)


def test_openai_itself_takes_the_new_bound_for_every_model():
    """The old name is deprecated there."""
    assert max_tokens_field("gpt-4o", "https://api.openai.com/v1") == "max_completion_tokens"
