"""
Routes as a DAG author or a connection says them.

A list of ids in the DAG fails over in its order::

    LLMHook(["cheap", "strong"])

A connection with the provider ``route`` lets providers be switched without touching a
DAG; its extras name the connections and how to choose among them::

    {"provider": "route", "route": ["cheap", "strong"], "policy": "cascade", "min_chars": 40}

=============  =====================================================================
policy         extras
=============  =====================================================================
``failover``   none; the default
``cheapest``   none
``cascade``    ``min_chars``; ``validator``: dotted name of a function that is called
               with ``call`` and ``reply`` and says whether the answer is good enough
``threshold``  ``threshold``; ``threshold_by``: ``complexity`` (default) or ``cost``;
               ``prefer``: ``cheap_above`` (default) or ``strong_above``
=============  =====================================================================

A route may stand in a route; one that leads back to itself is refused. In a route the
next connection is the retry: only the last one of the list keeps its usual retries,
unless a connection's ``max_retries`` says otherwise.

Reading is a generator that asks for connections by id and is sent them, so that hooks
can look them up with or without an event loop.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Protocol, TypeAlias

from airflow_agent_provider.drivers.private import EndpointModel
from airflow_agent_provider.drivers.route import RoutedModel, Stop
from airflow_agent_provider.exceptions import ConfigurationError, SourceUnavailable
from airflow_agent_provider.hooks.llm_connection import ConnectionFields
from airflow_agent_provider.hooks.llm_extras import POLICY_EXTRAS, ROUTE_EXTRAS, read_conn_ids, read_extras
from airflow_agent_provider.hooks.llm_terms import LISTED_AS
from airflow_agent_provider.ledger.breaker import LedgerBreaker
from airflow_agent_provider.ledger.control import Terms
from airflow_agent_provider.ledger.database import Database
from airflow_agent_provider.ledger.patience import patiently
from airflow_agent_provider.routing.breaker import retry_at
from airflow_agent_provider.routing.route import (
    Candidate,
    Cascade,
    Cheapest,
    Failover,
    Policy,
    Threshold,
    Validator,
    combined,
    listed_context,
)


class Connect(Protocol):
    """Makes the model of one connection."""

    def __call__(self, connection: ConnectionFields, *, once: bool) -> tuple[EndpointModel, Terms]:
        """
        Give the model, and the terms on which it is asked.

        :param once: do not try again after a failure, unless the connection says so.
        """
        ...


@dataclass(frozen=True, slots=True)
class Leaf:
    """A connection that is asked itself."""

    name: str
    connection: ConnectionFields


@dataclass(frozen=True, slots=True)
class Route:
    """
    Connections that stand for one.

    :param where: how errors call it.
    :param extras: what the connection says of it; empty for a list in a DAG.
    """

    name: str
    where: str
    extras: Mapping[str, Any]
    members: tuple[Tree, ...]


Tree: TypeAlias = Leaf | Route
Reading: TypeAlias = Generator[str, ConnectionFields, Tree]


def read_route(asked: str | Sequence[str]) -> Reading:
    """
    Read a connection with all that it leads to, or a list of connections.

    Yields ids and wants the connections sent.

    :raises ConfigurationError: when a route is empty, leads back to itself or holds a wrong field.
    """
    if isinstance(asked, str):
        return (yield from _read(asked, ()))
    names = read_conn_ids(asked, "llm_conn_id")
    where = f"route of {', '.join(names)}"
    return Route(where, where, {}, (yield from _read_all(names, ())))


def leaves(tree: Tree) -> list[Leaf]:
    """Give the connections that are asked themselves."""
    if isinstance(tree, Leaf):
        return [tree]
    return [leaf for member in tree.members for leaf in leaves(member)]


def open_route(route: Route, connect: Connect, ledger: Database, *, patient: bool = True) -> RoutedModel:
    """
    Make the model of a route.

    :param patient: whether its last connection keeps its usual retries.
    :raises ConfigurationError: names the connection and the field that is wrong.
    """
    last = route.members[-1]
    stops = [
        _open_stop(member, connect, ledger, patient=patient and member is last) for member in route.members
    ]
    return RoutedModel(route.where, stops, read_policy(route))


def read_policy(route: Route) -> Policy:
    """
    Read how a route chooses.

    :raises ConfigurationError: when the validator cannot be imported.
    """
    extras = route.extras
    match extras.get("policy", "failover"):
        case "cheapest":
            return Cheapest()
        case "cascade":
            name = extras.get("validator")
            validator = _validator(name, route.where) if name else None
            return Cascade(extras.get("min_chars", 0), validator)
        case "threshold":
            by, prefer = extras.get("threshold_by", "complexity"), extras.get("prefer", "cheap_above")
            return Threshold(extras["threshold"], by, prefer)
        case _:
            return Failover()


def read_candidate(name: str, connection: ConnectionFields, model: EndpointModel, terms: Terms) -> Candidate:
    """Give the facts of a connection: what it says itself, else what the price list knows."""
    endpoint = model.endpoint
    extras = read_extras(connection.extra, endpoint.name)
    known_as = LISTED_AS.get(extras.get("provider", "openai"))
    listed = listed_context(known_as, endpoint.model) if known_as else None
    return Candidate(
        name,
        model=endpoint.model,
        price=terms.price,
        context_tokens=extras.get("context_tokens", listed),
        max_tokens=endpoint.max_tokens,
        supports_tools=extras.get("supports_tools", True),
        supports_schema=extras.get("supports_schema", True),
        region=endpoint.region,
    )


def _read(name: str, path: tuple[str, ...]) -> Reading:
    if name in path:
        raise ConfigurationError(
            f"connection {path[0]!r}: its route leads back to itself: {' -> '.join((*path, name))}"
        )
    connection = yield name
    where = f"connection {name!r}"
    extras = read_extras(connection.extra, where)
    if extras.get("provider") != "route":
        return Leaf(name, connection)
    _require_route(connection, extras, where)
    return Route(name, where, extras, (yield from _read_all(extras["route"], (*path, name))))


def _read_all(
    names: Sequence[str], path: tuple[str, ...]
) -> Generator[str, ConnectionFields, tuple[Tree, ...]]:
    members: list[Tree] = []
    for name in names:
        member = yield from _read(name, path)
        members.append(member)
    return tuple(members)


def _require_route(connection: ConnectionFields, extras: Mapping[str, Any], where: str) -> None:
    """Refuse what a route would silently leave aside."""
    if "route" not in extras:
        raise ConfigurationError(f"{where}: extra 'route' is missing: list the connections to ask")
    policy = extras.get("policy", "failover")
    # The form sends its boxes, ticked or not.
    strange = sorted(
        name for name in set(extras) - ROUTE_EXTRAS - {"provider"} if not isinstance(extras[name], bool)
    )
    if strange or connection.host or connection.password:
        field = f"extra {strange[0]!r}" if strange else "host" if connection.host else "password"
        raise ConfigurationError(
            f"{where}: {field} belongs to the connections of the route, not to the route"
        )
    strange = sorted(set(extras) & ROUTE_EXTRAS - {"route", "policy"} - POLICY_EXTRAS[policy])
    if strange:
        owner = next(name for name, own in POLICY_EXTRAS.items() if strange[0] in own)
        raise ConfigurationError(
            f"{where}: extra {strange[0]!r} means nothing to policy {policy}, only to {owner}"
        )
    if policy == "threshold" and "threshold" not in extras:
        raise ConfigurationError(f"{where}: extra 'threshold' is missing: policy threshold needs it")


def _open_stop(tree: Tree, connect: Connect, ledger: Database, *, patient: bool) -> Stop:
    if isinstance(tree, Route):
        route = open_route(tree, connect, ledger, patient=patient)
        facts = combined(tree.name, [stop.candidate for stop in route.stops])
        return Stop(facts, route, route.open_until)
    model, terms = connect(tree.connection, once=not patient)
    return Stop(read_candidate(tree.name, tree.connection, model, terms), model, _health(ledger, terms))


def _health(ledger: Database, terms: Terms) -> Callable[[], Awaitable[float]]:
    """Give a function that tells when an endpoint may be asked again."""
    breaker = LedgerBreaker(ledger, terms.breaker)
    prepared = False

    def read() -> float:
        nonlocal prepared
        if not prepared:
            breaker.prepare()
            prepared = True
        health = breaker.health(terms.endpoint)
        return max(retry_at(health, terms.breaker), health.probe_until or 0.0)

    async def open_until() -> float:
        try:
            return await patiently(ledger, read)
        except (SourceUnavailable, ConfigurationError):
            return 0.0  # unknown health is no reason not to ask; the breaker itself says so in the log

    return open_until


def _validator(name: str, where: str) -> Validator:
    module, _, attribute = name.rpartition(".")
    try:
        found = getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        reason = type(error).__name__
    else:
        if callable(found):
            validator: Validator = found
            return validator
        reason = "it is no function"
    raise ConfigurationError(f"{where}: extra 'validator': {name} cannot be used ({reason})")
