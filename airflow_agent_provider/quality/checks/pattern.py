r"""
One regular expression, the same answer in every engine.

DuckDB matches with RE2, Postgres with its own engine, and they differ in silence:
``\b`` is a word boundary in one and a backspace in the other, ``\w`` and ``\d`` are
ASCII in one and Unicode in the other, ``.`` matches a newline in only one of them.
So a pattern is translated to the part that all read alike, and what has no common
form is refused when the check is written rather than answered differently later.

=============================  ==================================================
written                        becomes
=============================  ==================================================
``\d \w \s`` and capitals      explicit ASCII sets, ``[0-9]``, ``[^0-9]``, ...
``.``                          ``[^\n]``
leading ``(?i)``               kept, in front of the whole
the whole                      ``^(?:...)$``: the entire value must match
``*?`` and other lazy ones     the greedy form: an entire match exists or not
look-around, back references,  refused
named groups, ``\b``, POSIX
classes, other flags,
possessive repetition
=============================  ==================================================

Sources: https://github.com/google/re2/wiki/Syntax and
https://www.postgresql.org/docs/current/functions-matching.html#POSIX-SYNTAX-DETAILS
"""

from __future__ import annotations

import re
import warnings

SETS = {"d": "0-9", "w": "A-Za-z0-9_", "s": r" \t\n\r\f\v"}
CONTROLS = frozenset("tnrfv")
TOKEN = re.compile(r"\\(?P<escape>.)|(?P<group>\(\?(?P<kind>.?))|(?P<plain>.)", re.DOTALL)
REPEATED = re.compile(r"(?P<times>[*+?]|\{\d+(?:,\d*)?\})(?P<greed>[?+]?)")
MOST_REPEATS = 255  # Postgres' limit, the lower of the two


def portable(pattern: str) -> str:
    """
    Translate a pattern so that RE2 and Postgres match entire values alike.

    :raises ValueError: saying which part has no common form, or what is no
        regular expression at all.
    """
    flag, body = ("(?i)", pattern[4:]) if pattern.startswith("(?i)") else ("", pattern)
    _require_valid(body)
    out: list[str] = []
    position = 0
    while position < len(body):
        if body[position] == "[":
            text, position = _bracket(body, position)
        elif repeat := REPEATED.match(body, position):
            text, position = _repeat(repeat), repeat.end()
        else:
            token = TOKEN.match(body, position)
            assert token is not None  # noqa: S101  # the last branch matches any character
            text, position = _outside(token), token.end()
        out.append(text)
    return f"{flag}^(?:{''.join(out)})$"


def _require_valid(body: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", FutureWarning)
        try:
            re.compile(body)
        except (re.error, RecursionError, OverflowError) as error:
            raise ValueError(f"is not a regular expression: {error}") from None
        except FutureWarning:
            raise ValueError(
                "holds a set within a set, or a POSIX class, which engines read differently"
            ) from None


def _repeat(repeat: re.Match[str]) -> str:
    """Translate a repetition. A lazy one only changes what is captured, not whether there is a match."""
    if repeat["greed"] == "+":
        raise ValueError(f"has the possessive {repeat[0]}, which engines do not share")
    if any(int(bound) > MOST_REPEATS for bound in re.findall(r"\d+", repeat["times"])):
        raise ValueError(f"has {repeat['times']}; at most {MOST_REPEATS} repetitions are possible everywhere")
    return repeat["times"]


def _outside(token: re.Match[str]) -> str:
    """Translate one token that stands outside of brackets."""
    if token["escape"] is not None:
        return _escape(token["escape"])
    if token["group"]:
        if token["kind"] != ":":
            raise ValueError(f"uses (?{token['kind']}, which engines do not share; groups and (?:...) are")
        return "(?:"
    if token["plain"] in "{}":
        raise ValueError(f"has a bare {token['plain']}; write \\{token['plain']}, {{n}}, {{n,}} or {{n,m}}")
    return r"[^\n]" if token["plain"] == "." else token["plain"]


def _escape(letter: str) -> str:
    if letter.lower() in SETS:
        return f"[{'^' if letter.isupper() else ''}{SETS[letter.lower()]}]"
    return _literal(letter)


def _literal(letter: str) -> str:
    if letter in CONTROLS or not (letter.isalnum() or letter == "_"):
        return f"\\{letter}" if letter.isascii() and letter not in " \n" else letter
    raise ValueError(f"uses \\{letter}, which engines do not share")


def _bracket(body: str, start: int) -> tuple[str, int]:
    """Translate a bracket expression; gives its text and where it ends."""
    position = start + 1
    negated = body.startswith("^", position)
    position += negated
    out = ["[^" if negated else "["]
    first = position
    while body[position] != "]" or position == first:
        letter = body[position]
        if letter == "\\":
            out.append(_bracket_escape(body[position + 1]))
            position += 2
            continue
        if letter == "[":
            if body[position + 1] in ":.=":
                raise ValueError("holds a POSIX class, which engines read differently")
            out.append(r"\[")
        else:
            out.append(r"\]" if letter == "]" else letter)
        position += 1
    return "".join(out) + "]", position + 1


def _bracket_escape(letter: str) -> str:
    if letter in SETS:
        return SETS[letter]
    if letter.lower() in SETS:
        raise ValueError(f"uses \\{letter} within brackets; list the characters instead")
    return _literal(letter)
