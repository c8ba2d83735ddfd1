"""
Ten thousand seeded faults of a model's server, and what becomes of the calls.

A server of our own (a fake, in a process of its own) answers every request by a fault drawn
from a seed: statuses with and without ``Retry-After``, resets, half bodies, wrong types,
invalid JSON, wrong tool arguments, huge and slow bodies, TLS errors, redirects and more, see
``tests/faults.py``. It is asked through ``LLMHook`` in every dialect, over plain HTTP and TLS,
with and without tools and answer schemas, drawing on a budget in a SQLite file or a real
PostgreSQL, with retries, with the redaction, breaker and rate limit that every connection has;
some calls are cancelled on the way.

    python benchmarks/faults.py [--cases N] [--seed N] [--no-postgres]

=======  =======================================================================
untyped  the outcome is neither a whole reply nor an ``AgentProviderError``
hangs    it took longer than the deadline and ``SLACK_S``
leaks    the key or words of the prompt in an error, its traceback or a log record
         of any level; a key taken along by a redirect; a reservation that stays
         held; a socket, task or resource left open
=======  =======================================================================

The last line is ``{"cases", "untyped", "hangs", "leaks"}``; the aim of all three is 0.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import logging
import multiprocessing
import os
import random
import re
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Generator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "scripts" / "_demo")]

from certificates import Certificates  # noqa: E402  these lie beside the tests, which use them too
from dialects import DIALECTS  # noqa: E402
from faults import Asked, fault  # noqa: E402
from faulty_server import answer, read_request  # noqa: E402

KEY = "sk-benchmark-0123456789abcdef"
TIMEOUT_S = 1.0
LINE_S = 5.0  # nobody waits longer for a line
SLACK_S = 3.0
GIVE_UP_S = 30.0
WORKERS = 24
MAX_BODY_BYTES = 20_000
#: anyio and httpcore drop a connection whose making is cancelled rather than close it; Python closes it then.
#: Sockets that are still open at the end are looked for apart.
CANCELLED_WHILE_CONNECTING = ("unclosed transport", "unclosed <socket")
#: How the hook calls the dialects, and the path of each; ``signed`` proves itself as AWS wants it.
PROVIDERS = {
    "openai": ("openai_chat", "/v1"),
    "openai_responses": ("openai_responses", "/v1"),
    "azure_openai": ("azure_openai", ""),
    "anthropic": ("anthropic_messages", ""),
    "google": ("gemini", "/v1beta"),
    "bedrock": ("bedrock_converse", ""),
    "signed": ("bedrock_converse", ""),
}
#: Where the calls go, and how often.
PLACES = {
    "http": 20,
    "tls": 6,
    "untrusted": 1,
    "another_host": 1,
    "expired": 1,
    "no_tls": 1,
    "hangs_up": 1,
    "closed": 1,
}
SECRETS = (
    "okonkwo zanzibar ultramarine quokkafarm bumblebeak marzipanic kaleidograph sassafras "
    "wolframite gobbledoon tarantellas xylographer"
).split()


def letters(number: int) -> str:
    """Write a number in letters, which no redaction takes for an identifier."""
    text = ""
    while number or not text:
        number, rest = divmod(number, 20)
        text = "bcdfghjklmnpqrstvwxz"[rest] + text
    return text


@dataclass(frozen=True)
class Case:
    """One call, drawn from the seed: here and in the server's process."""

    seed: int
    number: int

    @property
    def dice(self) -> random.Random:
        return random.Random(f"{self.seed}/{self.number}")

    @property
    def group(self) -> random.Random:
        """What the calls of one connection have in common."""
        return random.Random(f"{self.seed}/group/{self.number // 2}")

    @property
    def provider(self) -> str:
        return self.group.choices([*PROVIDERS], [4, 4, 2, 4, 4, 3, 1])[0]

    @property
    def prompt(self) -> str:
        words = self.dice.sample(SECRETS, 8)
        rows = "; ".join(f"{word} has no departure, says {word}'s row" for word in words)
        return f"Case {letters(self.number)} of the batch. {rows}. Why?"

    def asked(self, elsewhere: str) -> Asked:
        dialect = DIALECTS[PROVIDERS[self.provider][0]]
        return Asked(dialect, KEY, self.prompt, elsewhere, MAX_BODY_BYTES)

    def line(self, attempt: int, elsewhere: str) -> Any:
        return fault(f"{self.seed}/{self.number}/{attempt}", self.asked(elsewhere))


# The server's process


class FaultyServer:
    """Answers each request by the fault of its case and try."""

    def __init__(self, seed: int) -> None:
        self._cases = {"": Case(seed, 0)}
        self._seed = seed
        self.elsewhere = ""
        self.tries: Counter[str] = Counter()
        self.kinds: Counter[str] = Counter()
        self.stolen = 0

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError), closing(writer):
            while True:
                _, body = await read_request(reader)
                marker = re.search(rb"Case ([a-z]+) of", body)
                name = marker.group(1).decode() if marker else "b"
                self.tries[name] += 1
                kind, line = Case(self._seed, _number(name)).line(self.tries[name], self.elsewhere)
                self.kinds[kind] += 1
                async with asyncio.timeout(LINE_S):
                    await answer(line, writer)

    async def steal(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.stolen += 1
        await self.handle(reader, writer)


def _number(text: str) -> int:
    number = 0
    for letter in text:
        number = number * 20 + "bcdfghjklmnpqrstvwxz".index(letter)
    return number


async def _greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError), closing(writer):
        writer.write(b"220 mail.example.org ESMTP\r\n")
        await reader.read(1000)


def _hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


async def _serve(ready: Connection, seed: int, folder: str) -> None:
    certificates = Certificates(Path(folder))
    faulty = FaultyServer(seed)
    doors = {
        "http": (faulty.handle, None),
        "elsewhere": (faulty.steal, None),
        "tls": (faulty.handle, certificates.server("trusted")),
        "untrusted": (faulty.handle, certificates.server("self-signed")),
        "another_host": (faulty.handle, certificates.server("another host")),
        "expired": (faulty.handle, certificates.server("expired")),
        "no_tls": (_greet, None),
        "hangs_up": (_hang_up, None),
    }
    ports = {}
    for name, (handler, tls) in doors.items():
        server = await asyncio.start_server(handler, "127.0.0.1", 0, ssl=tls, backlog=1000)
        ports[name] = server.sockets[0].getsockname()[1]
    faulty.elsewhere = f"http://127.0.0.1:{ports['elsewhere']}"
    ready.send(ports)
    await asyncio.to_thread(ready.recv)
    ready.send((faulty.stolen, sum(faulty.tries.values()), dict(faulty.kinds)))


def serve(ready: Connection, seed: int, folder: str) -> None:
    """Run the server until it is asked what it saw."""
    logging.disable()  # it breaks connections all the time
    asyncio.run(_serve(ready, seed, folder))


# The client


@dataclass
class Findings:
    """What went wrong, and how often everything else happened."""

    outcomes: Counter[str] = field(default_factory=Counter)
    untyped: list[str] = field(default_factory=list)
    hangs: list[str] = field(default_factory=list)
    leaks: list[str] = field(default_factory=list)
    slowest_s: float = 0.0

    def search(self, text: str, where: str) -> None:
        """Look for the key and for words of the prompt, however they are spaced."""
        plain = re.sub(r"[\x00-\x1f\u200b]", "", text).lower()
        found = [word for word in (KEY, KEY[:14], *SECRETS) if word in plain]
        if found:
            self.leaks.append(f"{where}: {found[0]!r} in {text[-400:]!r}")


class LogSearch(logging.Handler):
    """Searches every record of every library."""

    def __init__(self, findings: Findings) -> None:
        super().__init__(logging.DEBUG)
        self._findings = findings

    def emit(self, record: logging.LogRecord) -> None:
        text = self.format(record)
        self._findings.search(text, f"log of {record.name}")


def fields(case: Case, ports: dict[str, int], place: str) -> dict[str, Any]:
    """Give the connection that a group of cases is asked through."""
    dice = case.group
    provider = case.provider
    scheme = "http" if place == "http" or (place == "closed" and dice.random() < 0.5) else "https"
    host = f"{scheme}://127.0.0.1:{ports.get(place, 1)}{PROVIDERS[provider][1]}"
    signed = {"aws_conn_id": "aws_faults", "region_name": "eu-central-1"} if provider == "signed" else {}
    extra = {
        "provider": "bedrock" if signed else provider,
        "model": "small-1",
        "timeout_s": TIMEOUT_S,
        "connect_timeout_s": 0.5,
        "read_timeout_s": 0.5,
        "max_retries": dice.choice((0, 0, 1, 2)),
        "max_body_bytes": MAX_BODY_BYTES,
        # Mostly out of the way: who is known to be down is not asked.
        "breaker_failures": dice.choice((3, 1000, 1000, 1000)),
        "input_usd_per_mtok": 1,
        "output_usd_per_mtok": 2,
        **signed,
    }
    return {"conn_type": "llm", "host": host, "password": None if signed else KEY, "extra": extra}


def call_of(case: Case) -> Any:
    """Draw a call: alone, with tools, with a schema, in the middle of a conversation."""
    from airflow_agent_provider.core.effects import CallModel
    from airflow_agent_provider.core.messages import Message, ToolRequest, ToolSpec

    dice = case.dice
    messages = [Message("system", "You explain failed checks."), Message("user", case.prompt)]
    if dice.random() < 0.3:
        messages += [
            Message("assistant", "", (ToolRequest("call_1", "query", {"sql": case.prompt}),)),
            Message("tool", case.prompt, tool_call_id="call_1", failed=dice.random() < 0.5),
        ]
    tools = (ToolSpec("query", "Run a query", {"type": "object", "properties": {"sql": {"type": "string"}}}),)
    schema = {"type": "object", "properties": {"why": {"type": "string"}}, "required": ["why"]}
    return CallModel(
        tuple(messages),
        tools if dice.random() < 0.5 else (),
        schema if dice.random() < 0.3 else None,
        max_tokens=dice.choice((1, 64, 4096)),
    )


def is_whole(reply: Any) -> bool:
    """Say whether a reply holds nothing but what its types promise."""
    from airflow_agent_provider.core.messages import ModelReply, ToolRequest

    if not isinstance(reply, ModelReply):
        return False
    usage = reply.usage
    counts = (usage.input_tokens, usage.output_tokens, usage.cached_tokens, usage.reasoning_tokens)
    return (
        all(isinstance(text, str) for text in (reply.text, reply.model, reply.request_id))
        and reply.stop_reason in {"stop", "tool_calls", "length", "refusal", "other"}
        and all(type(count) is int and count >= 0 for count in counts)
        and (reply.cost_micros is None or type(reply.cost_micros) is int)
        and all(
            isinstance(one, ToolRequest)
            and isinstance(one.arguments, dict | None)
            and all(isinstance(text, str) for text in (one.id, one.name, one.raw, one.signature))
            for one in reply.tool_requests
        )
    )


async def ask(model: Any, case: Case, findings: Findings) -> None:
    """Make one call and judge what became of it."""
    from airflow_agent_provider.exceptions import AgentProviderError

    dice, where = case.dice, f"case {case.number} ({case.provider})"
    cancel_after_s = dice.uniform(0, 0.1) if dice.random() < 0.03 else None
    start_s = time.monotonic()
    task = asyncio.create_task(model.answer(call_of(case)))
    if cancel_after_s is not None:
        await asyncio.sleep(cancel_after_s)
        task.cancel()
    await asyncio.wait([task], timeout=GIVE_UP_S)
    took_s = time.monotonic() - start_s
    findings.slowest_s = max(findings.slowest_s, took_s)
    if took_s > TIMEOUT_S + SLACK_S:
        findings.hangs.append(f"{where}: {took_s:.1f} s")
    if not task.done():
        task.cancel()
        return
    if task.cancelled():
        findings.outcomes["cancelled"] += 1
        if cancel_after_s is None:
            findings.untyped.append(f"{where}: cancelled by nobody")
        return
    error = task.exception()
    findings.outcomes[type(error).__name__ if error else "reply"] += 1
    if error is None:
        if not is_whole(task.result()):
            findings.untyped.append(f"{where}: {task.result()!r}"[:500])
        return
    told = "".join(traceback.format_exception(error))
    if not isinstance(error, AgentProviderError):
        findings.untyped.append(f"{where}: {told[-1500:]}")
    findings.search(told + repr(error), where)


async def ask_group(cases: list[Case], ports: dict[str, int], ledger: str | None, findings: Findings) -> None:
    """Ask some cases one after another, through a connection of their own."""
    from airflow_agent_provider.hooks.llm import LLMHook
    from airflow_agent_provider.routing.budget import Budget, Spender

    first = cases[0]
    [place] = first.group.choices([*PLACES], [*PLACES.values()])
    conn_id = f"faults_{letters(first.number)}"
    name = f"AIRFLOW_CONN_{conn_id.upper()}"
    os.environ[name] = json.dumps(fields(first, ports, place))
    spender = Spender("faults", conn_id, datetime(2026, 1, 1, tzinfo=UTC))
    hook = LLMHook(conn_id, budgets=[Budget(usd=1_000)], spender=spender, ledger_conn_id=ledger)
    try:
        async with await hook.aget_model() as model:
            findings.search(repr(model) + repr(model.endpoint), "repr of the model")
            for case in cases:
                await ask(model, case, findings)
    finally:
        del os.environ[name]


async def run(cases: int, seed: int, ports: dict[str, int], *, postgres: bool) -> Findings:
    """Ask all cases, some at a time, and look at what is left."""
    findings = Findings()
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: findings.leaks.append(f"event loop: {context}"[:500]))
    room = asyncio.Semaphore(WORKERS)
    groups = [[Case(seed, n) for n in range(start, min(start + 2, cases))] for start in range(0, cases, 2)]

    async def one(group: list[Case]) -> None:
        async with room:
            ledger = "ledger_faults" if postgres and group[0].group.random() < 0.15 else None
            await ask_group(group, ports, ledger, findings)

    done = 0
    for start in range(0, len(groups), 500):
        batch = groups[start : start + 500]
        await asyncio.gather(*(one(group) for group in batch))
        done += sum(map(len, batch))
        print(f"{done} of {cases} cases", file=sys.stderr)
    gc.collect()
    await asyncio.sleep(0.2)
    others = asyncio.all_tasks() - {asyncio.current_task()}
    findings.leaks += [f"task left: {task}"[:300] for task in others]
    return findings


def sockets_left(ports: dict[str, int]) -> list[str]:
    """Give the connections to the server that are still open."""
    import psutil

    ours = set(ports.values())
    return [
        f"socket left: {one}"
        for one in psutil.Process().net_connections("tcp")
        if one.raddr and one.raddr.port in ours and one.status in {"ESTABLISHED", "CLOSE_WAIT"}
    ]


def reservations_left(*, postgres: bool) -> list[str]:
    """Give what stays reserved in the ledgers."""
    from airflow_agent_provider.hooks.ledger import ledger_database

    left = []
    for ledger in (None, "ledger_faults")[: 1 + postgres]:
        with ledger_database(ledger).read() as statements:
            rows = statements.execute("SELECT account, micros FROM agent_reservation")
            left += [f"reservation left: {row}" for row in rows]
            [sums] = statements.execute(
                "SELECT COUNT(*) AS accounts, SUM(requests) AS requests, SUM(reserved_micros) AS reserved, "
                "SUM(reserved_tokens) AS tokens FROM agent_budget"
            )
        print(f"ledger {ledger or 'SQLite'}: {dict(sums)}", file=sys.stderr)
        left += [f"held without a reservation: {sums}"] if sums["reserved"] or sums["tokens"] else []
    return left


@contextmanager
def watched(findings: Findings) -> Generator[None]:
    """Search all that is logged, and count resources that are dropped rather than closed."""

    def show(message: Any, category: type, *_: object) -> None:
        if not issubclass(category, ResourceWarning):
            return
        if str(message).startswith(CANCELLED_WHILE_CONNECTING):
            findings.outcomes["closed by the garbage collector"] += 1
        else:
            findings.leaks.append(f"{message}"[:300])

    import airflow_agent_provider.hooks.llm  # noqa: F401  Airflow sets logging up when it is imported

    root, handler = logging.getLogger(), LogSearch(findings)
    root.handlers[:] = [handler]
    root.setLevel(logging.DEBUG)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("always", ResourceWarning)
            warnings.showwarning = show  # type: ignore[assignment]
            yield
    finally:
        root.removeHandler(handler)


def environment(home: str, postgres_uri: str | None) -> dict[str, str]:
    """Give what the process needs before it imports Airflow."""
    settings = {
        "AIRFLOW_HOME": home,
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__AGENT_PROVIDER__LEDGER_PATH": f"{home}/ledger.sqlite",
        "AIRFLOW_CONN_AWS_FAULTS": json.dumps({"conn_type": "aws", "login": "AKIAFAULTS", "password": KEY}),
        "SSL_CERT_FILE": f"{home}/certificates/authority.pem",
    }
    if postgres_uri:
        settings["AIRFLOW_CONN_LEDGER_FAULTS"] = postgres_uri
    return settings


def measure(cases: int, seed: int, home: str, postgres_uri: str | None) -> Findings:
    """Start the server, ask, and put together what was found."""
    folder = f"{home}/certificates"
    Certificates(Path(folder)).write()
    os.environ |= environment(home, postgres_uri)
    ours, theirs = multiprocessing.Pipe()
    context = multiprocessing.get_context("spawn")
    server = context.Process(target=serve, args=(theirs, seed, folder), daemon=True)
    server.start()
    try:
        if not ours.poll(60):
            sys.exit("the local server did not start within 60 s")
        ports = ours.recv()
        watch = Findings()
        with watched(watch):
            findings = asyncio.run(run(cases, seed, ports, postgres=bool(postgres_uri)))
            gc.collect()
        findings.leaks += watch.leaks + sockets_left(ports) + reservations_left(postgres=bool(postgres_uri))
        ours.send("stop")
        stolen, requests, kinds = ours.recv()
    finally:
        server.terminate()
        server.join()
    print(f"sockets: {dict(watch.outcomes)}", file=sys.stderr)
    findings.leaks += [f"{stolen} requests followed a redirect"] if stolen else []
    print(f"{requests} requests served: {kinds}", file=sys.stderr)
    return findings


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cases", type=int, default=12_000, help="calls (default 12000)")
    parser.add_argument("--seed", type=int, default=1, help="what the faults are drawn from (default 1)")
    parser.add_argument("--no-postgres", action="store_true", help="keep the ledger in a SQLite file only")
    options = parser.parse_args()
    with ExitStack() as stack:
        home = stack.enter_context(tempfile.TemporaryDirectory(prefix="faults-"))
        uri = None
        if not options.no_postgres:
            from one_postgres import server

            uri = stack.enter_context(server())
        findings = measure(options.cases, options.seed, home, uri)
    for name in ("untyped", "hangs", "leaks"):
        for one in getattr(findings, name)[:20]:
            print(f"{name}: {one}", file=sys.stderr)
    print(f"outcomes: {dict(findings.outcomes)}; slowest {findings.slowest_s:.2f} s", file=sys.stderr)
    print(
        json.dumps({
            "cases": sum(findings.outcomes.values()),
            "untyped": len(findings.untyped),
            "hangs": len(findings.hangs),
            "leaks": len(findings.leaks),
        })
    )


if __name__ == "__main__":
    main()
