"""
A model that is told no personal data, and goes nowhere that the policy forbids.

It stands around each endpoint of its own, so that a route can be refused one
destination and take the next. What the wire carries holds placeholders; the answer
comes back with the values in their places. Every call leaves an audit record:
where to, under which policy, how many values of which class; never content.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Protocol, Self, cast

from airflow_agent_provider.core.effects import CallModel, fingerprint
from airflow_agent_provider.core.messages import ModelReply
from airflow_agent_provider.core.model import Model
from airflow_agent_provider.drivers.endpoint import Endpoint
from airflow_agent_provider.exceptions import PolicyRefused
from airflow_agent_provider.governance.audit import AuditRecord
from airflow_agent_provider.governance.clearance import clear
from airflow_agent_provider.governance.policy import Destination, Policy
from airflow_agent_provider.governance.redaction import Redactor


class EndpointModel(Model, Protocol):
    """What a model of one endpoint offers, with or without a cache before it."""

    @property
    def endpoint(self) -> Endpoint: ...

    async def models(self) -> tuple[str, ...]: ...

    async def aclose(self) -> None: ...


class PrivateModel:
    """
    A ``core.model.Model`` around one endpoint.

    :param model: asks the endpoint.
    :param destination: what the policy knows of it.
    :param redactor: shared by all models of a flow, so that a text is scanned once.
    :param tags: what the caller says of the data, such as ``eu``.
    :param on_audit: told of every call, refused ones too.
    """

    def __init__(
        self,
        model: EndpointModel,
        destination: Destination,
        *,
        policy: Policy | None = None,
        redactor: Redactor | None = None,
        tags: Collection[str] = (),
        on_audit: Callable[[AuditRecord], None] | None = None,
    ) -> None:
        self.model = model
        self.destination = destination
        self.policy = policy or Policy()
        self.redactor = redactor or Redactor()
        self.tags = tuple(tags)
        self._on_audit = on_audit

    @property
    def endpoint(self) -> Endpoint:
        """Where it asks."""
        return self.model.endpoint

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the endpoint's connections."""
        await self.model.aclose()

    async def models(self) -> tuple[str, ...]:
        """Give the ids of the models that the server says it has."""
        return await self.model.models()

    async def answer(self, call: CallModel) -> ModelReply:
        """
        Ask with placeholders, and answer with values.

        :raises PolicyRefused: when the data may not go there.
        """
        try:
            clearance = clear(
                call,
                policy=self.policy,
                redactor=self.redactor,
                destination=self.destination,
                tags=self.tags,
                fingerprint=fingerprint(call) if self._on_audit else "",
            )
        except PolicyRefused as refused:
            self._audit(cast("AuditRecord | None", refused.record))
            raise
        self._audit(clearance.record)
        return clearance.restore(await self.model.answer(clearance.call))

    def _audit(self, record: AuditRecord | None) -> None:
        if self._on_audit and record:
            self._on_audit(record)
