import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPTS = ["scripts/demo", "scripts/test", "scripts/bench", "scripts/environment.sh", ".ci/run"]


def source(command, **environment):
    """Source the shared part in a bash of its own and run a command there."""
    script = f"set -euo pipefail; source {ROOT}/scripts/environment.sh; {command}"
    return subprocess.run(
        ["bash", "-c", script], env=environment, capture_output=True, text=True, check=False, cwd="/"
    )


def fake_python(directory, body):
    directory.mkdir()
    for name in ("python3.11", "python3.12", "python3.13", "python3", "python"):
        (directory / name).write_text(f"#!/bin/sh\n{body}\n")
        (directory / name).chmod(0o755)
    return str(directory)


@pytest.mark.parametrize("script", SCRIPTS)
def test_script_is_valid_bash(script):
    """Every entry point parses."""
    assert subprocess.run(["bash", "-n", ROOT / script], check=False).returncode == 0


@pytest.mark.parametrize("script", [one for one in SCRIPTS if not one.endswith(".sh")])
def test_entry_point_is_executable(script):
    """A newcomer can type its name."""
    assert os.access(ROOT / script, os.X_OK)


def test_another_airflows_settings_are_shed():
    """Nothing of another Airflow or Python in the caller's environment reaches the entry points' processes."""
    foreign = {
        "AIRFLOW_HOME": "/elsewhere",
        "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
        "AIRFLOW_CONN_WAREHOUSE": "postgres://elsewhere",
        "AIRFLOW_VAR_FLIGHTS_LANDING": "/elsewhere",
        "_AIRFLOW__AS_LIBRARY": "1",
        "PYTHONPATH": "/elsewhere",
        "PYTHONDONTWRITEBYTECODE": "1",
        "VIRTUAL_ENV": "/elsewhere",
        "PIP_TARGET": "/elsewhere",
    }
    done = source("env", PATH=os.environ["PATH"], HTTP_PROXY="kept", **foreign)
    names = {line.partition("=")[0] for line in done.stdout.splitlines()}
    assert done.returncode == 0
    assert not names & set(foreign)
    assert "HTTP_PROXY" in names


def test_a_python_that_does_not_run_is_skipped(tmp_path):
    """A pyenv shim that refuses to run does not hide a good Python behind it."""
    broken = fake_python(tmp_path / "broken", "exit 127")
    good = fake_python(tmp_path / "good", f'exec {sys.executable} "$@"')
    done = source("find_python", PATH=f"{broken}:{good}:/usr/bin:/bin")
    assert done.stdout.strip().startswith(good)


def test_no_usable_python_says_what_to_do(tmp_path):
    """Without a Python that fits, the message names the versions and how to get one."""
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("bash", "env", "dirname", "cat", "sh"):
        (tools / name).symlink_to(shutil.which(name))
    broken = fake_python(tmp_path / "broken", "exit 127")
    done = source("find_python", PATH=f"{broken}:{tools}")
    assert done.returncode != 0
    assert "Python 3.11, 3.12 or 3.13" in done.stderr


def bench(*arguments):
    return subprocess.run(
        [sys.executable, ROOT / "scripts/_bench.py", *arguments], capture_output=True, text=True, check=False
    )


def test_bench_alone_lists_every_benchmark():
    """Without a name the list shows each benchmark with the first line of its docstring."""
    listed = bench().stdout.splitlines()
    names = sorted(path.stem for path in (ROOT / "benchmarks").glob("[!_]*.py"))
    assert [line.split()[0] for line in listed] == names
    assert all(len(line.split()) > 1 for line in listed)


def test_unknown_benchmark_names_the_known_ones():
    """A misspelt name is answered with the list."""
    done = bench("import_costs")
    assert done.returncode != 0
    assert "import_cost" in done.stderr.replace("import_costs", "")
