"""
How much memory this process may take, as its container's cgroup says.

A pod that passes its limit is killed without a word (exit code 137), and what its
agents were doing is lost up to the journal. So agents get a share of the limit, and
evict before the kernel does.

- cgroup v2 (https://docs.kernel.org/admin-guide/cgroup-v2.html): ``memory.max`` and
  ``memory.current`` in the process's group; ``max`` means no limit.
- cgroup v1 (https://docs.kernel.org/admin-guide/cgroup-v1/memory.html):
  ``memory.limit_in_bytes`` and ``memory.usage_in_bytes`` below ``memory/``; no limit is
  a number near 2**63.

A limit also holds for all groups below its own, so the least one on the way up to
the root counts. Inside a container the root is usually the pod's own group.

The default bound of agents' memory is :data:`SHARE` of the limit. It rests on the
limit alone, never on what is used at the moment: a retry that evicts at another
bound than the first try asks other things than its journal recorded. The share is
small because the interpreter with Airflow takes 150 to 250 MB before anything runs,
and because a conversation exists several times over while it is sent: as memos, as
the request's JSON, and in the journal's fingerprint.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path

MB = 1_000_000
SHARE = 1 / 8
WITHOUT_LIMIT_MB = 64.0
UNLIMITED = 2**60  # v1 writes the largest number of whole pages instead of "no limit"

MEMBERSHIP = re.compile(r"^\d+:([^:\n]*):(/.*)$", re.MULTILINE)
FILES_V1 = ("memory.limit_in_bytes", "memory.usage_in_bytes")
FILES_V2 = ("memory.max", "memory.current")


@dataclass(frozen=True, slots=True)
class PodMemory:
    """
    The narrowest limit that holds for this process.

    :param limit_bytes: None when there is none, or no cgroup tells.
    :param used_bytes: what the group with that limit uses, its file cache included; None when unknown.
    """

    limit_bytes: int | None
    used_bytes: int | None

    @property
    def max_memory_mb(self) -> float:
        """The default of ``Memory(max_memory_mb=...)``: a share of the limit; 64 MB when there is none."""
        return WITHOUT_LIMIT_MB if self.limit_bytes is None else self.limit_bytes * SHARE / MB


def pod_memory(
    root: Path = Path("/sys/fs/cgroup"), membership: Path = Path("/proc/self/cgroup")
) -> PodMemory:
    """
    Read the limit.

    :param root: where cgroups are mounted.
    :param membership: the file that names the process's groups.
    """
    found = [
        (limit, _number(group / files[1]))
        for group, files in _groups(root, membership)
        if (limit := _number(group / files[0])) is not None and 0 < limit < UNLIMITED
    ]
    return PodMemory(*min(found, key=itemgetter(0))) if found else PodMemory(None, None)


def _groups(root: Path, membership: Path) -> Iterator[tuple[Path, tuple[str, str]]]:
    """Give the process's memory groups and all above them, and the names of their files."""
    for controllers, path in MEMBERSHIP.findall(_text(membership)):
        names = [name for name in path.split("/") if name]
        if ".." in names:  # a group outside of the namespace: all that is seen of it is the root
            names = []
        if not controllers:
            tree, files = root, FILES_V2
        elif "memory" in controllers.split(","):
            tree, files = root / "memory", FILES_V1
        else:
            continue
        for depth in range(len(names), -1, -1):
            yield tree.joinpath(*names[:depth]), files


def _number(path: Path) -> int | None:
    text = _text(path).strip()
    return int(text) if text.isdecimal() else None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
