"""
Run the linters, the type checker, the import contracts and the tests, in this order.

Each is run even when one before it failed; pytest comes last, so that its summary is
the last line. Airflow gets a home in a temporary directory, whatever the caller's is.
``--slow`` adds the tests marked slow; every other argument goes to pytest.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
LINTERS = [
    ["ruff", "format", "--check", "."],
    ["ruff", "check", "--output-format=concise", "."],
    ["mypy"],
    ["lint-imports"],
]


def run(command: list[str], environment: dict[str, str]) -> int:
    print(f"$ {' '.join(command)}", flush=True)
    with subprocess.Popen([BIN / command[0], *command[1:]], cwd=ROOT, env=environment) as step:
        try:
            return step.wait()
        except SystemExit:
            # A request to end came to this process alone; pytest cleans up on SIGINT only.
            step.send_signal(signal.SIGINT)
            raise


def main() -> int:
    arguments = sys.argv[1:]
    if "--slow" in arguments:
        arguments = ["-m", "", *(one for one in arguments if one != "--slow")]
    with tempfile.TemporaryDirectory(prefix="airflow-checks-") as home:
        environment = {**os.environ, "AIRFLOW_HOME": home}
        failed = [linter[0] for linter in LINTERS if run(linter, environment)]
        if failed:
            print(f"FAILED: {', '.join(failed)}; see above. The tests are run all the same.", flush=True)
        return run(["pytest", *arguments], environment) or int(bool(failed))


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job starts with it ignored
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    signal.signal(signal.SIGHUP, lambda *_: sys.exit(129))
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
