"""
Client CPU per model call: ours through ``LLMHook`` against raw httpx.

A minimal chat-completions server without latency runs in a process of its own, so
that only the client's CPU is counted. Both sides are async, ask one call after
another on one kept-alive connection, send the same JSON and parse the same
reply; rounds alternate, and the medians are compared.

    python benchmarks/call_overhead.py [--calls N] [--rounds N] [--peers]

The last line is ``{"ours_cpu_ms", "httpx_cpu_ms", "ratio"}``; the aim is a ratio
of at most 2. ``--peers`` adds other clients, each installed in an environment of its
own, against the same server: ``"peers": {name: {"cpu_ms", "ratio"}}``, the ratio to raw
httpx.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Awaitable, Callable
from multiprocessing.connection import Connection
from pathlib import Path

SYSTEM = "You explain failed data quality checks. Cite the metric that each claim rests on. " * 4
QUESTION = "departure delay is missing in 51 of 100 rows, against 3 in the weeks before. " * 8
KEY = "sk-benchmark-0123456789"
REPLY = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "benchmark",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "A storm grounded the flights. " * 8},
            "finish_reason": "stop",
        }
    ],
    "usage": {
        "prompt_tokens": 240,
        "completion_tokens": 60,
        "total_tokens": 300,
        "prompt_tokens_details": {"cached_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0},
    },
}


# What each peer's script needs.
PEERS = {"openai_client": ["openai"], "pydantic_ai_agent": ["pydantic-ai-slim[openai]"]}


class ChatServer(asyncio.Protocol):
    """Answers every whole HTTP/1.1 request with the same reply and keeps the connection."""

    body = json.dumps(REPLY).encode()
    head = (
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
        b"x-request-id: r-1\r\ncontent-length: %d\r\n\r\n"
    )

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.pending = b""

    def data_received(self, data: bytes) -> None:
        self.pending += data
        while True:
            head, end, rest = self.pending.partition(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0] or 0)
            if not end or len(rest) < length:
                return
            self.pending = rest[length:]
            self.transport.write(self.head % len(self.body) + self.body)  # type: ignore[attr-defined]


def serve(ready: Connection) -> None:
    """Run the server and tell its port."""

    async def run() -> None:
        server = await asyncio.get_running_loop().create_server(ChatServer, "127.0.0.1", 0)
        ready.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(run())


async def cpu_ms_per_call(ask: Callable[[], Awaitable[object]], calls: int) -> float:
    """Give the process's CPU milliseconds per call, once the connection is warm."""
    for _ in range(20):
        await ask()
    start_s = time.process_time()
    for _ in range(calls):
        await ask()
    return (time.process_time() - start_s) * 1000 / calls


async def ours(calls: int) -> float:
    """Measure a model got from the hook."""
    from airflow_agent_provider.core.effects import CallModel
    from airflow_agent_provider.core.messages import Message
    from airflow_agent_provider.hooks.llm import LLMHook

    call = CallModel((Message("system", SYSTEM), Message("user", QUESTION)))
    async with LLMHook("llm_benchmark").get_model() as model:
        reply = await model.answer(call)
        assert reply.usage.total_tokens == REPLY["usage"]["total_tokens"]  # type: ignore[index]
        return await cpu_ms_per_call(lambda: model.answer(call), calls)


async def raw_httpx(calls: int, base_url: str) -> float:
    """Measure a reused httpx client."""
    import httpx

    body = {
        "model": "benchmark",
        "messages": [{"role": "system", "content": SYSTEM}, {"role": "user", "content": QUESTION}],
        "max_tokens": 1024,
        "temperature": 0.0,
    }
    headers = {"authorization": f"Bearer {KEY}"}

    async with httpx.AsyncClient() as client:

        async def ask() -> object:
            response = await client.post(f"{base_url}/chat/completions", json=body, headers=headers)
            return json.loads(response.content)

        return await cpu_ms_per_call(ask, calls)


def measure(calls: int, rounds: int, base_url: str) -> dict[str, float]:
    """Alternate the two and give the medians."""
    figures: dict[str, list[float]] = {"ours": [], "httpx": []}
    for number in range(rounds):
        figures["httpx"].append(asyncio.run(raw_httpx(calls, base_url)))
        figures["ours"].append(asyncio.run(ours(calls)))
        print(
            f"round {number + 1} of {rounds}: httpx {figures['httpx'][-1]:.3f} ms, "
            f"ours {figures['ours'][-1]:.3f} ms of CPU a call",
            file=sys.stderr,
        )
    ours_ms, httpx_ms = statistics.median(figures["ours"]), statistics.median(figures["httpx"])
    return {
        "ours_cpu_ms": round(ours_ms, 4),
        "httpx_cpu_ms": round(httpx_ms, 4),
        "ratio": round(ours_ms / httpx_ms, 3),
    }


def measure_peers(calls: int, rounds: int, base_url: str, httpx_ms: float) -> dict[str, dict[str, float]]:
    """Install each peer apart and give its medians."""
    figures = {}
    for name, packages in PEERS.items():
        with tempfile.TemporaryDirectory(prefix=f"peer-{name}-") as home:
            print(f"installing {', '.join(packages)} ...", file=sys.stderr)
            venv.create(home, with_pip=True)
            python = str(Path(home, "bin", "python"))
            subprocess.run([python, "-m", "pip", "install", "--quiet", *packages], check=True)
            script = str(Path(__file__).parent / "peers" / f"{name}.py")
            command = [python, script, base_url, KEY, str(calls), SYSTEM, QUESTION]
            runs = [
                float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
                for _ in range(rounds)
            ]
        cpu_ms = statistics.median(runs)
        figures[name] = {"cpu_ms": round(cpu_ms, 4), "ratio": round(cpu_ms / httpx_ms, 3)}
    return figures


def main() -> None:
    """Start the server, measure, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--calls", type=int, default=1000, help="calls per round (default 1000)")
    parser.add_argument("--rounds", type=int, default=7, help="rounds (default 7)")
    parser.add_argument("--peers", action="store_true", help="measure other clients too; installs them")
    options = parser.parse_args()
    receive, ready = multiprocessing.Pipe(duplex=False)
    server = multiprocessing.get_context("spawn").Process(target=serve, args=(ready,), daemon=True)
    server.start()
    try:
        if not receive.poll(60):
            sys.exit("the local server did not start within 60 s")
        with tempfile.TemporaryDirectory() as home:
            base_url = f"http://127.0.0.1:{receive.recv()}/v1"
            os.environ["AIRFLOW_HOME"] = home
            os.environ["AIRFLOW_CONN_LLM_BENCHMARK"] = json.dumps({
                "conn_type": "llm",
                "host": base_url,
                "password": KEY,
                "extra": {"model": "benchmark"},
            })
            figures: dict[str, object] = {**measure(options.calls, options.rounds, base_url)}
            if options.peers:
                httpx_ms = float(str(figures["httpx_cpu_ms"]))
                figures["peers"] = measure_peers(options.calls, options.rounds, base_url, httpx_ms)
    finally:
        server.terminate()
        server.join()
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
