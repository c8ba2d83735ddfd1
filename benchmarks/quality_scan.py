"""
What a scan of 5 million rows costs, against DuckDB's own one pass and SUMMARIZE.

The batch is a Parquet file of taxi-like rows made by a seeded generator: 12 columns
(timestamps, integers, floats, texts of few and of many values), 3 % NULLs. Four
measurements, each in a fresh process and in turn, CPU seconds (user and system,
getrusage) of the whole process, imports and compilation included, medians:

- ``checks``: 30 checks with ``scan(profile="none")``; an exact uniqueness and two
  regular expressions among them;
- ``one_pass``: plain SQL, count, minimum, maximum and non-NULLs of every column;
- ``profile``: the full profile with key duplicates;
- ``summarize``: DuckDB's SUMMARIZE.

All have the same threads and the same memory limit, the source's defaults.
Last line: JSON; ``peak_rss_mb`` is the larger peak of ``checks`` and ``profile``.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
from pathlib import Path

ROWS = 5_000_000
SEED = 20130208
THREADS = 2
MEMORY_LIMIT = "256MB"
MEASUREMENTS = ("checks", "one_pass", "profile", "summarize")
COLUMNS = (
    "trip_id", "pickup_at", "dropoff_at", "passengers", "distance_km", "fare_usd",
    "tip_usd", "zone", "payment", "vendor", "receipt", "plate",
)  # fmt: skip
PAYMENTS = ("card", "cash", "dispute", "no charge", "unknown")
VENDORS = ("ACME", "BOLT", "CITY", "DASH")


def log(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def generate(path: Path, rows: int) -> None:
    """Write the batch; each value is a function of seed, row and column, so every run writes the same."""
    import duckdb

    def drawn(column: int) -> str:
        return f"(hash(i, {SEED + column}) >> 8)"

    def sparse(column: int, value: str) -> str:
        return f"CASE WHEN hash(i, {SEED - column}) % 100 >= 3 THEN {value} END AS {COLUMNS[column]}"

    def exponential(column: int, mean: float) -> str:
        return f"round(-ln(({drawn(column)} % 1000000 + 1) / 1000001.0) * {mean}, 2)"

    def one_of(column: int, values: tuple[str, ...]) -> str:
        return f"{list(values)}[1 + ({drawn(column)} % {len(values)})::INTEGER]"

    pickup = f"TIMESTAMP '2024-01-01' + to_seconds({drawn(1)} % 31536000)"
    selected = [
        # Odd multiplier modulo a power of two: every id once, in no order.
        f"((i * 2654435761) % 4294967296)::BIGINT AS {COLUMNS[0]}",
        sparse(1, pickup),
        sparse(2, f"{pickup} + to_seconds(60 + {drawn(2)} % 5400)"),
        sparse(3, f"(1 + {drawn(3)} % 6)::INTEGER"),
        sparse(4, f"0.3 + {exponential(4, 3.2)}"),
        sparse(5, f"3 + {exponential(5, 14.0)}"),
        sparse(6, f"round(({drawn(6)} % 1000) / 100.0, 2)"),
        sparse(7, f"(1 + {drawn(7)} % 265)::INTEGER"),
        sparse(8, one_of(8, PAYMENTS)),
        sparse(9, one_of(9, VENDORS)),
        sparse(10, f"printf('%08x-%04x', {drawn(10)} % 4294967296, {drawn(11)} % 65536)"),
        sparse(
            11,
            f"chr(65 + ({drawn(12)} % 26)::INTEGER) || chr(65 + ({drawn(13)} % 26)::INTEGER) "
            f"|| '-' || lpad(({drawn(14)} % 10000)::VARCHAR, 4, '0')",
        ),
    ]
    partial = path.with_suffix(".partial")
    duckdb.connect(config={"threads": THREADS}).execute(
        f"COPY (SELECT {', '.join(selected)} FROM range({rows}) AS r(i)) TO '{partial}' (FORMAT parquet)"
    )
    partial.replace(path)


def thirty_checks() -> list:
    from airflow_agent_provider.quality.checks import (
        AcceptedValues,
        Between,
        CustomSql,
        Fresh,
        Matches,
        NotNull,
        RowCount,
        Unique,
    )

    return [
        RowCount(1),
        *[NotNull(column, tolerance=0.05) for column in COLUMNS],
        Unique("trip_id"),
        Between("trip_id", 0),
        Between("pickup_at", "2024-01-01", "2025-01-01"),
        Between("dropoff_at", "2024-01-01", "2025-01-02"),
        Between("passengers", 1, 6),
        Between("distance_km", 0, 100),
        Between("fare_usd", 0, 500),
        Between("tip_usd", 0, 10),
        Between("zone", 1, 265),
        AcceptedValues("payment", PAYMENTS),
        AcceptedValues("vendor", VENDORS),
        AcceptedValues("passengers", range(1, 7)),
        Matches("plate", r"[A-Z]{2}-\d{4}"),
        Matches("receipt", "[0-9a-f]{8}-[0-9a-f]{4}"),
        CustomSql("dropoff_at >= pickup_at", tolerance=0.05),
        CustomSql("tip_usd <= 10 + fare_usd"),
        Fresh("pickup_at", 48),
    ]


def run_scan(path: str, *, with_checks: bool) -> None:
    from datetime import UTC, datetime

    from airflow_agent_provider.quality.scan import scan
    from airflow_agent_provider.sources.files import Files

    checks = thirty_checks() if with_checks else []
    if with_checks and len(checks) != 30:
        raise SystemExit(f"{len(checks)} checks, not 30")
    with Files(path, threads=THREADS, memory_limit=MEMORY_LIMIT).open() as batch:
        found = scan(
            batch,
            checks,
            profile="none" if with_checks else "full",
            reference_time=datetime(2025, 1, 1, tzinfo=UTC),
            key=() if with_checks else ("trip_id",),
        )
    failed = [result.name for result in found.results if not result.passed]
    if failed or found.profile.row_count < 1:
        raise SystemExit(f"the generated batch should pass: {failed}")


def run_sql(path: str, sql: str) -> None:
    import duckdb

    connection = duckdb.connect(config={"threads": THREADS, "memory_limit": MEMORY_LIMIT})
    connection.execute(sql.format(file=path)).fetchall()


def measure(name: str, path: str) -> None:
    """Do one measurement in this process and print what it cost."""
    one_pass = ", ".join(f"count({one}), min({one}), max({one})" for one in COLUMNS)
    if name == "one_pass":
        run_sql(path, f"SELECT count(*), {one_pass} FROM read_parquet('{{file}}')")
    elif name == "summarize":
        run_sql(path, "SUMMARIZE SELECT * FROM read_parquet('{file}')")
    else:
        run_scan(path, with_checks=name == "checks")
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(json.dumps([used.ru_utime + used.ru_stime, peak_rss_mb()]))


def peak_rss_mb() -> float:
    """Read this process's peak; not ru_maxrss, which starts at the peak of the process that forked."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM:"))


def sample(name: str, path: Path) -> tuple[float, float]:
    """Measure in a fresh process: CPU seconds and peak resident megabytes."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(
        [sys.executable, __file__, "--measure", name, "--file", str(path)],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    cpu_s, rss_mb = json.loads(done.stdout.splitlines()[-1])
    return cpu_s, rss_mb


def batch_file(folder: Path, rows: int) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / ".gitignore").write_text("*\n", encoding="utf-8")
    path = folder / f"taxi_{rows}_{SEED}.parquet"
    if not path.exists():
        log(f"making {rows} rows in {path}")
        generate(path, rows)
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument(
        "--rows", type=int, default=ROWS, help="fewer for a quick run; ratios then say little"
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--dir", type=Path, default=Path(__file__).resolve().parents[1] / ".bench")
    parser.add_argument("--measure", choices=MEASUREMENTS, help=argparse.SUPPRESS)
    parser.add_argument("--file", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        measure(options.measure, options.file)
        return
    path = batch_file(options.dir, options.rows)
    for name in MEASUREMENTS:
        sample(name, path)  # compiles what is not compiled yet, and brings the file into the page cache
    rounds = []
    for place in range(1, options.rounds + 1):
        rounds.append({name: sample(name, path) for name in MEASUREMENTS})
        log(
            f"round {place}: "
            + ", ".join(f"{name} {cpu:.2f} s {rss:.0f} MB" for name, (cpu, rss) in rounds[-1].items())
        )
    cpu_s = {name: statistics.median(one[name][0] for one in rounds) for name in MEASUREMENTS}
    peak = max(one[name][1] for one in rounds for name in ("checks", "profile"))
    print(
        json.dumps({
            "rows": options.rows,
            "columns": len(COLUMNS),
            "checks": len(thirty_checks()),
            "checks_cpu_s": round(cpu_s["checks"], 2),
            "one_pass_cpu_s": round(cpu_s["one_pass"], 2),
            "checks_ratio": round(cpu_s["checks"] / cpu_s["one_pass"], 2),
            "profile_cpu_s": round(cpu_s["profile"], 2),
            "summarize_cpu_s": round(cpu_s["summarize"], 2),
            "profile_ratio": round(cpu_s["profile"] / cpu_s["summarize"], 2),
            "peak_rss_mb": round(peak),
        })
    )


if __name__ == "__main__":
    main()
