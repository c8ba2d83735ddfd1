"""docker-compose.yaml, as far as text can be checked: there is no Docker where the tests run."""

from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yaml").read_text())


def test_every_mounted_folder_is_in_the_checkout():
    """A mount of nothing would make an empty folder."""
    mounts = [mount for service in COMPOSE["services"].values() for mount in service.get("volumes", [])]
    local = [mount.split(":")[0] for mount in mounts if mount.startswith(".")]
    assert local
    assert all((ROOT / one).exists() for one in local)


def test_versions_are_pinned_and_no_secret_is_written():
    """What is started tomorrow is what was started today."""
    text = (ROOT / "docker-compose.yaml").read_text()
    assert ":latest" not in text
    assert all(":" in service["image"] for service in COMPOSE["services"].values() if "image" in service)
    assert "${POSTGRES_PASSWORD:?" in str(COMPOSE["services"]["postgres"]["environment"]["POSTGRES_PASSWORD"])


def test_it_runs_the_airflow_that_the_constraints_name():
    """One version in both places."""
    pins = dict(
        line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line
    )
    assert (
        f"apache/airflow:{pins['apache-airflow']}-"
        in COMPOSE["services"]["airflow"]["build"]["dockerfile_inline"]
    )
