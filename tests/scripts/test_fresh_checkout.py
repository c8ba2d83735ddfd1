"""What a newcomer does, from a fresh copy: both minutes long, so they run with --slow only."""

import os
import re
import shutil
import signal
import subprocess
import urllib.request
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).parents[2]
LEFT_BEHIND = shutil.ignore_patterns(
    ".venv*", ".git", ".demo", ".*_cache", ".hypothesis", "__pycache__", "build", "dist", "*.egg-info"
)
pytestmark = pytest.mark.slow

FOREIGN = {
    "AIRFLOW_HOME": "/nonexistent/airflow",
    "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "postgresql://nowhere/airflow",
    "AIRFLOW_CONN_WAREHOUSE": "mysql://nowhere",
    "AIRFLOW_VAR_FLIGHTS_LANDING": "/nonexistent",
    "PYTHONPATH": "/nonexistent",
    "PYTHONDONTWRITEBYTECODE": "1",
}


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A copy of the tracked files, as a clone would have them; its .venv is made by the first command."""
    copy = tmp_path_factory.mktemp("fresh") / "a checkout"
    shutil.copytree(ROOT, copy, ignore=LEFT_BEHIND)
    return copy


def start(checkout, *arguments):
    return subprocess.Popen(
        [checkout / "scripts/demo", *arguments],
        cwd="/",
        env={**os.environ, **FOREIGN},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def left_running(checkout):
    """List the processes that the checkout's files run in, or that know its path."""
    found = []
    for process in psutil.process_iter():
        try:
            known = " ".join([*process.cmdline(), process.environ().get("AIRFLOW_HOME", "")])
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
        if str(checkout) in known:
            found.append(process)
    return found


def test_demo_judges_every_day_and_the_blizzard_stands_out(checkout):
    """From nothing to the report in one command: two days of 45 do not pass, the blizzard's; nothing is left running."""
    with start(checkout) as demo:
        said = demo.stdout.read()
    assert demo.returncode == 0, said
    table = re.findall(r"^(2013-\d\d-\d\d) +([\d,]+) +([\d.]+) +(\w+)", said, flags=re.MULTILINE)
    assert len(table) == 45
    assert [day for day, _, score, _ in table if float(score) <= 0.85] == ["2013-02-08", "2013-02-09"]
    assert {verdict for day, _, _, verdict in table if day not in {"2013-02-08", "2013-02-09"}} <= {
        "approve",
        "approve_with_notes",
    }
    assert (checkout / ".demo/report.html").read_text().startswith("<!doctype html>")
    assert len(said.splitlines()) < 150
    assert not left_running(checkout)


def test_demo_with_browser_serves_until_interrupted(checkout):
    """The address that is printed answers, and Ctrl-C leaves nothing running."""
    with start(checkout, "--ui", "--days", "2") as demo:
        said = []
        while not said or (said[-1] and "Press Ctrl-C" not in said[-1]):
            said.append(demo.stdout.readline())
        address = re.search(r"http://localhost:\d+", "".join(said))[0]
        with urllib.request.urlopen(f"{address}/api/v2/monitor/health", timeout=30) as reply:
            assert reply.status == 200
        assert len(left_running(checkout)) > 5
        demo.send_signal(signal.SIGINT)
        demo.stdout.read()
    assert demo.returncode == 130
    assert not left_running(checkout)
