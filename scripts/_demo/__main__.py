"""
The demo: a data quality gate on 45 days of real flights, in real Airflow and PostgreSQL.

This process only directs. It starts PostgreSQL, a child that runs the DAG day by day,
and with ``--ui`` Airflow's own components, each in a process group of its own, and
stops them again however it ends. All state is under ``.demo/`` in the checkout.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import shutil
import signal
import sys
import time
from collections.abc import Iterable
from pathlib import Path

import airflow_home
import browser
import landing
import postgres
from processes import Group, end_on_signals

ROOT = Path(__file__).resolve().parents[2]
STATE = ROOT / ".demo"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/demo", description=__doc__.split("\n\n")[0].strip())
    parser.add_argument("--ui", action="store_true", help="then serve Airflow for a browser until Ctrl-C")
    parser.add_argument(
        "--days",
        type=int,
        default=len(landing.DAYS),
        choices=range(1, len(landing.DAYS) + 1),
        metavar="N",
        help=f"run the first N of the {len(landing.DAYS)} days only",
    )
    return parser.parse_args()


def fresh_state() -> None:
    """
    Empty ``.demo``, and keep it for this process until it ends.

    :raises SystemExit: when it cannot be written, or another demo is using it.
    """
    try:
        STATE.mkdir(exist_ok=True)
        lock = os.open(STATE / "lock", os.O_RDWR | os.O_CREAT, 0o644)  # never closed: this holds the lock
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _remove(path for path in STATE.iterdir() if path.name != "lock")
    except BlockingIOError:
        raise SystemExit(f"Another demo is running in {STATE}; stop it first.") from None
    except OSError as error:
        advice = "run the demo from a checkout of your own"
        raise SystemExit(f"Cannot write in {STATE} ({error.strerror}): {advice}.") from None


def _remove(paths: Iterable[Path]) -> None:
    for path in paths:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def replay(settings: dict[str, str], days: int) -> None:
    """Run the days in a child whose progress goes to the terminal and whose logs go to a file."""
    log = STATE / "airflow.log"
    command = [sys.executable, str(Path(__file__).with_name("replay.py")), str(days), str(STATE)]
    # Airflow's task runner takes SIGTERM for itself. What the child writes is made anew by the next demo.
    with Group(command, log=log, env=settings, stdout=sys.stdout, stop_signal=signal.SIGKILL) as run:
        failed = run.process.wait()
    if failed:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-20:])
        raise SystemExit(f"{tail}\n\nThe run failed; the whole log is in {log}.")


def main() -> None:
    options = arguments()
    started = time.monotonic()
    fresh_state()
    flights = landing.fill(STATE / "landing")
    print(f"{flights:,} flights of {len(landing.DAYS)} days are in {STATE / 'landing'}.", flush=True)
    schema = Path(__file__).with_name("warehouse.sql")
    with postgres.running(STATE / "postgres", "warehouse", schema=schema) as warehouse:
        print(f"PostgreSQL listens on 127.0.0.1:{warehouse.port}.", flush=True)
        settings = airflow_home.environment(
            STATE / "airflow", dags=ROOT / "dags", landing=STATE / "landing", warehouse=warehouse
        )
        replay(settings, options.days)
        print(f"Done in {time.monotonic() - started:.0f} s.", flush=True)
        if options.ui:
            browser.serve(settings, STATE, sys.executable)


if __name__ == "__main__":
    end_on_signals()
    try:
        main()
    except KeyboardInterrupt:
        print("\nStopped.", file=sys.stderr)
        sys.exit(130)
