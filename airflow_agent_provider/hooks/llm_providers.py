"""
The providers that a connection of type ``llm`` may name, and how each is spoken to.

A provider is a place and a protocol: where requests go, and the wire that writes them.
The names that end in ``_compatible`` are a
protocol alone: any other server that speaks it, wherever the connection says. ``route``
is no server at all, but a list of other connections (``hooks/llm_route.py``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from airflow_agent_provider.drivers.endpoint import Endpoint
from airflow_agent_provider.exceptions import ConfigurationError
from airflow_agent_provider.hooks.llm_bedrock import at_bedrock
from airflow_agent_provider.hooks.llm_extras import ROUTE_EXTRAS
from airflow_agent_provider.wire.anthropic_messages import AnthropicMessages
from airflow_agent_provider.wire.azure_openai import AzureOpenAIChat
from airflow_agent_provider.wire.bedrock_converse import BedrockConverse
from airflow_agent_provider.wire.families import (
    accepts_temperature,
    deployment_accepts_temperature,
    max_tokens_field,
)
from airflow_agent_provider.wire.gemini import Gemini
from airflow_agent_provider.wire.openai_chat import OpenAIChat
from airflow_agent_provider.wire.openai_responses import OpenAIResponses
from airflow_agent_provider.wire.wire import Wire

Extras = Mapping[str, Any]


def _as_given(endpoint: Endpoint, _: Extras) -> Endpoint:
    return endpoint


@dataclass(frozen=True, slots=True)
class Provider:
    """
    What is known of a provider.

    :param wire: makes its wire of the model, the base URL and the connection's extras.
    :param base_url: where it is when the connection names no host; None when it must.
    :param place: completes the endpoint that the connection's fields give.
    :param path: added to a host that is given without a URL.
    :param needs_key: its public servers answer nobody without a key.
    :param extras: the extras that mean something here alone.
    """

    wire: Callable[[str, str, Extras], Wire]
    base_url: str | None
    place: Callable[[Endpoint, Extras], Endpoint] = _as_given
    path: str = "/v1"
    needs_key: bool = False
    extras: frozenset[str] = frozenset()


def _common(model: str, extras: Extras) -> dict[str, Any]:
    return {
        "send_temperature": extras.get("send_temperature", accepts_temperature(model)),
        "extra_body": extras.get("extra_body", {}),
    }


def _chat(model: str, base_url: str, extras: Extras) -> Wire:
    tokens_field = extras.get("max_tokens_field", max_tokens_field(model, base_url))
    return OpenAIChat(tokens_field, **_common(model, extras))


def _responses(model: str, _: str, extras: Extras) -> Wire:
    return OpenAIResponses(**_common(model, extras))


def _messages(model: str, _: str, extras: Extras) -> Wire:
    return AnthropicMessages(**_common(model, extras))


def _gemini(model: str, _: str, extras: Extras) -> Wire:
    return Gemini(**_common(model, extras))


def _converse(model: str, _: str, extras: Extras) -> Wire:
    return BedrockConverse(**_common(model, extras))


def _azure(model: str, base_url: str, extras: Extras) -> Wire:
    api_version = extras.get("api_version", "")
    # Every model of the v1 API takes the new name; older versions of the classic one do not know it.
    default = max_tokens_field(model, base_url) if api_version else "max_completion_tokens"
    settings = {"send_temperature": deployment_accepts_temperature(model), **extras}
    return AzureOpenAIChat(
        extras.get("max_tokens_field", default), **_common(model, settings), api_version=api_version
    )


def _no_wire(_: str, __: str, ___: Extras) -> Wire:
    raise ConfigurationError("a route has no server of its own: it is read by hooks/llm_route.py")


def _at_anthropic(endpoint: Endpoint, _: Extras) -> Endpoint:
    # The path of that API brings its own version.
    return replace(endpoint, base_url=endpoint.base_url.removesuffix("/v1"))


def _at_azure(endpoint: Endpoint, extras: Extras) -> Endpoint:
    # The portal shows the resource's address; some copy it with the path of their client.
    resource = endpoint.base_url.removesuffix("/v1").removesuffix("/openai")
    path = "/openai" if "api_version" in extras else "/openai/v1"
    return replace(endpoint, base_url=resource and resource + path)


CHAT_EXTRAS = frozenset({"max_tokens_field"})

PROVIDERS = {
    "openai": Provider(_chat, "https://api.openai.com/v1", needs_key=True, extras=CHAT_EXTRAS),
    "openai_responses": Provider(_responses, "https://api.openai.com/v1", needs_key=True),
    "anthropic": Provider(_messages, "https://api.anthropic.com", _at_anthropic, path="", needs_key=True),
    "google": Provider(
        _gemini, "https://generativelanguage.googleapis.com/v1beta", path="/v1beta", needs_key=True
    ),
    "azure_openai": Provider(_azure, None, _at_azure, path="", extras=CHAT_EXTRAS | {"api_version"}),
    "bedrock": Provider(
        _converse, None, at_bedrock, path="", extras=frozenset({"aws_conn_id", "region_name"})
    ),
    "vllm": Provider(_chat, "http://localhost:8000/v1", extras=CHAT_EXTRAS),
    "ollama": Provider(_chat, "http://localhost:11434/v1", extras=CHAT_EXTRAS),
    "llamacpp": Provider(_chat, "http://localhost:8080/v1", extras=CHAT_EXTRAS),
    "litellm": Provider(_chat, "http://localhost:4000/v1", extras=CHAT_EXTRAS),
    "openai_compatible": Provider(_chat, None, extras=CHAT_EXTRAS),
    "anthropic_compatible": Provider(_messages, None, _at_anthropic, path=""),
    "route": Provider(_no_wire, None, path="", extras=ROUTE_EXTRAS),
}
SPECIAL_EXTRAS = frozenset().union(*(provider.extras for provider in PROVIDERS.values()))
