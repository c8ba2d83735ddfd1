"""What a schema says is what is checked."""

import json

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_agent_provider.core.schema import require_supported, violations
from airflow_agent_provider.exceptions import ConfigurationError

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats(-5, 5) | st.text("ab1", max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=6,
)
SCHEMAS = st.recursive(
    st.sampled_from([
        {},
        {"type": "string", "minLength": 1, "maxLength": 2},
        {"type": "string", "pattern": "^a"},
        {"type": ["integer", "null"]},
        {"type": "number", "minimum": 0, "exclusiveMaximum": 3},
        {"enum": [1, "a", None, True]},
        {"const": 0},
    ]),
    lambda inner: (
        st.builds(lambda items: {"type": "array", "items": items, "minItems": 1, "maxItems": 2}, inner)
        | st.builds(
            lambda a, b: {
                "type": "object",
                "properties": {"a": a, "b": b},
                "required": ["a"],
                "additionalProperties": False,
            },
            inner,
            inner,
        )
        | st.builds(lambda a, b: {"anyOf": [a, b]}, inner, inner)
    ),
    max_leaves=4,
)


@given(value=JSON, schema=SCHEMAS)
def test_a_value_fits_exactly_when_the_reference_implementation_says_so(value, schema):
    """For the supported keywords, our verdict is jsonschema's."""
    require_supported(schema)
    assert (violations(value, schema) == []) == jsonschema.Draft202012Validator(schema).is_valid(value)


def test_an_unsupported_keyword_is_refused_where_it_stands():
    """Nothing is silently left unchecked."""
    with pytest.raises(ConfigurationError, match=r"tool x\.properties\.a.*'\$ref'"):
        require_supported({"type": "object", "properties": {"a": {"$ref": "#/b"}}}, "tool x")


def test_violations_never_quote_the_value():
    """Values may be personal data."""
    found = violations(
        {"mail": "someone@example.org"}, {"properties": {"mail": {"maxLength": 3, "pattern": "^x"}}}
    )
    assert len(found) == 2
    assert "someone" not in json.dumps(found)


def test_numbers_must_be_finite():
    """JSON has no NaN, but Python's parser lets it through."""
    assert violations(json.loads("NaN"), {"type": "number"}) == ["$: must be a finite number"]
