"""
The frame of an HTML page, and the one way that text gets into it.

Column names, values, check messages and a model's claims are other people's text:
all of it passes :func:`esc`. The page carries its style and pictures in itself and a
policy that forbids it scripts and requests, should something slip through anyway.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from importlib.resources import files

from airflow_agent_provider.quality.figures import printable

POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def esc(value: object) -> str:
    """Make any value safe inside an element or a quoted attribute."""
    return html.escape("\n".join(printable(line) for line in str(value).split("\n")), quote=True)


def document(title: str, body: str) -> str:
    """Give a whole page; ``body`` is markup, ``title`` is text."""
    style = files("airflow_agent_provider.quality").joinpath("report.css").read_text(encoding="utf-8")
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{esc(title)}</title>\n<style>\n{style}</style>\n</head>\n<body>\n<main>\n{body}\n</main>\n</body>\n</html>\n"
    )


def section(title: str, *parts: str, note: str = "") -> str:
    """Give a titled section of markup; without any part, nothing."""
    content = "\n".join(part for part in parts if part)
    if not content:
        return ""
    lead = f'<p class="note">{esc(note)}</p>\n' if note else ""
    return f"<section>\n<h2>{esc(title)}</h2>\n{lead}{content}\n</section>"


def table(head: Sequence[str], rows: Iterable[Sequence[str]], *, numbers: Sequence[int] = ()) -> str:
    """
    Give a table that scrolls by itself where the page is narrow.

    :param head: texts.
    :param rows: markup of the cells.
    :param numbers: columns to align as numbers.
    """
    kinds = ['class="number"' if place in numbers else "" for place in range(len(head))]
    top = "".join(f"<th {kind}>{esc(name)}</th>" for kind, name in zip(kinds, head, strict=True))
    body = "\n".join(
        f"<tr>{''.join(f'<td {kind}>{cell}</td>' for kind, cell in zip(kinds, row, strict=True))}</tr>"
        for row in rows
    )
    content = f"<thead><tr>{top}</tr></thead>\n<tbody>\n{body}\n</tbody>"
    return f'<div class="scroll"><table>\n{content}\n</table></div>'


def tiles(items: Iterable[tuple[str, str, str]]) -> str:
    """Give a row of figures: name, figure, remark; all texts."""
    cells = (
        f'<div class="tile"><span class="name">{esc(name)}</span><span class="figure">{esc(value)}</span>'
        f'<span class="remark">{esc(remark)}</span></div>'
        for name, value, remark in items
    )
    return f'<div class="tiles">{"".join(cells)}</div>'


def chip(text: str, kind: str) -> str:
    """Give a coloured label; ``kind`` is a style class of ours."""
    return f'<span class="chip {kind}">{esc(text.replace("_", " "))}</span>'
