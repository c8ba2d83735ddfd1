"""
A model's server that goes wrong, line by line.

A *line* is what it does with one request: the bytes of a response, or a coroutine function
of the stream writer. ``serving`` runs a server in the caller's own loop that answers by a
script of lines.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import time
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import dataclass, field

Line = bytes | Callable[[asyncio.StreamWriter], Awaitable[None]]
REPLY = json.dumps({"choices": [{"message": {"content": "12 rows"}, "finish_reason": "stop"}]}).encode()


def http(status=200, body=REPLY, **headers):
    """A whole HTTP response."""
    headers = {"content_length": len(body), "content_type": "application/json"} | headers
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {status} X\r\n{lines}\r\n".encode() + body


@dataclass
class Server:
    """What the server saw."""

    port: int = 0
    connections: int = 0
    busy: int = 0
    most_busy: int = 0
    requests: list = field(default_factory=list)
    arrivals: list = field(default_factory=list)
    asked: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def base_url(self):
        return f"http://127.0.0.1:{self.port}/v1"


async def read_request(reader):
    """One request as text and body."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0] or 0)
    return head.decode(), await reader.readexactly(length)


async def answer(line, writer):
    """Carry a line out."""
    if isinstance(line, bytes):
        writer.write(line)
        await writer.drain()
    else:
        await line(writer)


@asynccontextmanager
async def serving(*script):
    """Run a server that answers each request by the next line; the last one answers all that follow."""
    seen = Server()

    async def handle(reader, writer):
        seen.connections += 1
        with suppress(asyncio.IncompleteReadError, ConnectionError), closing(writer):
            while True:
                seen.requests.append(await read_request(reader))
                seen.arrivals.append(time.monotonic())
                seen.asked.set()
                seen.busy += 1
                seen.most_busy = max(seen.busy, seen.most_busy)
                try:
                    await answer(script[min(len(seen.requests), len(script)) - 1], writer)
                finally:
                    seen.busy -= 1

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    seen.port = server.sockets[0].getsockname()[1]
    try:
        yield seen
    finally:
        server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)


# Lines by hand


async def drip(writer):
    """One byte at a time, for ever."""
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n")
    while not writer.is_closing():
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.01)


async def endless(writer):
    """A chunked body without end, as fast as it goes."""
    writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
    while not writer.is_closing():
        writer.write(b"1000\r\n" + b" " * 4096 + b"\r\n")
        await writer.drain()
        await asyncio.sleep(0)  # over TLS, drain() alone lets nobody else run


async def endless_head(writer):
    """Headers without end."""
    writer.write(b"HTTP/1.1 200 OK\r\n")
    while not writer.is_closing():
        writer.write(b"x-more: " + b"a" * 1000 + b"\r\n")
        await writer.drain()
        await asyncio.sleep(0)


async def silent(_writer):
    """Nothing at all."""
    await asyncio.sleep(3600)


async def reset(writer):
    """Half a head, then a reset."""
    writer.write(b"HTTP/1.1 200")
    writer.transport.abort()


async def hang_up(writer):
    """Nothing, and goodbye."""
    writer.close()


async def half_body(writer):
    """Less than content-length says."""
    writer.write(http(content_length=len(REPLY) + 10))
    writer.close()


async def half_chunk(writer):
    """A chunked body that breaks off."""
    writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n10\r\n{}")
    writer.close()


BROKEN = {
    "half body": half_body,
    "half chunk": half_chunk,
    "reset": reset,
    "hang up": hang_up,
    "not http": b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
    "no json": http(body=b"<html>hello</html>", content_type="text/html"),
    "nothing": http(body=b""),
    "no content": b"HTTP/1.1 204 No Content\r\n\r\n",
    "bad length": b"HTTP/1.1 200 OK\r\ncontent-length: many\r\n\r\n{}",
    "two lengths": b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{}",
    "bad chunk": b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
    "broken gzip": http(body=b"no gzip", content_encoding="gzip"),
    "cut gzip": http(body=gzip.compress(REPLY)[:20], content_encoding="gzip"),
    "unknown packing": http(body=b"\x00", content_encoding="br"),
    "endless head": endless_head,
}


def damaged(dice, whole=None):
    """A good response with a few bytes cut off, cut out, doubled or changed."""
    data = bytearray(http(x_request_id="r-1") if whole is None else whole)
    for _ in range(dice.randint(1, 3)):
        start = dice.randrange(len(data))
        end = min(len(data), start + dice.randint(1, 12))
        how = dice.randrange(4)
        if how == 0:
            del data[start:]
        elif how == 1:
            del data[start:end]
        elif how == 2:
            data[start:start] = data[start:end]
        else:
            data[start:end] = dice.randbytes(end - start)
        if not data:
            break
    return bytes(data)
