"""
CSV, read strictly.

DuckDB can guess a file's dialect and types, and a guess is what a quality gate must
not build on: it takes another delimiter when rows are ragged, and fails on a file
that mixes two ways of writing dates, which is the very thing to be reported. So
nothing is guessed here:

1. the header gives the columns, and the delimiter is the one it uses most;
2. every field is read as text, each row held to the header's width;
3. a column's type is the first of a short list that **all** of its values fit;
   what fits none stays text. ``00501`` is text: a number would lose its zeros.

Parsing is cheap and storing is not, so the file is parsed once more rather than
kept as text: the first rows rule most types out, one pass over all rows confirms
what is left (another only where a type fails late), and the last pass loads.

An empty field is NULL, a quoted empty one (``""``) is an empty text.
"""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

from airflow_agent_provider.exceptions import DataError, EmptyBatch, UnreadableFile

if TYPE_CHECKING:
    import duckdb

DELIMITERS = ",;\t|"
FIRST_ROWS = 1_000
DAY = "[0-9]{4}-[0-9]{2}-[0-9]{2}"
TIME = "[ T][0-9]{2}:[0-9]{2}(:[0-9]{2}([.][0-9]{1,9})?)?"
# Each type with the form that its values have; a column takes the first that all of its values fit.
TYPES = {
    "BIGINT": "-?(0|[1-9][0-9]{0,17})",
    "DOUBLE": "-?((0|[1-9][0-9]*)([.][0-9]+)?([eE][-+]?[0-9]{1,3})?|(?i:inf|infinity|nan))",
    "BOOLEAN": "(?i:true|false)",
    "DATE": DAY,
    "TIMESTAMP": f"{DAY}{TIME}",
    "TIMESTAMPTZ": f"{DAY}{TIME} ?(Z|[-+][0-9]{{2}}(:?[0-9]{{2}})?)",
}


def load_csv(connection: duckdb.DuckDBPyConnection, paths: Sequence[str], *, table: str) -> None:
    """
    Parse CSV files into a table.

    :param paths: files with the same header; ``.gz`` is unpacked on the way.
    :raises UnreadableFile: when a file is ragged, cut short or not UTF-8.
    :raises DataError: when headers differ or name a column twice.
    :raises EmptyBatch: when a file has no header.
    """
    names, delimiter = read_header(paths[0])
    require_distinct(names, paths[0])
    for path in paths[1:]:
        if read_header(path) != (names, delimiter):
            raise DataError(f"{path}: has another header than {paths[0]}; measure them apart")
    texts = _as_text(paths, names, delimiter)
    types = _types(connection, names, texts)
    typed = ", ".join(
        f"CAST({identifier(name)} AS {kind}) AS {identifier(name)}" for name, kind in types.items()
    )
    connection.execute(f"CREATE TABLE {table} AS SELECT {typed} FROM {texts}")


def read_header(path: str) -> tuple[list[str], str]:
    """
    Read the column names, and the delimiter that stands between them.

    :raises EmptyBatch: when there are none.
    :raises UnreadableFile: when the header cannot be read.
    """
    opened = gzip.open if path.endswith(".gz") else open
    try:
        with opened(path, "rb") as file:
            text = file.readline().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UnreadableFile(f"{path}, line 1: not UTF-8; convert the file, or repair its export") from None
    except (EOFError, OSError) as error:
        raise UnreadableFile(f"{path}: cannot be read ({error}); is it complete?") from None
    if not text.strip():
        raise EmptyBatch(f"{path}: has no header, so no columns; nothing can be measured")
    unquoted = "".join(text.split('"')[::2])
    delimiter = max(DELIMITERS, key=unquoted.count)
    names = next(csv.reader(io.StringIO(text), delimiter=delimiter))
    blank = [place for place, name in enumerate(names, start=1) if not name.strip()]
    if blank:
        raise UnreadableFile(f"{path}, line 1: column {blank[0]} has no name; give the file a header")
    return names, delimiter


def require_distinct(names: Sequence[str], path: str) -> None:
    """
    Refuse names that SQL cannot tell apart.

    :raises DataError: naming the column.
    """
    seen: set[str] = set()
    for name in names:
        if name.lower() in seen:
            raise DataError(f"{path}: has more than one column {name!r} (case aside); rename one")
        seen.add(name.lower())


def identifier(name: str) -> str:
    """Quote a name."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """Quote a text."""
    return "'" + text.replace("'", "''") + "'"


def _as_text(paths: Sequence[str], names: Sequence[str], delimiter: str) -> str:
    """Give SQL for the rows with every field as text; nothing about them is guessed."""
    files = ", ".join(literal(path) for path in paths)
    columns = ", ".join(f"{literal(name)}: 'VARCHAR'" for name in names)
    return (
        f"read_csv([{files}], columns = {{{columns}}}, auto_detect = false, header = true, "
        f"delim = {literal(delimiter)}, quote = '\"', escape = '\"', comment = '', strict_mode = true, "
        "null_padding = false, ignore_errors = false, allow_quoted_nulls = false)"
    )


def _types(connection: duckdb.DuckDBPyConnection, names: Sequence[str], texts: str) -> dict[str, str]:
    """Find each column's type; VARCHAR where no other fits, or where there is no value."""
    settled = dict.fromkeys(names, "VARCHAR")
    every = [(name, kind) for name in names for kind in TYPES]
    first = _fits(connection, every, f"(SELECT * FROM {texts} LIMIT {FIRST_ROWS})")
    open_kinds = {name: [kind for kind in TYPES if first[name, kind] is not False] for name in names}
    while open_kinds := {name: kinds for name, kinds in open_kinds.items() if kinds}:
        fits = _fits(connection, [(name, kinds[0]) for name, kinds in open_kinds.items()], texts)
        for (name, kind), answer in fits.items():
            open_kinds[name] = open_kinds[name][1:] if answer is False else []
            if answer:
                settled[name] = kind
    return settled


def _fits(
    connection: duckdb.DuckDBPyConnection, trials: Sequence[tuple[str, str]], source: str
) -> dict[tuple[str, str], bool | None]:
    """Tell for columns and types whether all values fit, in one pass; None where there is no value."""
    asked = ", ".join(
        f"bool_and(regexp_full_match({identifier(name)}, {literal(TYPES[kind])}) "
        # Without the filter a NULL would fit no type: NULL AND FALSE is FALSE.
        f"AND TRY_CAST({identifier(name)} AS {kind}) IS NOT NULL) "
        f"FILTER (WHERE {identifier(name)} IS NOT NULL)"
        for name, kind in trials
    )
    [answers] = connection.execute(f"SELECT {asked} FROM {source}").fetchall()
    return dict(zip(trials, answers, strict=True))
