"""
Faults of a model's server, drawn from a seed.

``fault`` draws a line (see ``faulty_server.py``) from ``KINDS`` for one case. The same seed
gives the same line in any process, so that a server need not be told what to do.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import random
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from dialects import Dialect
from faulty_server import BROKEN, REPLY, Line, damaged, drip, endless, http, silent


@dataclass(frozen=True)
class Asked:
    """
    What was asked, and what the server may echo of it.

    :param dialect: the API that is spoken.
    :param elsewhere: a server that nobody may ask.
    """

    dialect: Dialect
    key: str
    prompt: str
    elsewhere: str = "http://127.0.0.1:1"
    max_body_bytes: int = 20_000


def good(dice, asked):
    """An answer as it should be: a text, or tools."""
    tools = [(f"call_{n}", "query", '{"sql": "SELECT 1"}') for n in range(dice.randint(0, 2))]
    return asked.dialect.reply(dice.choice(("12 rows", "Zwölf Zeilen 🙂", "")) or "x", tools=tools)


def good_bytes(dice, asked):
    return http(body=json.dumps(good(dice, asked)).encode(), x_request_id="r-1")


def then_close(data, *, abort=False):
    """Send some bytes and leave."""

    async def act(writer):
        writer.write(data)
        if abort:
            await asyncio.sleep(0)
            writer.transport.abort()
        else:
            writer.close()

    return act


def slowly(data, seconds, parts):
    """Send bytes in so many parts over so much time."""
    size = max(1, len(data) // parts)

    async def act(writer):
        for start in range(0, len(data), size):
            writer.write(data[start : start + size])
            await writer.drain()
            await asyncio.sleep(seconds / parts)

    return act


def _echo(dice, asked):
    """How servers quote what they were sent."""
    start = dice.randrange(max(len(asked.prompt) - 40, 1))
    excerpt = asked.prompt[start : start + dice.randint(40, 400)]
    return dice.choice((
        f"Incorrect API key provided: {asked.key}",
        f"Incorrect API key provided: {asked.key[:8]}******{asked.key[-4:]}. See the documentation",
        f"bad header authorization: Bearer {asked.key}\nprompt was {excerpt}",
        f"invalid value: {excerpt!r}",
        f"cannot process {json.dumps(excerpt)}",
        str([{"type": "missing", "loc": ("body",), "input": {"messages": [{"content": asked.prompt}]}}]),
        f"{excerpt} is too long",
        "The server had an error while processing your request. " * dice.randint(1, 20),
        "",
    ))


def _error_body(dice, asked):
    said = _echo(dice, asked)
    return dice.choice((
        lambda: json.dumps({
            "error": {"message": said, "type": "invalid_request_error", "code": None}
        }).encode(),
        lambda: json.dumps({"error": said}).encode(),
        lambda: json.dumps({"message": said, "__type": "ValidationException"}).encode(),
        lambda: json.dumps({"detail": [{"loc": ["body"], "msg": said, "input": asked.prompt}]}).encode(),
        lambda: json.dumps({
            "error": {"code": 429, "message": said, "details": [{"retryDelay": "7s"}]}
        }).encode(),
        lambda: json.dumps([{"error": {"message": said}}]).encode(),
        lambda: json.dumps(said).encode(),
        said.encode,
        f"<html><body>{said}</body></html>".encode,
        lambda: said.encode("utf-16"),
        lambda: b"",
        lambda: b"null",
        lambda: b'{"error": ' * 5_000,
        lambda: b"\xff" * dice.randint(1, 200_000),
    ))()


def _retry_after(dice):
    return dice.choice((
        {},
        {},
        {"retry_after": 0},
        {"retry_after": 1},
        {"retry_after": "0.05"},
        {"retry_after": -5},
        {"retry_after": 86_400},
        {"retry_after": "9" * 400},
        {"retry_after": "nan"},
        {"retry_after": "soon"},
        {"retry_after": ""},
        {"retry_after": "Wed, 21 Oct 2099 07:28:00 GMT"},
        {"retry_after": "Wed, 21 Oct 2015 07:28:00 GMT", "date": "Wed, 21 Oct 2015 07:27:59 GMT"},
        {"retry_after": "Wed, 99 Foo 20155 07:28:00 GMT"},
        {"retry_after_ms": 20},
        {"retry_after_ms": "1e309"},
    ))


def status(dice, asked):
    """Every status, with and without a waiting time, with every kind of body."""
    code = dice.choice((
        400,
        401,
        403,
        404,
        408,
        409,
        413,
        422,
        424,
        425,
        429,
        429,
        429,
        500,
        502,
        503,
        504,
        529,
    ))
    if dice.random() < 0.2:
        code = dice.choice((
            201,
            202,
            203,
            204,
            205,
            206,
            226,
            402,
            405,
            418,
            451,
            499,
            511,
            520,
            598,
            599,
            600,
            999,
        ))
    return http(code, _error_body(dice, asked), **_retry_after(dice))


def redirect(dice, asked):
    """Elsewhere, where somebody waits for the key."""
    code = dice.choice((300, 301, 302, 303, 304, 305, 307, 308))
    where = dice.choice((
        asked.elsewhere,
        f"{asked.elsewhere}/{quote(asked.key)}",
        "/v1/other",
        "//127.0.0.1:1",
        ":::",
        "",
    ))
    return http(code, _error_body(dice, asked), location=where, refresh=f"0; url={asked.elsewhere}")


def informational(dice, asked):
    """Interim answers before the final one."""
    interim = dice.choice((
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n",
    ))
    return interim * dice.choice((1, 3, 200)) + good_bytes(dice, asked)


def cut(dice, asked):
    """A good answer, broken off at any byte, politely or not."""
    whole = good_bytes(dice, asked)
    return then_close(whole[: dice.randrange(len(whole))], abort=dice.random() < 0.5)


def damage(dice, asked):
    """A good answer with wrong bytes in it."""
    return then_close(damaged(dice, good_bytes(dice, asked)))


def framing(dice, _asked):
    """What is no HTTP, or breaks its rules."""
    line = dice.choice(list(BROKEN.values()))
    return then_close(line) if isinstance(line, bytes) else line


def chunked(dice, asked):
    """In chunks, of which some are wrong."""
    body = json.dumps(good(dice, asked)).encode()
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
    size = f"{len(body):x}".encode()
    end = b"0\r\n\r\n"
    return then_close(
        head
        + dice.choice((
            size + b"\r\n" + body + b"\r\n" + end,
            size + b";x=y\r\n" + body + b"\r\n" + end,
            size + b"\r\n" + body + end,
            b"ffffffffffffffff\r\n" + body,
            b"-1\r\n" + body + b"\r\n" + end,
            b"\r\n",
            size + b"\r\n" + body[: len(body) // 2],
            size + b"\r\n" + body + b"\r\n0\r\nx-trailer: 1\r\n\r\n",
        ))
    )


def not_json(dice, asked):
    """Text that is no JSON, or a kind of it that nobody speaks."""
    text = json.dumps(good(dice, asked))
    return http(
        body=dice.choice((
            text[: dice.randrange(len(text))].encode,
            (text + text).encode,
            lambda: text.encode("utf-16"),
            lambda: b"\xef\xbb\xbf" + text.encode(),
            lambda: text.replace("small-1", "kl\xe4in").encode("latin-1"),
            lambda: text.replace("100", "NaN").replace("70", "Infinity").encode(),
            lambda: text.replace("100", "1" * 5_000).replace("70", "7" * 5_000).encode(),
            lambda: (b"[" * 15_000) + (b"]" * 4_000),
            lambda: b'{"choices": ' * 1_000,
            lambda: b"data: {}\n\ndata: [DONE]\n\n",
            asked.prompt.encode,
            lambda: b"\x00" * dice.randint(1, 5_000),
            lambda: json.dumps({"error": {"message": _echo(dice, asked)}}).encode(),
        ))(),
        content_type=dice.choice(("application/json", "text/html", "text/event-stream", "", "a" * 500)),
    )


ODD = (
    None,
    True,
    False,
    0,
    -1,
    1.5,
    10**30,
    1e300,
    "",
    "x",
    "12",
    [],
    [1],
    [[]],
    {},
    {"a": 1},
    "\ud800",
    "a" * 3_000,
)


def _nodes(value, path=()):
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, inner in items:
        yield from _nodes(inner, (*path, name))


def _with(value: Any, path, new):
    if not path:
        return new
    changed = dict(value) if isinstance(value, dict) else list(value)
    if new is _with and len(path) == 1:
        del changed[path[0]]
    else:
        changed[path[0]] = _with(changed[path[0]], path[1:], new)
    return changed


def wrong_types(dice, asked):
    """A good answer in which some values are of another type, or missing."""
    content = good(dice, asked)
    for _ in range(dice.randint(1, 3)):
        paths = [path for path in _nodes(content) if path]
        if paths:
            content = _with(content, dice.choice(paths), dice.choice((*ODD, _with)))
    return http(body=json.dumps(content).encode())


def wrong_arguments(dice, asked):
    """Tools asked for with what is no object, by names that nobody gave."""
    raws = (
        "",
        "null",
        "[]",
        '"x"',
        "{",
        '{"a": NaN}',
        "12",
        '{"sql": ' * 3_000,
        "\ud800",
        '{"sql": 1}',
        asked.prompt,
    )
    tools = [
        (
            dice.choice(("call_1", "", "a" * 2_000)),
            dice.choice(("query", "", "no such tool", "q" * 2_000)),
            dice.choice(raws),
        )
        for _ in range(dice.randint(1, 4))
    ]
    return http(body=json.dumps(asked.dialect.reply(tools=tools)).encode())


def wrong_usage(dice, asked):
    """Counts that cannot be."""
    count = dice.choice((-1, 10**30, 10**12, 1.5, "7", None, True, [], {}))
    usage = dice.choice((
        lambda: asked.dialect.usage(cached=count) if isinstance(count, int) else {},
        lambda: dict.fromkeys(asked.dialect.usage(), count),
        lambda: count,
        dict,
        lambda: asked.dialect.usage(fresh=0, cached=10**6, output=0, reasoning=10**6),
    ))()
    content = asked.dialect.reply("12 rows")
    content[asked.dialect.usage_field] = usage
    return http(body=json.dumps(content).encode())


def endings(dice, asked):
    """Truncated, refused, empty, unknown: what is no fault of the line but of the answer."""
    dialect = asked.dialect
    reasons = (*dialect.truncated_reasons, *dialect.refusal_reasons, "", "a reason of tomorrow")
    return http(body=json.dumps(dialect.reply(dice.choice(("", "12")), reason=dice.choice(reasons))).encode())


def huge(dice, asked):
    """More than anybody wants to read, plain or packed, whatever its length claims."""
    body = b" " * (asked.max_body_bytes * dice.randint(1, 20)) + REPLY
    return dice.choice((
        lambda: then_close(http(body=body)),
        lambda: then_close(http(body=body, content_length=10**15)),
        lambda: then_close(http(body=gzip.compress(body), content_encoding="gzip")),
        lambda: then_close(http(body=gzip.compress(b" " * 10**7), content_encoding="gzip")),
        lambda: then_close(http(dice.choice((400, 500)), body)),
        lambda: then_close(b"HTTP/1.1 200 OK\r\nx-big: " + b"a" * 200_000 + b"\r\n\r\n{}"),
        lambda: endless,
    ))()


def packed(dice, asked):
    """Packed although asked not to, rightly or wrongly."""
    body = json.dumps(good(dice, asked)).encode()
    return then_close(
        dice.choice((
            http(body=gzip.compress(body), content_encoding="gzip"),
            http(body=zlib.compress(body), content_encoding="deflate"),
            http(body=body, content_encoding="gzip"),
            http(body=gzip.compress(body)[:-9], content_encoding="gzip"),
            http(body=gzip.compress(gzip.compress(body)), content_encoding="gzip"),
            http(body=body, content_encoding="gzip, br"),
            http(body=body, content_encoding=""),
        ))
    )


def slow(dice, asked):
    """Late, dripping or silent."""
    whole = good_bytes(dice, asked)
    return dice.choice((
        lambda: slowly(whole, dice.uniform(0, 0.2), dice.randint(2, 20)),
        lambda: slowly(whole, dice.uniform(0, 0.2), dice.randint(2, 20)),
        lambda: slowly(whole, 30, 100),
        lambda: drip,
        lambda: silent,
    ))()


def too_much(dice, asked):
    """Something more after a good answer, on a connection that may be used again."""
    whole = good_bytes(dice, asked)
    more = dice.choice((whole, b"x", b"\r\n\r\n", http(500, b"{}"), b"HTTP/1.1 408 Too Slow\r\n\r\n"))
    return dice.choice((whole + more, then_close(whole + more)))


def closing_politely(dice, asked):
    """A good answer, after which the connection ends, announced or not."""
    body = json.dumps(good(dice, asked)).encode()
    announced = {"connection": "close"} if dice.random() < 0.5 else {}
    return then_close(http(body=body, **announced), abort=False)


KINDS: dict[str, Callable[[random.Random, Asked], Line]] = {
    one.__name__: one
    for one in (
        good_bytes,
        status,
        redirect,
        informational,
        cut,
        damage,
        framing,
        chunked,
        not_json,
        wrong_types,
        wrong_arguments,
        wrong_usage,
        endings,
        huge,
        packed,
        slow,
        too_much,
        closing_politely,
    )
}
#: What takes the time of a whole deadline is drawn less often.
WEIGHTS = {"slow": 0.2, "framing": 0.5, "status": 3.0, "wrong_types": 3.0, "good_bytes": 0.5}


def fault(seed: str, asked: Asked) -> tuple[str, Line]:
    """Draw a line and the name of its kind."""
    dice = random.Random(seed)
    names = list(KINDS)
    [name] = dice.choices(names, [WEIGHTS.get(name, 1.0) for name in names])
    return name, KINDS[name](dice, asked)
