import importlib.metadata
import os
import re
import subprocess
import sys
import tarfile
import venv
import zipfile
from email.parser import HeaderParser
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = "airflow_agent_provider"
#: The named packages of the package's purpose, and at most five small ones beside them.
NAMED = {
    "apache-airflow",
    "apache-airflow-providers-amazon",
    "apache-airflow-providers-postgres",
    "pandas",
}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Build the sdist from the checkout and the wheel from that sdist, as a release does."""
    directory = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", directory, ROOT]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return directory


@pytest.fixture(scope="module")
def wheel(built):
    (path,) = built.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        yield archive


@pytest.fixture(scope="module")
def metadata(wheel):
    (name,) = [name for name in wheel.namelist() if name.endswith(".dist-info/METADATA")]
    return HeaderParser().parsestr(wheel.read(name).decode())


def runtime_requirements(metadata):
    lines = [line for line in metadata.get_all("Requires-Dist") if "extra ==" not in line]
    return {re.match(r"[\w.-]+", line)[0]: line for line in lines}


def test_wheel_holds_the_package_and_nothing_else(wheel):
    """Every module is in the wheel; tests, DAGs and scripts are not."""
    names = {name for name in wheel.namelist() if ".dist-info/" not in name}
    ours = {
        str(path.relative_to(ROOT))
        for path in (ROOT / PACKAGE).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert names == ours
    assert f"{PACKAGE}/py.typed" in names


def test_wheel_carries_the_licence(wheel):
    """The Apache licence's text travels with the package."""
    (name,) = [name for name in wheel.namelist() if name.endswith(".dist-info/licenses/LICENSE")]
    assert b"Apache License" in wheel.read(name)


def test_wheel_announces_the_provider(wheel):
    """Airflow finds the provider by its entry point."""
    (name,) = [name for name in wheel.namelist() if name.endswith("entry_points.txt")]
    assert "[apache_airflow_provider]" in wheel.read(name).decode()


def test_metadata_names_versions_and_readme(metadata):
    """The index page has a description, the licence and the Pythons that it runs on."""
    assert metadata["Name"] == "airflow-agent-provider"
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert metadata.get_payload().strip()
    assert "Framework :: Apache Airflow :: Provider" in metadata.get_all("Classifier")


def test_runtime_dependencies_are_few_and_have_no_upper_bounds(metadata):
    """Airflow and the named packages bring all but five at most; none is held back without a reason."""
    requirements = runtime_requirements(metadata)
    airflows = {
        re.match(r"[\w.-]+", line)[0]
        for part in ("apache-airflow-core", "apache-airflow-task-sdk")
        for line in importlib.metadata.requires(part)
    }
    assert requirements.keys() >= NAMED
    assert len(requirements.keys() - NAMED - airflows) <= 5
    assert not [line for line in requirements.values() if "<" in line or "==" in line]


def test_sdist_holds_what_its_tests_need_and_no_leftovers(built):
    """A packager can run the tests from the sdist; no environment or demo state slipped in."""
    (path,) = built.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"LICENSE", "README.md", "CHANGELOG.md", "constraints.txt", "pyproject.toml"} <= names
    assert {"tests/packaging/test_distribution.py", "dags/flight_quality.py", "scripts/demo"} <= names
    assert not [
        name for name in names if name.startswith((".venv", ".demo", ".git/")) or "__pycache__" in name
    ]


def test_constraints_pin_exact_versions_only():
    """Each line is one name and one exact version: no URLs, no editable installs, no paths."""
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    assert len(lines) > 100
    assert not [line for line in lines if not re.fullmatch(r"[A-Za-z0-9._-]+==[\w.!+]+( ;.*)?", line)]


def test_constraints_cover_every_dependency(metadata):
    """Each dependency, extras included, is pinned."""
    pinned = {
        re.sub(r"[-_.]+", "-", line.partition("==")[0]).lower()
        for line in (ROOT / "constraints.txt").read_text().splitlines()
    }
    wanted = {re.match(r"[\w.-]+", line)[0] for line in metadata.get_all("Requires-Dist")}
    assert not {re.sub(r"[-_.]+", "-", name).lower() for name in wanted} - pinned


@pytest.mark.slow
def test_wheel_installs_alone_and_airflow_finds_it(built, tmp_path):
    """In a fresh environment the wheel brings all it needs, every module imports, and the provider is listed."""
    (path,) = built.glob("*.whl")
    venv.create(tmp_path / "venv", with_pip=True)
    binaries = tmp_path / "venv/bin"
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "PYTHON"))},
        "AIRFLOW_HOME": str(tmp_path / "airflow"),
    }

    def run(*command):
        done = subprocess.run(
            command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        return done.stdout

    run(binaries / "pip", "install", "--quiet", path, "--constraint", ROOT / "constraints.txt")
    run(binaries / "pip", "check")
    walk = f"""
import importlib, pkgutil, {PACKAGE}
for module in pkgutil.walk_packages({PACKAGE}.__path__, "{PACKAGE}."):
    importlib.import_module(module.name)
for name in {PACKAGE}.__all__:
    getattr({PACKAGE}, name)
"""
    run(binaries / "python", "-W", "error::DeprecationWarning:airflow_agent_provider", "-c", walk)
    assert "airflow-agent-provider" in run(binaries / "airflow", "providers", "list", "--output", "plain")
