"""Tools are made from plain functions."""

from typing import Literal

import pytest

from airflow_agent_provider.core.messages import ToolSpec
from airflow_agent_provider.core.tool import Tool, result_text, tool
from airflow_agent_provider.exceptions import ConfigurationError


def search(
    table: str, limit: int = 10, order: Literal["up", "down"] = "up", columns: list[str] | None = None
) -> str:
    """Search a table."""
    return f"{table}{limit}{order}{columns}"


def test_the_schema_comes_from_the_signature():
    """Annotations give types, defaults make parameters optional."""
    assert tool(search).spec == ToolSpec(
        "search",
        "Search a table.",
        {
            "type": "object",
            "properties": {
                "table": {"type": "string"},
                "limit": {"type": "integer"},
                "order": {"enum": ["up", "down"]},
                "columns": {"anyOf": [{"type": "array", "items": {"type": "string"}}, {"type": "null"}]},
            },
            "required": ["table"],
            "additionalProperties": False,
        },
    )


def test_a_parameter_that_json_cannot_carry_is_refused():
    """The error names the tool and the parameter."""

    def load(source: object) -> None: ...

    with pytest.raises(ConfigurationError, match="tool load: parameter 'source'"):
        tool(load)


def test_a_parameter_without_annotation_is_refused():
    """A guess at its type would be sent to the model as fact."""

    def load(source): ...

    with pytest.raises(ConfigurationError, match="needs a type annotation"):
        tool(load)


def test_a_name_that_no_api_takes_is_refused():
    """Model APIs allow letters, digits, _ and - only."""
    with pytest.raises(ConfigurationError, match="a name is"):
        Tool(ToolSpec("drop table", "", {"type": "object"}), print)


def test_long_results_are_cut_and_say_so():
    """The model sees at most max_chars characters of the result."""
    assert result_text(["x" * 100], 10) == '["xxxxxxxx\n[cut: 94 of 104 characters left out]'
