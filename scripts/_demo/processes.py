"""
Processes that leave nothing behind.

A :class:`Group` runs one command in a session of its own. Airflow's components start
workers that start workers, and a signal to the first of them does not reach the last:
stopping signals the whole group, and at the end also any descendant that had left it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Generator
from pathlib import Path
from typing import IO, Self

import psutil

ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def end_on_signals() -> None:
    """
    Let a request to end unwind the stack, so that every ``with`` block cleans up.

    SIGINT too: a shell starts background jobs with SIGINT ignored, and Python leaves
    it so. SIGHUP stays ignored where it is, which is what ``nohup`` asks for.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, _leave)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signal.signal(signal.SIGHUP, _leave)


def _leave(number: int, _frame: object) -> None:
    raise SystemExit(128 + number)


@contextlib.contextmanager
def deaf_to_signals() -> Generator[None]:
    """Let an impatient second Ctrl-C not interrupt the cleaning up."""
    before = {number: signal.signal(number, signal.SIG_IGN) for number in ENDINGS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Group:
    """
    One command and all that it starts; a context manager that stops them.

    :param log: takes its standard error, and its output unless ``stdout`` is given.
    :param user: account to run as; None for the caller's own.
    :param stop_signal: the polite one, sent first.
    :param grace_s: seconds to wait after it before SIGKILL.
    """

    def __init__(
        self,
        command: list[str],
        *,
        log: Path,
        env: dict[str, str] | None = None,
        stdout: IO[str] | None = None,
        user: str | None = None,
        stop_signal: signal.Signals = signal.SIGTERM,
        grace_s: float = 20,
    ) -> None:
        self.stop_signal = stop_signal
        self.grace_s = grace_s
        with log.open("ab") as sink:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=stdout or sink,
                stderr=sink,
                env=env,
                user=user,
                start_new_session=True,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with deaf_to_signals():
            self.stop()

    def stop(self) -> None:
        """Stop the command and all that it started; returns when they are gone."""
        family = self._descendants()
        self._send(self.stop_signal)
        if not self._gone(within_s=self.grace_s):
            self._send(signal.SIGKILL)
            self._gone(within_s=5)
        for process in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self.process.wait()

    def _descendants(self) -> list[psutil.Process]:
        with contextlib.suppress(psutil.NoSuchProcess):
            return list(psutil.Process(self.process.pid).children(recursive=True))
        return []

    def _send(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)

    def _gone(self, *, within_s: float) -> bool:
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            self.process.poll()  # reap it: a zombie keeps its group in being
            try:
                os.killpg(self.process.pid, 0)
            except ProcessLookupError:
                return True
            time.sleep(0.05)
        return False
