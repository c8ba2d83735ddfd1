"""Where this package's errors become Airflow's."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from airflow_agent_provider.exceptions import PermanentError


@contextmanager
def retries_where_they_help() -> Generator[None]:
    """
    Fail the task at once on an error that no retry can mend.

    Transient errors pass as they are: Airflow's own retries apply to them.

    :raises AirflowFailException: names the error's class and says what it said.
    """
    from airflow.sdk.exceptions import AirflowFailException

    try:
        yield
    except PermanentError as error:
        raise AirflowFailException(f"{type(error).__name__}: {error}") from error
