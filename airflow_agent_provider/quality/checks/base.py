"""
What all checks share: how they are written, what they ask, how they are credited.

A check is a value, not a query. It asks the batch through an
:class:`~airflow_agent_provider.quality.expressions.Expressions`, which builds the SQL of
the batch's dialect, so no check holds SQL and none imports an SQL library: a DAG
file full of checks costs nothing to parse.

::

    check.measures(sql)   ->  {"failing": COUNT(...)}    all checks go into ONE statement
    check.evaluate(found) ->  CheckResult                plain arithmetic on what came back

A *row check* says of each row whether it fails. It passes when the failing share
is at most its ``tolerance``. A row whose value is NULL does not fail (as with an
SQL CHECK constraint); only ``NotNull`` looks for NULLs.

A check that fails still earns credit for how near it came, ``allowed / found``:
one that was allowed 5 % and found 10 % earns half. With no tolerance there is no
partial credit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, get_args

from airflow_agent_provider.core.spec import Spec, pending, snake
from airflow_agent_provider.exceptions import ConfigurationError
from airflow_agent_provider.quality.results import CheckResult, Column, Dimension, Kind, Severity

if TYPE_CHECKING:
    from sqlglot import exp

    from airflow_agent_provider.quality.expressions import Expressions

SEVERITIES: tuple[str, ...] = get_args(Severity)
MOST_CREDIT_OF_A_FAILURE = 0.999


@dataclass(frozen=True, slots=True)
class Measured:
    """
    What a check is evaluated from.

    :param row_count: rows of the batch, at least 1.
    :param columns: the batch's columns by name.
    :param values: what the check's own measures gave.
    :param reference_time: the moment that freshness is counted from.
    """

    row_count: int
    columns: Mapping[str, Column]
    values: Mapping[str, Any]
    reference_time: datetime | None = None


@dataclass(frozen=True)
class Outcome:
    """What a check found, before it is credited."""

    passed: bool
    message: str
    found: float | None
    allowed: float | None
    ratio: float = 0.0
    failing_rows: int | None = None


@dataclass(frozen=True, kw_only=True)
class Check(Spec):
    """
    Base of all checks.

    :param severity: ``info``, ``warning``, ``error`` or ``critical``.
    :param name: what the report calls it; default: the check as it was written.
    :raises ConfigurationError: when a parameter is not allowed.
    """

    dimension: ClassVar[Dimension]
    kinds: ClassVar[tuple[Kind, ...]] = ()

    severity: str = "error"
    name: str | None = None

    def __post_init__(self) -> None:
        if not pending(self.severity) and self.severity not in SEVERITIES:
            self.refuse("severity", f"must be one of {', '.join(SEVERITIES)}")
        if self.name is not None and (not isinstance(self.name, str) or not self.name.strip()):
            self.refuse("name", "must be text, or left out")

    @property
    def used_columns(self) -> tuple[str, ...]:
        """Columns that must exist, and be of one of ``kinds`` if that is not empty."""
        return ()

    @property
    def related_metrics(self) -> tuple[str, ...]:
        """Ids of the profile's metrics that bear on this check."""
        return ()

    @property
    def identity(self) -> str:
        """Give the id that stays when thresholds, severity or name change."""
        return f"{snake(type(self).__name__)}({','.join(self.used_columns)})"

    @property
    def label(self) -> str:
        """Give the name under which the check is reported."""
        return self.name or f"{type(self).__name__}({', '.join(repr(one) for one in self._shown())})"

    def measures(self, sql: Expressions) -> dict[str, exp.Expr]:
        """Give the aggregates to compute, by the name under which :meth:`evaluate` finds them."""
        raise NotImplementedError

    def judge(self, measured: Measured) -> Outcome:
        """Hold what was measured against what is allowed."""
        raise NotImplementedError

    def evaluate(self, measured: Measured) -> CheckResult:
        """Judge and credit; the same values give the same result."""
        outcome = self.judge(measured)
        credit = 1.0 if outcome.passed else min(max(outcome.ratio, 0.0), MOST_CREDIT_OF_A_FAILURE)
        return CheckResult(
            name=self.label,
            dimension=self.dimension,
            severity=self.severity,  # type: ignore[arg-type]  # checked when it was made
            passed=outcome.passed,
            credit=credit,
            found=outcome.found,
            allowed=outcome.allowed,
            message=outcome.message,
            failing_rows=outcome.failing_rows,
            columns=self.used_columns,
            metrics=self.related_metrics,
        )

    def refuse(self, parameter: str, rule: str) -> NoReturn:
        """
        Refuse a parameter's value.

        :raises ConfigurationError: always; names check, parameter, value and rule.
        """
        value = getattr(self, parameter)
        raise ConfigurationError(f"{type(self).__name__}({parameter}={value!r}): {rule}")

    def require_column(self, parameter: str) -> None:
        """Refuse a parameter that does not name a column."""
        value = getattr(self, parameter)
        if not isinstance(value, str) or not value.strip():
            self.refuse(parameter, "must name a column")

    def settle_number(
        self, parameter: str, *, least: float | None = None, below: float | None = None
    ) -> None:
        """Turn a parameter into a finite number within bounds, or refuse it; None is left alone."""
        value = getattr(self, parameter)
        if value is None or pending(value):
            return
        number = as_number(value)
        if (
            number is None
            or (least is not None and number < least)
            or (below is not None and number >= below)
        ):
            limits = [f"of at least {least:g}"] if least is not None else []
            limits += [f"below {below:g}"] if below is not None else []
            self.refuse(parameter, " ".join(["must be a finite number", " and ".join(limits)]).strip())
        self.settle(parameter, number)

    def _shown(self) -> tuple[Any, ...]:
        """Give the arguments that :attr:`label` shows."""
        return self.used_columns


@dataclass(frozen=True, kw_only=True)
class RowCheck(Check):
    """
    Base of the checks that hold or fail row by row.

    :param tolerance: share of the rows that may fail, in [0, 1).
    """

    tolerance: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self.settle_number("tolerance", least=0, below=1)
        if self.tolerance is None:
            self.refuse("tolerance", "must be a number; leave it out for 0")

    def failing(self, sql: Expressions) -> exp.Expr:
        """Give the condition that is true of a failing row."""
        raise NotImplementedError

    def complaint(self, share: str) -> str:
        """Say what is wrong with that share of the rows, without a value of any row."""
        raise NotImplementedError

    def measures(self, sql: Expressions) -> dict[str, exp.Expr]:
        return {"failing": sql.count_where(self.failing(sql))}

    def failing_rows(self, measured: Measured) -> int:
        """Read the number of failing rows off what was measured."""
        return int(measured.values["failing"])

    def judge(self, measured: Measured) -> Outcome:
        failing = self.failing_rows(measured)
        share = failing / measured.row_count
        passed = share <= self.tolerance
        return Outcome(
            passed=passed,
            found=share,
            allowed=self.tolerance,
            ratio=self.tolerance / share if failing else 1.0,
            failing_rows=failing,
            message=f"{self.complaint(f'{percent(share)} of rows')} ({failing} of {measured.row_count}); "
            f"{percent(self.tolerance)} allowed",
        )


def as_number(value: Any) -> int | float | None:
    """Read a finite number, also from text as templates give it; None when it is none."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    if number - number != 0:  # NaN or infinite
        return None
    if isinstance(value, str) and value.strip().lstrip("+-").isdecimal():
        return int(value)
    return number


def percent(share: float) -> str:
    """Write a share as people read it; never rounded up to all or down to none."""
    text = f"{100 * share:.3g}"
    return "over 99.9 %" if text == "100" and share < 1 else f"{text} %"
