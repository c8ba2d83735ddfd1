"""
Reading a connection of type ``llm``: every field checked before anything is sent.

==========  ===========================================================
field       meaning
==========  ===========================================================
host        base URL with scheme; may be left out where the provider
            has a public one. Also host, port and ``http`` or ``https``
            as schema, to which the provider's usual path is added.
password    API key
extra       the fields of ``llm_extras.EXTRAS``; ``model`` is required
==========  ===========================================================

A field that is not understood is an error that names the connection and the
field, never its value: keys are pasted into the wrong field all the time.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import urlsplit

from airflow_agent_provider.drivers.endpoint import Endpoint
from airflow_agent_provider.exceptions import ConfigurationError
from airflow_agent_provider.hooks.llm_extras import read_extras
from airflow_agent_provider.wire.anthropic_messages import AnthropicMessages
from airflow_agent_provider.wire.families import accepts_temperature, max_tokens_field
from airflow_agent_provider.wire.openai_chat import OpenAIChat
from airflow_agent_provider.wire.wire import Wire


class ConnectionFields(Protocol):
    """What is read of Airflow's ``Connection``."""

    conn_id: str
    host: str | None
    schema: str | None
    port: int | None
    password: str | None
    extra: str | None


@dataclass(frozen=True, slots=True)
class Provider:
    """
    What is known of a provider.

    :param base_url: where it is when the connection names no host; None when it must.
    :param path: added to a host that is given without a URL.
    :param needs_key: its public servers answer nobody without a key.
    """

    base_url: str | None
    path: str = "/v1"
    needs_key: bool = False
    speaks_anthropic: bool = False


PROVIDERS = {
    "openai": Provider("https://api.openai.com/v1", needs_key=True),
    "anthropic": Provider("https://api.anthropic.com", path="", needs_key=True, speaks_anthropic=True),
    "vllm": Provider("http://localhost:8000/v1"),
    "ollama": Provider("http://localhost:11434/v1"),
    "llamacpp": Provider("http://localhost:8080/v1"),
    "litellm": Provider("http://localhost:4000/v1"),
    "openai_compatible": Provider(None),
    "anthropic_compatible": Provider(None, path="", speaks_anthropic=True),
}

# Extras that are fields of Endpoint under the same name.
ENDPOINT_EXTRAS = (
    "max_tokens",
    "timeout_s",
    "connect_timeout_s",
    "read_timeout_s",
    "max_retries",
    "max_connections",
    "max_body_bytes",
    "headers",
    "trust_env",
)


def read_connection(connection: ConnectionFields, *, model: str | None = None) -> tuple[Wire, Endpoint]:
    """
    Read a connection into what a model needs.

    :param model: asked instead of the connection's own model.
    :raises ConfigurationError: names the connection and the field that is wrong.
    """
    where = f"connection {connection.conn_id!r}"
    extras = read_extras(connection.extra, where)
    provider = PROVIDERS[extras.get("provider", "openai")]
    model = model or extras.get("model")
    if not model:
        raise ConfigurationError(f"{where}: extra 'model' is missing: name the model to ask")
    base_url = _base_url(connection, provider, where)
    if provider.speaks_anthropic:
        base_url = base_url.removesuffix("/v1")
    key = _key(connection.password, where)
    settings = {name: extras[name] for name in ENDPOINT_EXTRAS if name in extras}
    endpoint = Endpoint(name=where, base_url=base_url, model=model, key=key, **settings)
    if provider.needs_key and not connection.host and not endpoint.secrets:
        raise ConfigurationError(f"{where}: password is missing: it holds the API key")
    if endpoint.secrets and not extras.get("allow_http", False):
        _require_private_transport(base_url, where)
    return _wire(provider, endpoint, extras), endpoint


def _wire(provider: Provider, endpoint: Endpoint, extras: Mapping[str, Any]) -> Wire:
    send_temperature = extras.get("send_temperature", accepts_temperature(endpoint.model))
    extra_body = extras.get("extra_body", {})
    if provider.speaks_anthropic:
        return AnthropicMessages(send_temperature, extra_body)
    tokens_field = extras.get("max_tokens_field", max_tokens_field(endpoint.model, endpoint.base_url))
    return OpenAIChat(tokens_field, send_temperature, extra_body)


def _key(password: str | None, where: str) -> str | None:
    if password and not (password.isascii() and password.isprintable() and " " not in password):
        raise ConfigurationError(
            f"{where}: password holds blanks, line breaks or letters that no API key has: paste the key again"
        )
    return password or None


def _base_url(connection: ConnectionFields, provider: Provider, where: str) -> str:
    """Put the base URL together from the fields of the form, or of a connection URI, which splits it."""
    host, schema = (connection.host or "").strip().rstrip("/"), connection.schema or ""
    if not host:
        if provider.base_url is None:
            raise ConfigurationError(f"{where}: host is missing: it holds the base URL, e.g. https://host/v1")
        return provider.base_url
    if "://" in host:
        # llm://https://host:8000/v1 arrives as host, port and, for the path, schema.
        path = "" if schema in {"", "http", "https"} else f"/{schema.strip('/')}"
    elif schema in {"http", "https"}:
        host, path = f"{schema}://{host}", provider.path
    else:
        raise ConfigurationError(
            f"{where}: host must be a base URL with its scheme, e.g. https://host/v1 "
            "(or schema must be http or https)"
        )
    scheme, _, rest = host.partition("://")
    authority, slash, given_path = rest.partition("/")
    if connection.port and not re.search(r":\d+$", authority):
        authority = f"{authority}:{connection.port}"
    url = f"{scheme.lower()}://{authority}{slash}{given_path}{path}"
    _require_plain_url(url, where)
    return url


def _require_plain_url(url: str, where: str) -> None:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if not usable or not url.isascii() or not url.isprintable() or " " in url:
        raise ConfigurationError(f"{where}: host is no http or https URL, e.g. https://host/v1")
    if parts.username is not None or parts.password is not None:
        raise ConfigurationError(f"{where}: host holds credentials: put the key into password")
    if parts.query or parts.fragment:
        raise ConfigurationError(f"{where}: host must end with its path, without ? and #")


def _require_private_transport(url: str, where: str) -> None:
    parts = urlsplit(url)
    if parts.scheme == "https" or _is_this_machine(parts.hostname or ""):
        return
    raise ConfigurationError(
        f"{where}: host is plain http, over which the key could be read on its way: use https, "
        "or set extra 'allow_http' to true in a network that you trust"
    )


def _is_this_machine(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
