"""
Where a batch comes from.

A source is a value in a DAG file; it opens nothing until it is asked to. ``open()``
gives the batch to measure, ``dataset`` the name that its history is kept under, and
``label`` what people and messages call it.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_agent_provider.core.spec import Spec, pending
from airflow_agent_provider.exceptions import ConfigurationError

if TYPE_CHECKING:
    from airflow_agent_provider.quality.batch import Batch


@dataclass(frozen=True, kw_only=True)
class Source(Spec):
    """
    Base of all sources.

    :param name: names the data set in the history, where the default does not fit:
        two sources over different parts of one table are two data sets.
    """

    name: str | None = None

    def __post_init__(self) -> None:
        if self.name is not None and (not isinstance(self.name, str) or not self.name.strip()):
            raise ConfigurationError(f"{type(self).__name__}(name={self.name!r}): must be text, or left out")

    def open(self) -> AbstractContextManager[Batch]:
        """
        Open the batch.

        :raises ConfigurationError: when the source is written wrongly or may not be read.
        :raises DataError: when what it names is not there or cannot be read.
        :raises SourceUnavailable: when it does not answer.
        """
        raise NotImplementedError

    @property
    def dataset(self) -> str:
        """Name what is measured, without the part that differs from batch to batch."""
        raise NotImplementedError

    @property
    def label(self) -> str:
        """Name this batch for people; holds no secret."""
        raise NotImplementedError

    def require_text(self, *names: str) -> None:
        """Refuse fields that must be text and are not."""
        for name in names:
            value = getattr(self, name)
            if not isinstance(value, str) or not value.strip():
                raise ConfigurationError(f"{type(self).__name__}({name}={value!r}): must be text")

    def settle_columns(self, name: str = "columns") -> None:
        """Bring the list of columns to measure to a tuple; None and an empty list mean all."""
        columns = getattr(self, name)
        if columns is None or (isinstance(columns, str) and pending(columns)):
            return
        if isinstance(columns, str):
            columns = [columns]
        if not isinstance(columns, (list, tuple)) or not all(
            isinstance(one, str) and one.strip() for one in columns
        ):
            raise ConfigurationError(
                f"{type(self).__name__}({name}={columns!r}): must be a list of column names"
            )
        self.settle(name, tuple(dict.fromkeys(columns)) or None)
