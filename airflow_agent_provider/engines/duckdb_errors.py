"""
DuckDB's errors in this package's terms.

DuckDB quotes what it stumbled over: the line of a CSV, the text that is no number.
Those are row values, which no message may hold, so only the place and the kind of
the fault are taken from its text, and the original is not chained.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator

from airflow_agent_provider.exceptions import (
    AgentProviderError,
    BatchTooLarge,
    ColumnNotFound,
    ConfigurationError,
    DataError,
    SourceNotFound,
    UnreadableFile,
)

CSV_LINE = re.compile(r"CSV Error on Line: (\d+)")
JSON_PLACE = re.compile(r"at byte \d+ in (?:line|record/value) \d+")
FILE = re.compile(r"""(?:file = |(?:file|File) ["']|stream: )([^"'\n]+)""")
WIDTHS = re.compile(r"Expected Number of Columns: (\d+) Found: (\d+)")
COLUMN = re.compile(
    r'(?:Referenced column|Column) "([^"]*)"|Column with name:? "?([^"\s]*)"? (?:does not|not)'
)
CORRUPT = (
    "magic bytes", "too small to be a Parquet", "Failed to read", "decompression", "GZIP", "Malformed JSON",
    "Invalid unicode", "CSV Error", "CSV Parser", "CSV File", "Parquet", "Corrupt", "corrupt", "thrift", "TProtocol",
)  # fmt: skip


@contextlib.contextmanager
def translated(label: str) -> Iterator[None]:
    """
    Raise what DuckDB raises as an error of this package.

    :param label: the batch, for messages.
    """
    import duckdb

    try:
        yield
    except duckdb.Error as error:
        raise _translate(error, label) from None


def _translate(error: Exception, label: str) -> AgentProviderError:
    import duckdb

    text = str(error)
    first = text.partition("\n")[0]
    if isinstance(error, duckdb.OutOfMemoryException):
        return BatchTooLarge(
            f"{label}: needs more than its memory limit; raise memory_limit, or select columns"
        )
    if isinstance(error, duckdb.PermissionException):
        return ConfigurationError(f"{label}: only the batch's own files can be read")
    if isinstance(error, duckdb.BinderException) and (column := COLUMN.search(text)):
        return ColumnNotFound(f"{label}: has no column {column[1] or column[2]!r}")
    if isinstance(error, (duckdb.BinderException, duckdb.CatalogException, duckdb.ParserException)):
        return DataError(f"{label}: DuckDB refuses the statement: {first}")
    if isinstance(error, duckdb.IOException) and "No files found" in text:
        return SourceNotFound(f"{label}: no such file")
    if any(sign in text for sign in CORRUPT):
        return _unreadable(text, label)
    return DataError(f"{label}: DuckDB could not compute it ({type(error).__name__})")


def _unreadable(text: str, label: str) -> UnreadableFile:
    file = FILE.search(text)
    where = file[1].strip() if file else label
    if line := CSV_LINE.search(text):
        where = f"{where}, line {line[1]}"
    elif place := JSON_PLACE.search(text):
        where = f"{where}, {place[0]}"
    return UnreadableFile(f"{where}: {_flaw(text)}")


def _flaw(text: str) -> str:
    if widths := WIDTHS.search(text):
        return f"{widths[2]} fields where the header has {widths[1]}; repair the row, or the export that wrote it"
    if "nicode" in text or "UTF-8" in text:
        return "not UTF-8; convert the file, or repair its export"
    if "unterminated quote" in text:
        return "a quote is opened and never closed; repair the row"
    if "magic bytes" in text or "too small" in text:
        return "no Parquet file, or cut short: its footer is missing; write it again"
    if "GZIP" in text:
        return "no gzip file, or cut short; write it again"
    if "JSON" in text:
        return "not JSON from there on; repair it, or write it again"
    if "CSV" in text:
        return "not CSV by RFC 4180; repair the row"
    return "damaged: its content cannot be decoded; write it again"
