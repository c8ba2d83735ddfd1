"""
Fill the checkout's ``.venv`` with this package and some extras, then become its python.

``install.py EXTRAS ARGUMENT...`` is run by the entry points with whatever Python
was found; it needs the standard library only. A second call is fast: a stamp in
``.venv`` holds a digest of everything that the installation depends on. A
``.venv`` that does not run, or whose installation was cut short, is made anew. One
lock per checkout keeps two calls apart.

uv is used when it is there and works, else ``venv`` and pip.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
LOG = VENV / "install.log"
#: Lies there while an installation runs; found at the start, it tells of one cut short.
UNFINISHED = VENV / ".unfinished"
PATIENCE_S = 15


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def digest(extras: str) -> str:
    """Sum up what the installation depends on; the scripts in .venv name the checkout's own path."""
    texts = [(ROOT / name).read_text() for name in ("pyproject.toml", "constraints.txt")]
    return hashlib.sha256("\0".join([str(ROOT), extras, *texts]).encode()).hexdigest()


def works(*command: str | Path) -> bool:
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def logged(*command: str | Path) -> bool:
    """Run one long step, its output in the log; say now and then that it goes on."""
    done = threading.Event()
    started = time.monotonic()

    def reassure() -> None:
        while not done.wait(PATIENCE_S):
            say(f"  ... still installing ({time.monotonic() - started:.0f} s)")

    with (
        LOG.open("ab") as log,
        subprocess.Popen(command, stdout=log, stderr=log, cwd=ROOT, start_new_session=True) as step,
    ):
        threading.Thread(target=reassure, daemon=True).start()
        try:
            return step.wait() == 0
        finally:
            done.set()
            if step.poll() is None:  # interrupted: pip has children of its own
                os.killpg(step.pid, signal.SIGTERM)


def make_venv(uv: str | None) -> bool:
    shutil.rmtree(VENV, ignore_errors=True)
    if uv and works(uv, "venv", "--quiet", "--python", sys.executable, VENV):
        return True
    return works(sys.executable, "-m", "venv", VENV)


def install(extras: str, uv: str | None) -> bool:
    UNFINISHED.touch()
    what = ["--editable", f"{ROOT}[{extras}]", "--constraint", str(ROOT / "constraints.txt")]
    done = uv and logged(uv, "pip", "install", "--python", PYTHON, "--compile-bytecode", *what)
    if not done:
        # A .venv that uv made has no pip of its own.
        has_pip = works(PYTHON, "-m", "pip", "--version") or works(PYTHON, "-m", "ensurepip")
        done = has_pip and logged(PYTHON, "-m", "pip", "install", "--disable-pip-version-check", *what)
    if done:
        UNFINISHED.unlink()
    return bool(done)


def fill(extras: str) -> None:
    """
    Bring ``.venv`` up to date.

    :raises SystemExit: with what to do, when it cannot be.
    """
    stamp = VENV / f".installed-{extras}"
    runs = works(PYTHON, "-c", "") and not UNFINISHED.exists()
    if runs and stamp.exists() and stamp.read_text() == digest(extras):
        return
    if not os.access(VENV if VENV.exists() else ROOT, os.W_OK):
        sys.exit(f"Cannot install into {VENV}: clone or copy the checkout to a directory of your own.")
    started = time.monotonic()
    uv = shutil.which("uv")
    uv = uv if uv and works(uv, "--version") else None
    say(f"Installing into {VENV} with {'uv' if uv else 'pip'}; about a minute, once ...")
    if not runs and not make_venv(uv):
        sys.exit(f"Could not make {VENV} with {sys.executable}: is there disk space, and a venv module?")
    # A .venv that something else filled may not take the packages: then a fresh one, once.
    if not install(extras, uv) and not (runs and make_venv(uv) and install(extras, uv)):
        tail = "\n".join(LOG.read_text(errors="replace").splitlines()[-15:]) if LOG.exists() else ""
        sys.exit(f"{tail}\nThe installation failed; the whole log is in {LOG}.")
    stamp.write_text(digest(extras))
    say(f"Installed in {time.monotonic() - started:.0f} s.")


def main() -> None:
    extras, *arguments = sys.argv[1:]
    lock = os.open(ROOT, os.O_RDONLY)  # a directory can be locked: nothing to leave behind
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        say("Waiting for another installation in this checkout ...")
        fcntl.flock(lock, fcntl.LOCK_EX)
    fill(extras)
    os.close(lock)
    os.environ["PATH"] = f"{VENV / 'bin'}{os.pathsep}{os.environ['PATH']}"
    os.execv(PYTHON, [str(PYTHON), *arguments])


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job starts with it ignored
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    signal.signal(signal.SIGHUP, lambda *_: sys.exit(129))
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
