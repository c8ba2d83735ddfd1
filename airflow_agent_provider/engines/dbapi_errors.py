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
from collections.abc import Generator

from airflow_agent_provider.exceptions import (
    AgentProviderError,
    ColumnNotFound,
    ConfigurationError,
    DataError,
    SourceNotFound,
    SourceUnavailable,
)

LOGIN = "the database refuses the login; check the connection's user and password"
BROKEN_OFF = "the database broke off ({code} {kind}); try again"
MISSING = "{said}; check the name, its schema and the connection"
# By the start of the SQLSTATE; the first that fits decides.
JUDGEMENTS: tuple[tuple[str, type[AgentProviderError], str], ...] = (
    ("57014", SourceUnavailable, "the statement took longer than its time-out and was ended"),
    ("08", SourceUnavailable, BROKEN_OFF),  # connection lost
    ("40", SourceUnavailable, BROKEN_OFF),  # in conflict with another transaction
    ("53", SourceUnavailable, BROKEN_OFF),  # no resources
    ("57", SourceUnavailable, BROKEN_OFF),  # stopped by an operator
    ("58", SourceUnavailable, BROKEN_OFF),  # system fault
    ("28", ConfigurationError, LOGIN),
    ("42501", ConfigurationError, "{said}; grant it to the connection's user, or use another connection"),
    ("42P01", SourceNotFound, MISSING),
    ("3F000", SourceNotFound, MISSING),
    ("3D000", SourceNotFound, MISSING),
    ("42703", ColumnNotFound, "{said}"),
    ("42", DataError, "the database refuses the statement: {said}"),
    ("", DataError, "the database could not compute it ({code} {kind})"),
)
NO_ENTRY = re.compile(
    r"authentication failed|no password|does not exist|no pg_hba.conf entry|SSL", re.IGNORECASE
)


@contextlib.contextmanager
def translated(label: str) -> Generator[None]:
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
    kind, said = type(error).__name__, str(error).partition("\n")[0].strip()
    code = getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)
    if not code:
        return _without_code(kind, said, label)
    made, text = next((made, text) for start, made, text in JUDGEMENTS if code.startswith(start))
    return made(f"{label}: {text.format(said=said, code=code, kind=kind)}")


def _without_code(kind: str, said: str, label: str) -> AgentProviderError:
    """Judge an error that came before a session: only its text tells a wrong login from a dead server."""
    if kind not in {"OperationalError", "InterfaceError", "ProgrammingError"}:
        return DataError(f"{label}: the driver could not read the answer ({kind})")
    if kind == "ProgrammingError" or NO_ENTRY.search(said):
        return ConfigurationError(
            f"{label}: the database refuses the connection; check its host, database, user and password"
        )
    return SourceUnavailable(
        f"{label}: the database does not answer; check that it runs and the connection's host and port"
    )
