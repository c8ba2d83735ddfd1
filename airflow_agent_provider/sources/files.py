"""
Files on disk.

A path may hold wildcards; the files that they find are one batch. What a file is,
its suffix tells, through ``.gz`` too.
"""

from __future__ import annotations

import contextlib
import glob
import re
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from airflow_agent_provider.core.spec import pending
from airflow_agent_provider.exceptions import ConfigurationError, SourceNotFound
from airflow_agent_provider.sources.source import Source

if TYPE_CHECKING:
    from airflow_agent_provider.engines.duckdb import Format
    from airflow_agent_provider.quality.batch import Batch

FORMATS = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".csv": "csv",
    ".tsv": "csv",
    ".json": "json",
    ".jsonl": "json",
    ".ndjson": "json",
}
KNOWN = ("parquet", "csv", "json")
WILDCARD = re.compile(r"[*?\[]")
SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")
MEMORY = re.compile(r"\d+(\.\d+)?\s*([KMGT]i?B)", re.IGNORECASE)
# A date or time as file names write it: 2013-02-08, 20130208, 2013-02-08T05, day=8.
MOMENT = re.compile(
    r"(?<!\d)(?:19|20)\d{2}(?P<sep>[-_./]?)(?:0[1-9]|1[0-2])(?:(?P=sep)(?:0[1-9]|[12]\d|3[01]))?"
    r"(?:[T_-]\d{2}(?:[:_-]?\d{2}){0,2}(?:Z|[+-]\d{2}:?\d{2})?)?(?!\d)"
    r"|(?<=year=)\d+|(?<=month=)\d+|(?<=day=)\d+|(?<=hour=)\d+"
)


@dataclass(frozen=True)
class Files(Source):
    """
    One file, or all files that a pattern finds, as one batch.

    CSV is read strictly: each row as wide as the header, UTF-8, an empty field is
    NULL and a quoted empty one is an empty text.

    :param path: ``data/flights_{{ ds }}.parquet`` or ``data/{{ ds }}/*.csv.gz``; on the worker's disk.
    :param format: ``parquet``, ``csv`` or ``json`` (also one object a line); default: by suffix.
    :param columns: columns to measure; default: all.
    :param memory_limit: memory for the measuring; what does not fit goes to disk.
    :param threads: threads for the measuring.
    """

    path: str
    format: str | None = None
    columns: Sequence[str] | None = None
    memory_limit: str = "256MB"
    threads: int = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require_text("path")
        if self.format is not None and not pending(self.format) and self.format not in KNOWN:
            raise ConfigurationError(f"Files(format={self.format!r}): must be one of {', '.join(KNOWN)}")
        if not pending(self.memory_limit) and not MEMORY.fullmatch(str(self.memory_limit)):
            raise ConfigurationError(
                f"Files(memory_limit={self.memory_limit!r}): must be a size such as 256MB"
            )
        if not pending(self.threads):
            if not str(self.threads).isdecimal() or int(self.threads) < 1:
                raise ConfigurationError(f"Files(threads={self.threads!r}): must be at least 1")
            self.settle("threads", int(self.threads))
        self.settle_columns()

    @property
    def dataset(self) -> str:
        """Give the path with its dates left out, so that each day's file adds to one history."""
        return self.name or MOMENT.sub("*", self.path.removeprefix("file://"))

    @property
    def label(self) -> str:
        return self.path

    @contextlib.contextmanager
    def open(self) -> Generator[Batch]:
        from airflow_agent_provider.engines.duckdb import open_files

        paths = self._paths()
        with open_files(
            paths,
            self._format(paths[0]),
            label=self.label,
            columns=self.columns,
            threads=self.threads,
            memory_limit=self.memory_limit,
        ) as batch:
            yield batch

    def _paths(self) -> list[str]:
        path = self.path.removeprefix("file://")
        if scheme := SCHEME.match(path):
            raise ConfigurationError(
                f"Files(path={self.path!r}): {scheme[1]}:// cannot be read; give a path on disk"
            )
        if Path(path).is_dir():
            example = Path(path, "*.parquet")
            raise ConfigurationError(
                f"Files(path={self.path!r}): is a directory; name its files, e.g. {example}"
            )
        # Path.glob takes no absolute pattern.
        found = [path] if Path(path).exists() else sorted(glob.glob(path, recursive=True))  # noqa: PTH207
        files = [one for one in found if Path(one).is_file()]
        if files:
            return files
        what = "no file matches" if WILDCARD.search(path) else "no such file"
        raise SourceNotFound(
            f"{self.path}: {what} on this worker; check the path, and whether the load has run"
        )

    def _format(self, path: str) -> Format:
        name = path.lower().removesuffix(".gz")
        found = self.format or FORMATS.get(Path(name).suffix)
        if found is None:
            raise ConfigurationError(
                f"Files(path={self.path!r}): the suffix does not tell the format; "
                f"give format= one of {', '.join(KNOWN)}"
            )
        return cast("Format", found)
