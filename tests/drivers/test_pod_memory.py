"""The memory limit of a pod, read from files as the kernel lays them out; the files here are made up."""

import pytest

from airflow_agent_provider.core.memory import Memory
from airflow_agent_provider.drivers.pod_memory import SHARE, WITHOUT_LIMIT_MB, PodMemory, pod_memory

MIB = 1024**2
NO_LIMIT_V1 = 9223372036854771712


@pytest.fixture
def cgroup(tmp_path):
    """Lay out cgroup files; give what is read from them."""

    def read(membership, files):
        for name, content in files.items():
            path = tmp_path / "cgroup" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{content}\n")
        (tmp_path / "membership").write_text(membership)
        return pod_memory(tmp_path / "cgroup", tmp_path / "membership")

    return read


def test_a_pod_on_cgroup_v2_has_its_limit_at_the_root(cgroup):
    """As in a container with its own cgroup namespace."""
    found = cgroup("0::/\n", {"memory.max": 512 * MIB, "memory.current": 200 * MIB})
    assert found == PodMemory(512 * MIB, 200 * MIB)


def test_a_group_without_a_limit_has_that_of_the_group_above(cgroup):
    """A limit holds for all below it, and comes with that group's usage."""
    found = cgroup(
        "0::/kubepods/pod1/main\n",
        {
            "kubepods/memory.max": 4000 * MIB,
            "kubepods/memory.current": 3000 * MIB,
            "kubepods/pod1/memory.max": 256 * MIB,
            "kubepods/pod1/memory.current": 100 * MIB,
            "kubepods/pod1/main/memory.max": "max",
            "kubepods/pod1/main/memory.current": 90 * MIB,
        },
    )
    assert found == PodMemory(256 * MIB, 100 * MIB)


@pytest.mark.parametrize("path", ["/docker/abc", "/"])
def test_a_pod_on_cgroup_v1_is_found_by_its_memory_controller(cgroup, path):
    """Also where the group's path is the host's and the mount shows the container's group alone."""
    found = cgroup(
        f"12:cpu,cpuacct:{path}\n9:memory:{path}\n1:name=systemd:{path}\n0::{path}\n",
        {"memory/memory.limit_in_bytes": 300 * MIB, "memory/memory.usage_in_bytes": 20 * MIB},
    )
    assert found == PodMemory(300 * MIB, 20 * MIB)


@pytest.mark.parametrize(
    ("membership", "files"),
    [
        ("0::/\n", {"memory.max": "max", "memory.current": MIB}),
        ("4:memory:/\n", {"memory/memory.limit_in_bytes": NO_LIMIT_V1}),
        ("0::/\n", {}),
        ("", {"memory.max": MIB}),
        ("nonsense\n\x00:::\n", {"memory.max": "12 apples"}),
        ("0::/\n", {"memory.max": ""}),
    ],
)
def test_no_limit_gives_the_fixed_default(cgroup, membership, files):
    """Whatever the files say that is no limit."""
    assert cgroup(membership, files).limit_bytes is None
    assert cgroup(membership, files).max_memory_mb == WITHOUT_LIMIT_MB


def test_a_machine_without_cgroups_has_no_limit(tmp_path):
    """Neither file is there."""
    assert pod_memory(tmp_path / "none", tmp_path / "none") == PodMemory(None, None)


def test_a_path_out_of_the_namespace_never_leaves_the_mount(cgroup, tmp_path):
    """The kernel writes such paths for groups beside the namespace's own."""
    (tmp_path / "memory.max").write_text("1000\n")
    assert cgroup("0::/../..\n", {"memory.max": 5 * MIB}).limit_bytes == 5 * MIB


def test_the_default_is_a_share_of_the_limit_and_fits_a_memory():
    """It does not depend on what is used at the moment: a retry evicts what the first try evicted."""
    idle, busy = PodMemory(512 * MIB, 1), PodMemory(512 * MIB, 500 * MIB)
    assert idle.max_memory_mb == busy.max_memory_mb == 512 * MIB * SHARE / 1_000_000
    assert Memory(max_memory_mb=idle.max_memory_mb).adding().bytes == 0


def test_this_machine_can_be_read():
    """Whatever it is, the default is a usable bound."""
    assert pod_memory().max_memory_mb > 0
