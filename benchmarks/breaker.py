"""
What a hanging model server costs a hundred tasks that share a circuit breaker.

Each task is a Python process of its own that builds an ``LLMHook`` over a route of two
connections from the environment, as a task of a DAG does, and asks once; 4 run at a
time. The primary server accepts requests and never answers; the alternative answers.
All that the processes share is the ledger, a SQLite file. A static chain of fallbacks
pays one time-out per task; here the first tasks pay, then the breaker sends everybody
to the alternative, and only its probes pay. Then the primary recovers: once the
cool-down has passed, tasks must be answered by it again.

What can be paid: the failures that open the circuit less one, plus the tasks in flight
when it opens (3 - 1 + 4 = 6 at worst, 4 when the first tasks start together), plus one
for each probe while the server stays down. Starting a hundred processes takes minutes
on a small machine, so the connections here state a cool-down of 90 s rather than the
usual 30 s; it doubles with each failed probe.

    python benchmarks/breaker.py [--tasks N] [--at-once N] [--hang S] [--cooldown S] [--failures N]

The last line is ``{"tasks", "hang_s", "timeouts_paid", "failed_over", "recovered"}``:
time-outs are counted at the server, as requests whose client gave up. The aim is at
most 6 for 100 tasks, 4 at a time, all of them served.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

ROUTE = ["primary", "alternative"]
AFTERWARDS = 4
BODY = json.dumps({
    "choices": [{"message": {"role": "assistant", "content": "A storm."}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 9, "completion_tokens": 3},
}).encode()
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (
    len(BODY),
    BODY,
)


@dataclass
class ModelServer:
    """A model server that answers, or hangs until its client gives up."""

    hangs: bool = False
    port: int = 0
    answered: int = 0
    given_up: int = 0

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0] or 0)
                await reader.readexactly(length)
                if self.hangs:
                    await reader.read()  # ends when the client closes
                    self.given_up += 1
                    break
                writer.write(ANSWER)
                await writer.drain()
                self.answered += 1
        writer.close()


@contextmanager
def serving(*servers: ModelServer) -> Generator[None]:
    """Run the servers on an event loop of their own thread."""
    loop = asyncio.new_event_loop()

    async def start() -> None:
        for one in servers:
            listening = await asyncio.start_server(one.handle, "127.0.0.1", 0)
            one.port = listening.sockets[0].getsockname()[1]

    loop.run_until_complete(start())
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()


def task() -> None:
    """Do what a task does: build the hook, ask once; tell who answered and how long it took."""
    from airflow_agent_provider.hooks.llm import LLMHook

    started_at = time.monotonic()
    reply = LLMHook(ROUTE).chat("Why is the departure delay missing?")
    print(json.dumps({"connection": reply.connection, "seconds": time.monotonic() - started_at}))


def run_task(number: int) -> dict[str, Any]:
    """Run a task as a process."""
    done = subprocess.run(
        [sys.executable, __file__, "--one-task"], capture_output=True, text=True, check=False
    )
    if done.returncode:
        print(f"task {number} failed: {done.stderr.strip().splitlines()[-1:]}", file=sys.stderr)
        return {"connection": None, "seconds": 0.0}
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def settings(home: str, servers: dict[str, ModelServer], options: argparse.Namespace) -> dict[str, str]:
    """Give the environment of the tasks."""
    extra = {
        "model": "benchmark",
        "read_timeout_s": options.hang,
        "breaker_cooldown_s": options.cooldown,
        "breaker_failures": options.failures,
    }
    connections = {
        f"AIRFLOW_CONN_{name.upper()}": json.dumps({
            "conn_type": "llm",
            "host": f"http://127.0.0.1:{server.port}/v1",
            "extra": extra,
        })
        for name, server in servers.items()
    }
    return {"AIRFLOW_HOME": home, **connections}


def wait_for_probe() -> None:
    """Sleep until the breaker lets somebody try the primary again."""
    from airflow_agent_provider.hooks.llm import LLMHook

    primary = LLMHook(ROUTE).get_model().stops[0]  # type: ignore[union-attr]
    wait_s = max(asyncio.run(primary.open_until()) - time.time(), 0.0)
    print(f"the primary answers again; its circuit is open for another {wait_s:.0f} s", file=sys.stderr)
    time.sleep(wait_s + 0.1)


def measure(primary: ModelServer, options: argparse.Namespace) -> dict[str, Any]:
    """Let the tasks run into the hanging server, then let it recover."""
    started_at = time.monotonic()
    with ThreadPoolExecutor(options.at_once) as pool:
        results = list(pool.map(run_task, range(options.tasks)))
    served = Counter(result["connection"] for result in results)
    slowest_s = sorted((result["seconds"] for result in results), reverse=True)[:8]
    print(
        f"{options.tasks} tasks in {time.monotonic() - started_at:.0f} s, served by {dict(served)}; "
        f"the slowest asked for {', '.join(f'{seconds:.1f}' for seconds in slowest_s)} s",
        file=sys.stderr,
    )
    timeouts = primary.given_up
    primary.hangs = False
    wait_for_probe()
    afterwards = [run_task(number)["connection"] for number in range(AFTERWARDS)]
    print(f"afterwards served by {afterwards}", file=sys.stderr)
    return {
        "tasks": options.tasks,
        "hang_s": options.hang,
        "timeouts_paid": timeouts,
        "failed_over": served["alternative"],
        "recovered": afterwards == ["primary"] * AFTERWARDS and primary.answered == AFTERWARDS,
    }


def main() -> None:
    """Start the servers, run the tasks, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tasks", type=int, default=100, help="tasks (default 100)")
    parser.add_argument("--at-once", type=int, default=4, help="tasks at a time (default 4)")
    parser.add_argument("--hang", type=float, default=2.0, help="seconds of a time-out (default 2)")
    parser.add_argument("--cooldown", type=float, default=90.0, help="breaker_cooldown_s (default 90)")
    parser.add_argument("--failures", type=int, default=3, help="breaker_failures (default 3)")
    parser.add_argument("--one-task", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one_task:
        task()
        return
    primary, alternative = ModelServer(hangs=True), ModelServer()
    with tempfile.TemporaryDirectory() as home, serving(primary, alternative):
        os.environ |= settings(home, {"primary": primary, "alternative": alternative}, options)
        figures = measure(primary, options)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
