"""
DuckDB over files: read where they lie, and closed to everything else.

Parquet is scanned in place. CSV and JSON have no columns to skip to and may break
off in any line, so they are parsed once, strictly, into a table that spills to
disk: what is wrong with a file is found before anything is measured, and
drill-down queries do not parse again.

The connection may read the batch's files and its own temporary directory and
nothing else; it installs and loads no extension, opens no network connection, and
its settings are locked
(https://duckdb.org/docs/stable/operations_manual/securing_duckdb/overview).
Memory is capped; what does not fit goes to the temporary directory.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import urllib.parse
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from airflow_agent_provider.engines.delimited import identifier, literal, load_csv, require_distinct
from airflow_agent_provider.engines.duckdb_errors import translated
from airflow_agent_provider.exceptions import ColumnNotFound, ConfigurationError, DataError, EmptyBatch
from airflow_agent_provider.quality.quarantine import BATCH_KEY, QUARANTINED_AT
from airflow_agent_provider.quality.results import Column, Kind

if TYPE_CHECKING:
    import duckdb

Format = Literal["parquet", "csv", "json"]

THREADS = 2
MEMORY_LIMIT = "256MB"
FILES, RELATION, NUMBERED = "rows_of_files", "measured", "measured_with_row"
PARQUET_ROW = "file_row_number"
ROW = "row_of_file"
KINDS: dict[str, Kind] = {
    **dict.fromkeys(("VARCHAR", "ENUM", "UUID"), "text"),
    **dict.fromkeys(("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "DECIMAL"), "number"),
    **dict.fromkeys(("UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "UHUGEINT"), "number"),
    **dict.fromkeys(("FLOAT", "DOUBLE"), "number"),
    **dict.fromkeys(("DATE", "TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS"), "time"),
    "TIMESTAMP WITH TIME ZONE": "time",
    "BOOLEAN": "boolean",
}


class DuckdbBatch:
    """
    A batch in files, measured by DuckDB; made by :func:`open_files`.

    :ivar relation: a view or table over the files.
    """

    dialect = "duckdb"
    relation = RELATION

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, label: str, workspace: Path, columns: tuple[Column, ...]
    ) -> None:
        self.label = label
        self._connection = connection
        self._workspace = workspace
        self._columns = columns

    def columns(self) -> tuple[Column, ...]:
        return self._columns

    def sample(self, every: int) -> str:
        listed = ", ".join(identifier(column.name) for column in self._columns)
        return f"(SELECT {listed} FROM {NUMBERED} WHERE HASH({ROW}) % {int(every)} = 0) AS sampled"

    def rows(self, sql: str, *, max_rows: int) -> list[dict[str, Any]]:
        """
        Run one SELECT.

        :raises DataError: when it is no single SELECT, or fails.
        """
        import duckdb

        with translated(self.label):
            statements = self._connection.extract_statements(sql)
            if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
                raise DataError(f"{self.label}: only a single SELECT can be run")
            query = statements[0].query.strip().rstrip(";")
            found = self._connection.execute(f"SELECT * FROM ({query}\n) LIMIT {int(max_rows)}")
            names = [one[0] for one in found.description]
            return [dict(zip(names, row, strict=True)) for row in found.fetchall()]

    def write_quarantine(self, target: str, batch_key: str, sql: str) -> int:
        """
        Write the rows that ``sql`` gives as Parquet; a rerun of the batch replaces them.

        :param target: a ``.parquet`` file, or a directory that gets one file per batch.
        :return: rows written; 0 leaves no file.
        :raises ConfigurationError: when the target cannot be written.
        """
        staged = self._workspace / "quarantine.parquet"
        stamp = f"{literal(batch_key)} AS {BATCH_KEY}, now() AS {QUARANTINED_AT}"
        with translated(self.label):
            [(rows,)] = self._connection.execute(
                f"COPY (SELECT *, {stamp} FROM ({sql}\n)) TO {literal(str(staged))} (FORMAT parquet)"
            ).fetchall()
        try:
            _publish(staged, _quarantine_file(target, batch_key), rows)
        except OSError as error:
            raise ConfigurationError(
                f"quarantine {target}: cannot be written ({error.strerror}); "
                "give a path that the worker may write"
            ) from error
        return int(rows)


@contextlib.contextmanager
def open_files(
    paths: Sequence[str],
    file_format: Format,
    *,
    label: str,
    columns: Sequence[str] | None = None,
    threads: int = THREADS,
    memory_limit: str = MEMORY_LIMIT,
) -> Generator[DuckdbBatch]:
    """
    Open files of one format as a batch.

    :param paths: existing files; all of the same columns.
    :param columns: the columns to measure, or None for all.
    :param memory_limit: as DuckDB writes it, ``256MB``; more goes to disk.
    :raises UnreadableFile: when a file is not what its format says.
    :raises EmptyBatch: when there are no columns.
    :raises ColumnNotFound: when a wanted column is not there.
    """
    workspace = Path(tempfile.mkdtemp(prefix="agent-provider-"))
    try:
        with contextlib.closing(_connect(paths, workspace, threads, memory_limit)) as connection:
            with translated(label):
                _bind(connection, [str(Path(path).resolve()) for path in paths], file_format)
                names = _project(connection, label, columns)
            yield DuckdbBatch(connection, label, workspace, names)
    finally:
        shutil.rmtree(workspace, ignore_errors=True)


def _connect(
    paths: Sequence[str], workspace: Path, threads: int, memory_limit: str
) -> duckdb.DuckDBPyConnection:
    import duckdb

    connection = duckdb.connect(
        config={
            "threads": str(threads),
            "memory_limit": memory_limit,
            "temp_directory": str(workspace),
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
        }
    )
    files = ", ".join(literal(str(Path(path).resolve())) for path in paths)
    connection.execute(f"SET allowed_paths = [{files}]")
    connection.execute(f"SET allowed_directories = [{literal(str(workspace))}]")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute("SET lock_configuration = true")
    return connection


def _bind(connection: duckdb.DuckDBPyConnection, paths: Sequence[str], file_format: Format) -> None:
    """Make the table or view ``rows_of_files``."""
    files = ", ".join(literal(path) for path in paths)
    if file_format == "csv":
        load_csv(connection, paths, table=FILES)
    elif file_format == "json":
        connection.execute(
            f"CREATE TABLE {FILES} AS SELECT * FROM read_json([{files}], sample_size = -1, "
            "dateformat = 'iso', timestampformat = 'iso', convert_strings_to_integers = false)"
        )
    else:
        for path in paths:
            require_distinct(_parquet_columns(connection, path), path)
        # The row number is read with the rows, so that a view can offer it: which rows a
        # sample holds must not depend on the order in which threads finish.
        connection.execute(
            f"CREATE VIEW {FILES} AS SELECT * FROM read_parquet([{files}], file_row_number = true)"
        )


def _project(
    connection: duckdb.DuckDBPyConnection, label: str, columns: Sequence[str] | None
) -> tuple[Column, ...]:
    """Make the views that are measured and sampled; gives their columns."""
    described = connection.execute(f"SELECT column_name, column_type FROM (DESCRIBE {FILES})").fetchall()
    known = {name: Column(name, kind, _kind(kind)) for name, kind in described if name != PARQUET_ROW}
    absent = [name for name in columns or () if name not in known]
    if absent:
        raise ColumnNotFound(f"{label}: has no column {absent[0]!r}; it has {', '.join(known)}")
    if not known:
        raise EmptyBatch(f"{label}: has no columns; nothing can be measured")
    row = PARQUET_ROW if len(known) < len(described) else "rowid"
    names = list(columns or known)
    listed = ", ".join(identifier(name) for name in names)
    connection.execute(f"CREATE VIEW {RELATION} AS SELECT {listed} FROM {FILES}")
    connection.execute(f"CREATE VIEW {NUMBERED} AS SELECT {listed}, {row} AS {ROW} FROM {FILES}")
    return tuple(known[name] for name in names)


def _parquet_columns(connection: duckdb.DuckDBPyConnection, path: str) -> list[str]:
    """List the top level of a Parquet schema, which is written depth first."""
    tree = connection.execute(
        f"SELECT name, coalesce(num_children, 0) FROM parquet_schema({literal(path)})"
    ).fetchall()
    names, position = [], 1
    while position < len(tree):
        names.append(tree[position][0])
        open_nodes = 1
        while open_nodes:
            open_nodes += tree[position][1] - 1
            position += 1
    return names


def _kind(kind: str) -> Kind:
    if kind.endswith("]"):
        return "other"
    return KINDS.get(kind.partition("(")[0], "other")


def _quarantine_file(target: str, batch_key: str) -> Path:
    path = Path(target)
    return path if path.suffix == ".parquet" else path / f"{urllib.parse.quote(batch_key, safe='')}.parquet"


def _publish(staged: Path, target: Path, rows: int) -> None:
    """Put the file in place in one step: a reader sees the old one or the new one, never half."""
    if not rows:
        target.unlink(missing_ok=True)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    beside = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    shutil.copyfile(staged, beside)
    beside.replace(target)
