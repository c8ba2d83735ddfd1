"""What users import, and that importing costs nothing."""

import subprocess
import sys

import airflow_agent_provider


def test_every_exported_name_can_be_imported():
    """The lazy table, __all__ and the type checker's imports say the same."""
    assert sorted(airflow_agent_provider._HOMES) == sorted(airflow_agent_provider.__all__)
    for name in airflow_agent_provider.__all__:
        assert getattr(airflow_agent_provider, name).__name__ == name


def test_importing_the_package_imports_neither_airflow_nor_anything_heavy():
    """Airflow's provider discovery imports it while Airflow itself is half imported."""
    code = (
        "import sys, airflow_agent_provider, airflow_agent_provider.get_provider_info as manifest\n"
        "manifest.get_provider_info()\n"
        "print([name for name in ('airflow', 'httpx', 'pandas', 'duckdb', 'sqlglot') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_name_that_does_not_exist_is_an_attribute_error():
    """As in any module."""
    assert not hasattr(airflow_agent_provider, "QualityOperator")
