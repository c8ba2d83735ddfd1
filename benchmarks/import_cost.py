"""
What importing an operator module costs: memory and CPU over ``airflow.sdk`` alone.

The DAG processor imports every operator module that a DAG file names, for every file,
in a fresh process. The baseline is what any provider's operator needs anyway:
``airflow.sdk`` with ``BaseOperator`` and ``BaseHook`` touched (the SDK loads its names
lazily). Each sample is a fresh process that imports the baseline, notes its resident
memory (VmRSS) and its CPU time (user and system, getrusage), imports one module and
notes both again; medians over interleaved rounds, after a round that compiles.

Last line: JSON of the heaviest module, by memory and CPU against their limits.
"""

from __future__ import annotations

import argparse
import json
import os
import pkgutil
import statistics
import subprocess
import sys
from typing import NamedTuple

RSS_LIMIT_MB = 5.0
CPU_LIMIT_S = 0.1

SAMPLE = """
import gc, importlib, json, resource, sys

def now():
    used = resource.getrusage(resource.RUSAGE_SELF)
    with open("/proc/self/statm") as statm:
        pages = int(statm.read().split()[1])
    return pages * resource.getpagesize() / 2**20, used.ru_utime + used.ru_stime

import airflow.sdk
airflow.sdk.BaseOperator, airflow.sdk.BaseHook
gc.collect()
before = now()
known = set(sys.modules)
importlib.import_module(sys.argv[1])
after = now()
print(json.dumps([after[0] - before[0], after[1] - before[1], len(set(sys.modules) - known)]))
"""


class Cost(NamedTuple):
    """Medians for one module."""

    module: str
    rss_mb: float
    cpu_s: float
    modules_loaded: int

    def share_of_limit(self) -> float:
        return max(self.rss_mb / RSS_LIMIT_MB, self.cpu_s / CPU_LIMIT_S)


def operator_modules() -> list[str]:
    """List the modules that hold an operator."""
    from airflow_agent_provider import operators

    return sorted(
        f"{operators.__name__}.{one.name}"
        for one in pkgutil.iter_modules(operators.__path__)
        if not one.name.startswith("_")
    )


def sample(module: str) -> list[float]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(
        [sys.executable, "-c", SAMPLE, module],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return list(json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument("--rounds", type=int, default=9)
    rounds = parser.parse_args().rounds
    modules = operator_modules()
    for module in modules:
        sample(module)  # compiles what is not compiled yet
    samples = [{module: sample(module) for module in modules} for _ in range(rounds)]
    costs = []
    for module in modules:
        rss_mb, cpu_s, loaded = (
            statistics.median(column) for column in zip(*(one[module] for one in samples), strict=True)
        )
        costs.append(Cost(module, rss_mb, cpu_s, int(loaded)))
    for cost in sorted(costs, key=Cost.share_of_limit, reverse=True):
        figures = f"{cost.rss_mb:6.2f} MB {cost.cpu_s:7.3f} CPU-s {cost.modules_loaded:5d} modules loaded"
        print(f"{cost.module:<50}{figures}")
    heaviest = max(costs, key=Cost.share_of_limit)
    print(
        json.dumps({
            "module": heaviest.module,
            "rss_mb_over_sdk": round(heaviest.rss_mb, 2),
            "cpu_s_over_sdk": round(heaviest.cpu_s, 3),
        })
    )


if __name__ == "__main__":
    main()
