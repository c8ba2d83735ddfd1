"""
Peers: programs that nobody here wrote, each in a virtual environment of its own.

Their dependencies cannot stand beside Airflow's, and only the slow tests need them. An
environment lies under the running one and is made anew when what it holds changes.
"""

import hashlib
import itertools
import json
import shutil
import socket
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

import pytest

HERE = Path(__file__).parent
numbers = itertools.count()


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}"


def install(python, folder, packages):
    """Fill an environment; uv where there is one, as it needs no ensurepip."""
    uv = shutil.which("uv")
    if uv:
        run(uv, "venv", "--quiet", "--python", sys.executable, folder)
        run(uv, "pip", "install", "--quiet", "--python", python, *packages)
    else:
        run(sys.executable, "-m", "venv", folder)
        run(python, "-m", "pip", "install", "--quiet", *packages)


@pytest.fixture(scope="session")
def peer():
    """Give the interpreter of an environment that holds some packages, given as pip's arguments."""
    with ExitStack() as stack:
        own = sys.prefix != sys.base_prefix
        root = Path(sys.prefix) if own else Path(stack.enter_context(tempfile.TemporaryDirectory()))

        def make(*packages):
            folder = root / "peers" / hashlib.sha256("\0".join(packages).encode()).hexdigest()[:16]
            python, whole = folder / "bin" / "python", folder / "whole"
            if not whole.exists():
                shutil.rmtree(folder, ignore_errors=True)
                install(python, folder, packages)
                whole.touch()
            return python

        yield make


@pytest.fixture(scope="session")
def start_peer():
    """Run a script of this folder, with a port to listen on, until the tests end; it says when it is ready."""
    with ExitStack() as stack:

        def start(python, script, *arguments):
            with socket.create_server(("127.0.0.1", 0)) as probe:
                port = probe.getsockname()[1]
            process = stack.enter_context(
                subprocess.Popen(
                    [python, HERE / script, str(port), *arguments],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    text=True,
                )
            )
            # Its own end of the pipe: a peer whose standard input closes goes away by itself.
            stack.callback(process.stdin.close)
            for line in process.stdout:
                if line.strip() == "ready":
                    return port
            raise AssertionError(f"{script} ended with {process.wait()} before it was ready")

        yield start


@pytest.fixture
def connect(monkeypatch):
    """Define a connection of type llm to a server on this machine."""

    def define(port, path="/v1", *, provider, model, password=None, **extra):
        value = {
            "conn_type": "llm",
            "host": f"http://127.0.0.1:{port}{path}",
            "password": password,
            "extra": {"provider": provider, "model": model, **extra},
        }
        # A name of its own for each: a breaker remembers a connection that failed.
        conn_id = f"llm_peer_{next(numbers)}"
        monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(value))
        return conn_id

    return define
