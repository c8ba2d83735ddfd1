"""
DuckDB's errors in this package's terms.

DuckDB quotes what it stumbled over: the line of a CSV, the text that is no number.
Those are row values, which no message may hold, so only the place and the kind of
the fault are taken from its text, and the original is not chained.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Generator

from airflow_agent_provider.exceptions import (
    AgentProviderError,
    BatchTooLarge,
    ColumnNotFound,
    ConfigurationError,
    DataError,
    SourceNotFound,
    UnreadableFile,
)

LINE = re.compile(r"CSV Error on Line: (\d+)")
PLACE = re.compile(r"at byte \d+ in (?:line|record/value) \d+")
FILE = re.compile(r"""(?:file = |(?:file|File) ["']|stream: )([^"'\n]+)""")
WIDTHS = re.compile(r"Expected Number of Columns: (?P<header>\d+) Found: (?P<row>\d+)")
COLUMN = re.compile(
    r'(?:Referenced column|Column) "([^"]*)"|Column with name:? "?([^"\s]*)"? (?:does not|not)'
)

# What is wrong with a file, by a sign in DuckDB's text; the first that fits decides.
FLAWS = (
    ("nicode", "not UTF-8; convert the file, or repair its export"),
    ("UTF-8 encoding", "not UTF-8; convert the file, or repair its export"),
    ("unterminated quote", "a quote is opened and never closed; repair the row"),
    ("magic bytes", "no Parquet file, or cut short: its footer is missing; write it again"),
    ("too small to be a Parquet", "no Parquet file, or cut short: its footer is missing; write it again"),
    ("GZIP", "no gzip file, or cut short; write it again"),
    ("Malformed JSON", "not JSON from there on; repair it, or write it again"),
    ("CSV", "not CSV by RFC 4180; repair the row"),
    *((sign, "damaged: its content cannot be decoded; write it again")
      for sign in ("Failed to read", "decompression", "Parquet", "orrupt", "thrift", "TProtocol")),
)  # fmt: skip
# By the class of the error.
JUDGEMENTS: dict[str, tuple[type[AgentProviderError], str]] = {
    "OutOfMemoryException": (
        BatchTooLarge,
        "needs more than its memory limit; raise memory_limit, or select columns",
    ),
    "PermissionException": (ConfigurationError, "only the batch's own files can be read"),
    **dict.fromkeys(
        ("BinderException", "CatalogException", "ParserException"),
        (DataError, "DuckDB refuses the statement: {said}"),
    ),
}


@contextlib.contextmanager
def translated(label: str) -> Generator[None]:
    """
    Raise what DuckDB raises as an error of this package.

    :param label: the batch, for messages.
    """
    import duckdb

    try:
        yield
    except duckdb.Error as error:
        raise _translate(type(error).__name__, str(error), label) from None


def _translate(kind: str, text: str, label: str) -> AgentProviderError:
    if kind == "BinderException" and (column := COLUMN.search(text)):
        return ColumnNotFound(f"{label}: has no column {column[1] or column[2]!r}")
    if kind in JUDGEMENTS:
        made, said = JUDGEMENTS[kind]
        return made(f"{label}: {said.format(said=text.partition(chr(10))[0])}")
    if "No files found" in text:
        return SourceNotFound(f"{label}: no such file")
    if flaw := _flaw(text):
        return UnreadableFile(f"{_where(text, label)}: {flaw}")
    return DataError(f"{label}: DuckDB could not compute it ({kind})")


def _where(text: str, label: str) -> str:
    file, line, place = FILE.search(text), LINE.search(text), PLACE.search(text)
    where = file[1].strip() if file else label
    if line:
        return f"{where}, line {line[1]}"
    return f"{where}, {place[0]}" if place else where


def _flaw(text: str) -> str | None:
    if widths := WIDTHS.search(text):
        fields = f"{widths['row']} fields where the header has {widths['header']}"
        return f"{fields}; repair the row, or the export that wrote it"
    return next((flaw for sign, flaw in FLAWS if sign in text), None)
