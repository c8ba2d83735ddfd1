"""Run one benchmark by its name, or list them: ``scripts/bench [NAME [ARGUMENTS]]``."""

from __future__ import annotations

import ast
import os
import sys
from pathlib import Path

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"


def first_line(path: Path) -> str:
    described = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return described.partition("\n")[0]


def main() -> None:
    known = {path.stem: path for path in sorted(BENCHMARKS.glob("[!_]*.py"))}
    if len(sys.argv) == 1:
        width = max(map(len, known))
        for name, path in known.items():
            print(f"{name:<{width}}  {first_line(path)}")
        return
    name, *arguments = sys.argv[1:]
    if name not in known:
        sys.exit(f"No benchmark {name!r}; there are: {', '.join(known)}.")
    os.execv(sys.executable, [sys.executable, str(known[name]), *arguments])


if __name__ == "__main__":
    main()
