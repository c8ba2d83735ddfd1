import contextlib
import csv
import json
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).parents[2]
DEMO = ROOT / "scripts/_demo"

STUBBORN = """
import os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session="leave" in sys.argv)
print(os.getpid(), child.pid, flush=True)
time.sleep(600)
"""


class Broken(Exception):
    pass


def running(pids):
    return [
        pid for pid in pids if psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    ]


@pytest.mark.parametrize("where", ["stay", "leave"])
def test_group_stops_what_ignores_sigterm_and_what_left_the_group(tmp_path, where):
    """Neither a deaf process nor a grandchild in another session outlives its group."""
    from processes import Group

    output = tmp_path / "pids"
    with (
        output.open("w") as pids,
        Group([sys.executable, "-c", STUBBORN, where], log=tmp_path / "log", stdout=pids, grace_s=0.2),
    ):
        while not output.read_text().endswith("\n"):
            time.sleep(0.01)
        started = [int(pid) for pid in output.read_text().split()]
        assert running(started) == started
    deadline = time.monotonic() + 10
    while running(started) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not running(started)


def use(server):
    """Count the flights with the right password, try a wrong one, and fail."""
    import psycopg

    where = json.loads(server.airflow_connection())
    address = {
        "host": where["host"],
        "port": where["port"],
        "user": where["login"],
        "dbname": where["schema"],
    }
    with psycopg.connect(password=where["password"], **address) as session:
        assert session.execute("SELECT count(*) FROM flights").fetchone() == (0,)
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(password="wrong", **address)
    raise Broken


def test_postgres_runs_for_the_block_only_even_when_it_fails(tmp_path):
    """The server has the tables, behind a password, while the block runs; it is gone after an error in it."""
    import postgres

    with (
        contextlib.suppress(Broken),
        postgres.running(tmp_path / "pg", "flights", schema=DEMO / "warehouse.sql") as server,
    ):
        use(server)
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", server.port)) != 0


def test_landing_has_a_file_for_every_day_with_the_tables_columns(tmp_path):
    """Each day's file has the flights of that day, under the names of the warehouse's table, in its order."""
    import landing

    written = landing.fill(tmp_path / "landing")
    files = sorted((tmp_path / "landing").iterdir())
    assert [path.stem for path in files] == [str(day) for day in landing.DAYS]
    assert len(files) == 45
    rows = 0
    table = (DEMO / "warehouse.sql").read_text().partition("CREATE TABLE flights (")[2].partition(");")[0]
    columns = [line.split()[0] for line in table.strip().splitlines()]
    for path in files:
        with path.open(newline="") as lines:
            batch = list(csv.DictReader(lines))
        assert list(batch[0]) == columns
        assert {row["day"] for row in batch} == {path.stem}
        rows += len(batch)
    assert rows == written


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_demo_leaves_no_process(tmp_path, number):
    """A demo that is told to end in the middle of its days stops PostgreSQL and Airflow before it ends."""
    for part in ("scripts", "dags"):
        shutil.copytree(ROOT / part, tmp_path / part)
    with subprocess.Popen(
        [sys.executable, tmp_path / "scripts/_demo"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as demo:
        said = []
        while not said or (said[-1] and "Airflow is ready" not in said[-1]):
            said.append(demo.stdout.readline())
        family = psutil.Process(demo.pid).children(recursive=True)
        demo.send_signal(number)
        said.append(demo.stdout.read())
    assert demo.returncode in {130, 128 + number}, "".join(said)
    assert len(family) > 2
    assert not running([process.pid for process in family])
