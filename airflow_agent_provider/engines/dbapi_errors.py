"""
A database's errors in this package's terms, by SQLSTATE.

The codes are standard SQL and Postgres' own
(https://www.postgresql.org/docs/current/errcodes-appendix.html). A driver's text may
quote a row's value (class 22) or the connection string, so it is shown only for the
codes that speak of names and syntax; the original is not chained.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator

from airflow_agent_provider.exceptions import (
    AgentProviderError,
    ColumnNotFound,
    ConfigurationError,
    DataError,
    SourceNotFound,
    SourceUnavailable,
)

TIMED_OUT = "57014"
PERMISSION = "42501"
UNDEFINED_COLUMN = "42703"
MISSING = frozenset({"42P01", "3F000", "3D000"})
# Lost connection, no resources, stopped by an operator, in conflict with another transaction, system fault.
PASSING_CLASSES = frozenset({"08", "53", "57", "40", "58"})
NO_ENTRY = re.compile(
    r"authentication failed|no password|does not exist|no pg_hba.conf entry|invalid dsn|SSL", re.IGNORECASE
)


@contextlib.contextmanager
def translated(label: str) -> Iterator[None]:
    """
    Raise what a driver raises as an error of this package.

    :param label: the batch, for messages.
    """
    try:
        yield
    except AgentProviderError:
        raise
    except Exception as error:
        if not _is_driver_error(error):
            raise
        raise _translate(error, label) from None


def _is_driver_error(error: Exception) -> bool:
    """Tell a DB-API error (PEP 249) by its ancestry: each driver has classes of its own of these names."""
    return any(base.__name__ in {"Error", "DatabaseError", "InterfaceError"} for base in type(error).__mro__)


def _translate(error: Exception, label: str) -> AgentProviderError:
    code = getattr(error, "sqlstate", None) or getattr(error, "pgcode", None) or ""
    first = str(error).partition("\n")[0].strip()
    if not code:
        return _without_code(type(error).__name__, first, label)
    if code == TIMED_OUT:
        return SourceUnavailable(f"{label}: the statement took longer than its time-out and was ended")
    if code[:2] == "28":
        return ConfigurationError(
            f"{label}: the database refuses the login; check the connection's user and password"
        )
    if code[:2] in PASSING_CLASSES:
        return SourceUnavailable(
            f"{label}: the database broke off ({code} {type(error).__name__}); try again"
        )
    if code == PERMISSION:
        return ConfigurationError(
            f"{label}: {first}; grant it to the connection's user, or use another connection"
        )
    if code in MISSING:
        return SourceNotFound(f"{label}: {first}; check the name, its schema and the connection")
    if code == UNDEFINED_COLUMN:
        return ColumnNotFound(f"{label}: {first}")
    if code[:2] == "42":
        return DataError(f"{label}: the database refuses the statement: {first}")
    return DataError(f"{label}: the database could not compute it ({code} {type(error).__name__})")


def _without_code(kind: str, first: str, label: str) -> AgentProviderError:
    """Judge an error that came before a session: only its text tells a wrong login from a dead server."""
    if kind not in {"OperationalError", "InterfaceError", "ProgrammingError"}:
        return DataError(f"{label}: the driver could not read the answer ({kind})")
    if kind == "ProgrammingError" or NO_ENTRY.search(first):
        return ConfigurationError(
            f"{label}: the database refuses the connection; check its host, database, user and password"
        )
    return SourceUnavailable(
        f"{label}: the database does not answer; check that it runs and the connection's host and port"
    )
