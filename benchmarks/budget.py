"""
A cap is a cap: many processes on one dollar, and a task that is killed in the middle of its calls.

The provider is a fake, in a process of its own: it answers chat completions with tokens drawn
at random, and counts the requests, the tokens and the dollars that it would bill. Half a percent
of its answers are lost on the way after they were billed. Everything else is real: processes,
``LLMHook`` with ``budgets=``, HTTP, a SQLite file in WAL mode and a PostgreSQL server.

1. 64 processes, all at once, call until they are refused; some are killed with SIGKILL on the
   way. Money that others have only reserved may come back, so that a refused process tries again
   for a while: the cap is to be used up, not only kept.
2. A task of ten steps, with a journal in a file and ``Budget(requests=5)``, is killed with SIGKILL
   three times while the provider thinks about a call, and started again. What was answered
   before is replayed, what was sent counts.

    python benchmarks/budget.py [--processes N] [--no-postgres]

The last line is ``{"processes", "cap_usd", "spent_usd", "overspend_usd", "kills",
"requests_served", "request_limit"}``: the worse of both databases, whose own figures follow
under their names. Spent is what the provider billed; overspent is what it billed, or the
ledger booked, above the cap. Aims: at least 0.95 USD spent, 0 overspent, and no more requests
served than the limit.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "scripts" / "_demo")]

CAP_USD = 1.0
REQUEST_LIMIT = 5
STEPS = 10
INPUT_MICROS, OUTPUT_MICROS = 5, 20  # micro-dollars a token: dollars a million
MAX_TOKENS = 50
LOST = 0.005
KILLED_WORKERS = 3
REFUSED_FOR_S = 1.5
#: The requests of the second part that the provider thinks about for ever.
HELD = (2, 4, 5)
PRELOADED = [
    "airflow_agent_provider.drivers.flow",
    "airflow_agent_provider.drivers.http",
    "airflow_agent_provider.drivers.private",
    "airflow_agent_provider.hooks.llm_connection",
    "airflow_agent_provider.hooks.llm_terms",
    "airflow_agent_provider.journals.task_state",
    "airflow_agent_provider.ledger.control",
    "airflow.providers.postgres.hooks.postgres",
]


# The provider


@dataclass
class Provider:
    """What the fake provider counts."""

    held: tuple[int, ...] = ()
    requests: int = 0
    tokens: int = 0
    micros: int = 0
    answered: list[str] = field(default_factory=list)
    dice: random.Random = field(default_factory=lambda: random.Random(1))

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from faulty_server import read_request

        with suppress(asyncio.IncompleteReadError, OSError), closing(writer):
            while True:
                _, body = await read_request(reader)
                self.requests += 1
                await self.answer(json.loads(body), self.requests, writer)

    async def answer(self, asked: dict[str, Any], number: int, writer: asyncio.StreamWriter) -> None:
        prompt = asked["messages"][-1]["content"]
        prompt_tokens = len(prompt) // 4
        answer_tokens = self.dice.randint(1, asked["max_tokens"])
        self.tokens += prompt_tokens + answer_tokens
        self.micros += prompt_tokens * INPUT_MICROS + answer_tokens * OUTPUT_MICROS
        if number in self.held:
            await asyncio.sleep(3600)
        await asyncio.sleep(self.dice.uniform(0, 0.02))
        reply = {
            "id": f"r{number}",
            "model": asked["model"],
            "choices": [{"message": {"role": "assistant", "content": "done"}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": prompt_tokens, "completion_tokens": answer_tokens},
        }
        data = json.dumps(reply).encode()
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(data))
        if not self.held and self.dice.random() < LOST:
            writer.transport.abort()
            raise ConnectionResetError
        writer.write(data)
        await writer.drain()
        self.answered.append(prompt)


async def _provide(ready: Connection) -> None:
    loop = asyncio.get_running_loop()
    provider = Provider()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await provider.handle(reader, writer)

    server = await asyncio.start_server(handle, "127.0.0.1", 0, backlog=200)
    ready.send(server.sockets[0].getsockname()[1])
    while True:
        asked = await loop.run_in_executor(None, ready.recv)
        if isinstance(asked, Provider):
            provider = asked  # counts from nothing
        ready.send(provider)


def provide(ready: Connection) -> None:
    """Run the provider; whatever is received is answered by its counts."""
    asyncio.run(_provide(ready))


# Processes that spend


def model(ledger: str | None, key: str, **caps: Any) -> Any:
    """Give a model that draws on one account."""
    from airflow_agent_provider.hooks.llm import LLMHook
    from airflow_agent_provider.routing.budget import Budget, Spender

    spender = Spender("budget", key, datetime(2026, 1, 1, tzinfo=UTC))
    return LLMHook("llm_budget", budgets=[Budget(**caps)], spender=spender, ledger_conn_id=ledger).get_model()


def call(text: str) -> Any:
    """Ask something of some hundred tokens."""
    from airflow_agent_provider.core.effects import CallModel
    from airflow_agent_provider.core.messages import Message

    return CallModel(
        (Message("user", f"{text}: {'why is the departure missing? ' * 12}"),), max_tokens=MAX_TOKENS
    )


async def _spend(ledger: str | None, name: str) -> int:
    from airflow_agent_provider.exceptions import BudgetExceeded, TransientError

    calls, refused_at = 0, 0.0
    async with model(ledger, "shared", usd=CAP_USD) as one:
        while not refused_at or time.monotonic() - refused_at < REFUSED_FOR_S:
            try:
                await one.answer(call(f"{name}, call {calls}"))
            except BudgetExceeded:
                refused_at = refused_at or time.monotonic()
                await asyncio.sleep(0.02)
                continue
            except TransientError:
                pass  # an answer was lost
            calls, refused_at = calls + 1, 0.0
    return calls


def spend(ledger: str | None, name: str, ready: Any, go: Any, done: Any) -> None:
    """Call until there is nothing left."""
    ready.release()
    go.wait()
    done.put(asyncio.run(_spend(ledger, name)))


def many(context: Any, provider: Connection, ledger: str | None, processes: int) -> dict[str, Any]:
    """Let processes compete for the cap, and kill some."""
    provider.send(Provider())
    provider.recv()
    ready, go, done = context.Semaphore(0), context.Event(), context.SimpleQueue()
    workers = [
        context.Process(target=spend, args=(ledger, f"worker {number}", ready, go, done), daemon=True)
        for number in range(processes)
    ]
    for worker in workers:
        worker.start()
    for _ in workers:
        ready.acquire()
    start_s = time.monotonic()
    go.set()
    for victim in workers[:KILLED_WORKERS]:
        time.sleep(0.5)
        os.kill(victim.pid, signal.SIGKILL)
    for worker in workers:
        worker.join()
    provider.send(None)
    counted = provider.recv()
    booked = _balance(ledger, "run:budget:shared")
    calls = [done.get() for _ in workers[KILLED_WORKERS:]]
    return {
        "spent_usd": counted.micros / 1e6,
        "ledger_usd": booked.spent_usd,
        "reserved_usd": booked.reserved_usd,
        "overspend_usd": max(
            0.0, counted.micros / 1e6 - CAP_USD, booked.spent_usd + booked.reserved_usd - CAP_USD
        ),
        "requests": counted.requests,
        "fewest_calls": min(calls),
        "workers_killed": sum(worker.exitcode == -signal.SIGKILL for worker in workers),
        "seconds": round(time.monotonic() - start_s, 1),
    }


def _balance(ledger: str | None, key: str) -> Any:
    from airflow_agent_provider.hooks.ledger import ledger_database
    from airflow_agent_provider.ledger.budget import LedgerBudget

    return LedgerBudget(ledger_database(ledger)).balance(key)


# A task that is killed


class FileStore:
    """Stands in for Airflow's task state store: writes through, survives the process."""

    def __init__(self, path: str) -> None:
        self._path = Path(path)
        self._values = json.loads(self._path.read_text("utf-8")) if self._path.exists() else {}

    def get(self, key: str, default: Any = None) -> Any:
        return self._values.get(key, default)

    def set(self, key: str, value: Any) -> None:
        self._values[key] = value
        new = self._path.with_suffix(".new")
        new.write_text(json.dumps(self._values), "utf-8")
        new.replace(self._path)


def steps() -> Generator[Any, Any, int]:
    """A flow of ten calls."""
    for number in range(STEPS):
        yield call(f"step {number}")
    return STEPS


def attempt(ledger: str | None, journal: str, outcome: Any) -> None:
    """One try of the task."""
    from airflow_agent_provider.drivers.flow import Driver
    from airflow_agent_provider.exceptions import BudgetExceeded
    from airflow_agent_provider.journals.task_state import TaskStateJournal

    one = model(ledger, "killed", requests=REQUEST_LIMIT)
    driver = Driver(one, journal=TaskStateJournal(FileStore(journal), max_tries=3))
    try:
        asyncio.run(driver.run(steps()))
    except BudgetExceeded as error:
        outcome.put((driver.replayed, str(error)))


def killed(context: Any, provider: Connection, ledger: str | None, journal: str) -> dict[str, Any]:
    """Kill a task whenever the provider thinks about its call for long, and start it again."""
    provider.send(Provider(held=HELD))
    provider.recv()
    outcome = context.SimpleQueue()
    kills = 0
    for held in (*HELD, None):
        task = context.Process(target=attempt, args=(ledger, journal, outcome), daemon=True)
        task.start()
        while held and task.is_alive() and _counts(provider).requests < held:
            time.sleep(0.02)
        if held:
            os.kill(task.pid, signal.SIGKILL)
        task.join()
        kills += task.exitcode == -signal.SIGKILL
    counted = _counts(provider)
    replayed, error = outcome.get() if not outcome.empty() else (0, "the task ended otherwise")
    return {
        "kills": kills,
        "requests_served": counted.requests,
        "answered_twice": len(counted.answered) - len(set(counted.answered)),
        "replayed_at_last": replayed,
        "told": error,
    }


def _counts(provider: Connection) -> Provider:
    provider.send(None)
    counts: Provider = provider.recv()
    return counts


def environment(home: str, port: int, postgres_uri: str | None) -> dict[str, str]:
    """Give what processes need before they import Airflow."""
    price = {"input_usd_per_mtok": INPUT_MICROS, "output_usd_per_mtok": OUTPUT_MICROS}
    connection = {
        "conn_type": "llm",
        "host": f"http://127.0.0.1:{port}/v1",
        "extra": {"model": "fake-1", "max_retries": 0, "timeout_s": 120, **price},
    }
    settings = {
        "AIRFLOW_HOME": home,
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR",
        "AIRFLOW__AGENT_PROVIDER__LEDGER_PATH": f"{home}/ledger.sqlite",
        "AIRFLOW_CONN_LLM_BUDGET": json.dumps(connection),
    }
    if postgres_uri:
        settings["AIRFLOW_CONN_LEDGER_BUDGET"] = postgres_uri
    return settings


def measure(processes: int, home: str, postgres_uri: str | None) -> dict[str, Any]:
    """Measure over each database and put the worse figures on top."""
    ours, theirs = multiprocessing.Pipe()
    fake = multiprocessing.get_context("spawn").Process(target=provide, args=(theirs,), daemon=True)
    fake.start()
    try:
        os.environ |= environment(home, ours.recv(), postgres_uri)
        # Sixty-four imports of Airflow would take minutes: each process is a fork of one that did it.
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(PRELOADED)
        ledgers = {"sqlite": None, **({"postgres": "ledger_budget"} if postgres_uri else {})}
        figures = {}
        for name, ledger in ledgers.items():
            figures[name] = many(context, ours, ledger, processes)
            figures[name] |= killed(context, ours, ledger, f"{home}/{name}.json")
            print(f"{name}: {figures[name]}", file=sys.stderr)
    finally:
        fake.terminate()
        fake.join()
    return {
        "processes": processes,
        "cap_usd": CAP_USD,
        "spent_usd": min(one["spent_usd"] for one in figures.values()),
        "overspend_usd": max(one["overspend_usd"] for one in figures.values()),
        "kills": min(one["kills"] for one in figures.values()),
        "requests_served": max(one["requests_served"] for one in figures.values()),
        "request_limit": REQUEST_LIMIT,
        **figures,
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--processes", type=int, default=64, help="that compete (default 64)")
    parser.add_argument("--no-postgres", action="store_true", help="the SQLite file only")
    options = parser.parse_args()
    with ExitStack() as stack:
        home = stack.enter_context(tempfile.TemporaryDirectory(prefix="budget-"))
        uri = None
        if not options.no_postgres:
            from one_postgres import server

            uri = stack.enter_context(server())
        figures = measure(options.processes, home, uri)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
