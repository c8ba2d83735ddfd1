"""
Which data may go where, as values; deciding is plain code.

Two kinds of rule. A :class:`Residency` binds all data with a tag to regions,
whatever is in it and redacted or not: data tagged ``eu`` stays in the EU (GDPR,
chapter V). A :class:`Rule` says what happens to one class of personal data on its
way to some destinations: ``allow`` sends it, ``redact`` replaces it by
placeholders, ``refuse`` stops the call. The first rule that fits decides; where
none fits, the policy's ``otherwise`` does, which is ``redact`` unless said
differently. So a policy without rules is already a careful one.

A destination's region is what its connection declares. ``local`` is a model on
one's own machines: data does not leave, so every residency holds. A connection
that declares no region satisfies none.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Literal, get_args

from airflow_agent_provider.exceptions import ConfigurationError
from airflow_agent_provider.governance.personal_data import DATA_CLASSES, DataClass

Action = Literal["allow", "redact", "refuse"]
ACTIONS: tuple[Action, ...] = get_args(Action)
LOCAL = "local"


@dataclass(frozen=True, slots=True)
class Destination:
    """
    Where a call would go.

    :param connection: the connection's id.
    :param provider: who runs the model, such as ``anthropic``.
    :param region: where, as the connection declares it: ``eu``, ``us``, ``eu-west-1``,
        ``local``; empty when it declares none.
    """

    connection: str
    provider: str = ""
    region: str = ""

    def within(self, regions: Iterable[str]) -> bool:
        """Say whether the region is one of these or a part of one: ``eu-west-1`` is part of ``eu``."""
        own = self.region.lower()
        return any(own == region.lower() or own.startswith(f"{region.lower()}-") for region in regions)


@dataclass(frozen=True, slots=True)
class Residency:
    """Data with a tag goes to these regions only, and to local models."""

    tag: str
    regions: tuple[str, ...]

    def admits(self, destination: Destination) -> bool:
        return destination.within((*self.regions, LOCAL))


@dataclass(frozen=True, slots=True)
class Rule:
    """
    What happens to data of some classes on the way to some destinations.

    An empty condition fits everything; several must all fit.

    :param name: as it is shown in audit records.
    :param regions: declared regions that the rule is about, ``local`` among them.
    :param tags: fits when the data has one of these.
    :raises ConfigurationError: when the action or a class is unknown.
    """

    name: str
    action: Action
    classes: tuple[DataClass, ...] = ()
    connections: tuple[str, ...] = ()
    providers: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _require_known(f"Rule({self.name!r})", self.action, self.classes)

    def fits(self, data_class: DataClass, tags: Collection[str], destination: Destination) -> bool:
        return (
            (not self.classes or data_class in self.classes)
            and (not self.connections or destination.connection in self.connections)
            and (not self.providers or destination.provider in self.providers)
            and (not self.regions or destination.within(self.regions))
            and (not self.tags or not set(self.tags).isdisjoint(tags))
        )


@dataclass(frozen=True, slots=True)
class Decision:
    """
    What a policy says of one call to one destination.

    :param actions: what happens to each class that occurs.
    :param compliant: whether the call may be made, with its redactions.
    :param reason: one line; names rules, classes, tags and the destination, never content.
    :param rules: names of the rules that decided.
    """

    actions: dict[DataClass, Action]
    compliant: bool
    reason: str
    rules: tuple[str, ...] = ()

    def classes(self, action: Action) -> frozenset[DataClass]:
        """Give the classes that an action was decided for."""
        return frozenset(one for one, decided in self.actions.items() if decided == action)


@dataclass(frozen=True, slots=True)
class Policy:
    """
    Rules in order, and what holds where none fits.

    :param name: as it is shown in audit records.
    :raises ConfigurationError: when an action is unknown, or two rules have one name.
    """

    name: str = "default"
    rules: tuple[Rule, ...] = ()
    residency: tuple[Residency, ...] = field(default=(Residency("eu", ("eu",)),))
    otherwise: Action = "redact"

    def __post_init__(self) -> None:
        _require_known(f"Policy({self.name!r})", self.otherwise, ())
        names = [rule.name for rule in self.rules]
        if len(set(names)) < len(names):
            raise ConfigurationError(f"Policy({self.name!r}): two rules have the same name: rename one")

    def decide(
        self, classes: Collection[DataClass], tags: Collection[str], destination: Destination
    ) -> Decision:
        """
        Decide about one call.

        :param classes: data classes that occur in it.
        :param tags: what the caller says of the data, such as ``eu``.
        """
        decided = {one: self._rule(one, tags, destination) for one in DATA_CLASSES if one in classes}
        actions = {one: rule.action if rule else self.otherwise for one, rule in decided.items()}
        names = tuple(dict.fromkeys(rule.name for rule in decided.values() if rule))
        bound = [one for one in self.residency if one.tag in tags and not one.admits(destination)]
        if bound:
            return Decision(actions, False, _out_of_region(bound[0], destination), names)
        refused = [one for one, action in actions.items() if action == "refuse"]
        if refused:
            rule = decided[refused[0]]
            why = f"rule {rule.name!r}" if rule else f"policy {self.name!r}"
            return Decision(
                actions,
                False,
                f"{why} refuses {', '.join(refused)} to connection {destination.connection!r}",
                names,
            )
        redacted = [one for one, action in actions.items() if action == "redact"]
        return Decision(
            actions, True, f"redacts {', '.join(redacted)}" if redacted else "nothing to redact", names
        )

    def _rule(self, data_class: DataClass, tags: Collection[str], destination: Destination) -> Rule | None:
        return next((rule for rule in self.rules if rule.fits(data_class, tags, destination)), None)


def _out_of_region(residency: Residency, destination: Destination) -> str:
    declared = f"declares region {destination.region!r}" if destination.region else "declares no region"
    return (
        f"data tagged {residency.tag!r} may go to regions {', '.join((*residency.regions, LOCAL))} only, "
        f"connection {destination.connection!r} {declared}"
    )


def _require_known(where: str, action: str, classes: Iterable[str]) -> None:
    if action not in ACTIONS:
        raise ConfigurationError(f"{where}: action {action!r} is none of {', '.join(ACTIONS)}")
    for data_class in classes:
        if data_class not in DATA_CLASSES:
            raise ConfigurationError(f"{where}: class {data_class!r} is none of {', '.join(DATA_CLASSES)}")
