"""
Reading a connection of type ``llm``: every field checked before anything is sent.

==========  ===========================================================
field       meaning
==========  ===========================================================
host        base URL with scheme; may be left out where the provider
            has a public one. Also host, port and ``http`` or ``https``
            as schema, to which the provider's usual path is added.
            For Azure the resource's address is enough.
password    API key. For Bedrock it may be left out: then each request
            is signed with the credentials of an ``aws`` connection.
extra       the fields of ``llm_extras.EXTRAS``; ``model`` is required
==========  ===========================================================

A field that is not understood is an error that names the connection and the
field, never its value: keys are pasted into the wrong field all the time.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from typing import Any, Protocol
from urllib.parse import urlsplit

from airflow_agent_provider.drivers.endpoint import Endpoint
from airflow_agent_provider.exceptions import ConfigurationError
from airflow_agent_provider.hooks.llm_extras import read_extras
from airflow_agent_provider.hooks.llm_providers import PROVIDERS, SPECIAL_EXTRAS, Provider
from airflow_agent_provider.wire.wire import Wire


class ConnectionFields(Protocol):
    """What is read of Airflow's ``Connection``."""

    conn_id: str
    host: str | None
    schema: str | None
    port: int | None
    password: str | None
    extra: str | None


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
    "region",
)


def read_connection(connection: ConnectionFields, *, model: str | None = None) -> tuple[Wire, Endpoint]:
    """
    Read a connection into what a model needs.

    :param model: asked instead of the connection's own model.
    :raises ConfigurationError: names the connection and the field that is wrong.
    """
    where = f"connection {connection.conn_id!r}"
    extras = read_extras(connection.extra, where)
    name = extras.get("provider", "openai")
    provider = PROVIDERS[name]
    _require_fitting(extras, name, where)
    model = model or extras.get("model")
    if not model:
        raise ConfigurationError(f"{where}: extra 'model' is missing: name the model to ask")
    key = _key(connection.password, where)
    settings = {name: extras[name] for name in ENDPOINT_EXTRAS if name in extras}
    endpoint = Endpoint(where, _base_url(connection, provider, where), model, key, provider=name, **settings)
    endpoint = provider.place(endpoint, extras)
    if not endpoint.base_url:
        raise ConfigurationError(f"{where}: host is missing: it holds the base URL, e.g. https://host/v1")
    _require_plain_url(endpoint.base_url, where)
    if provider.needs_key and not connection.host and not endpoint.secrets:
        raise ConfigurationError(f"{where}: password is missing: it holds the API key")
    if (endpoint.secrets or endpoint.signer) and not extras.get("allow_http", False):
        _require_private_transport(endpoint.base_url, where)
    return provider.wire(model, endpoint.base_url, extras), endpoint


def _require_fitting(extras: Mapping[str, Any], name: str, where: str) -> None:
    """Refuse extras that this provider would silently leave aside."""
    strange = sorted(SPECIAL_EXTRAS & set(extras) - PROVIDERS[name].extras)
    if strange:
        users = ", ".join(one for one, provider in PROVIDERS.items() if strange[0] in provider.extras)
        raise ConfigurationError(
            f"{where}: extra {strange[0]!r} means nothing to provider {name}, only to {users}"
        )


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
        return provider.base_url or ""
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
    return f"{scheme.lower()}://{authority}{slash}{given_path}{path}"


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
