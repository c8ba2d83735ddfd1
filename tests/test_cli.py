"""The commands, as a person at a shell uses them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from airflow.cli import cli_parser

from airflow_agent_provider.core.messages import Usage
from airflow_agent_provider.exceptions import EndpointDisabled
from airflow_agent_provider.ledger.breaker import LedgerBreaker
from airflow_agent_provider.ledger.budget import LedgerBudget
from airflow_agent_provider.ledger.database import SQLiteDatabase
from airflow_agent_provider.routing.breaker import BreakerRule
from airflow_agent_provider.routing.budget import Account, Budget


@pytest.fixture
def database(tmp_path, monkeypatch):
    """A ledger of this test's own, configured as a deployment would."""
    path = tmp_path / "l.sqlite"
    monkeypatch.setenv("AIRFLOW__AGENT_PROVIDER__LEDGER_PATH", str(path))
    monkeypatch.setenv("_AIRFLOW_PROCESS_CONTEXT", "client")  # put back after the command has set it
    monkeypatch.setenv("AIRFLOW_CONN_LLM_DEFAULT", json.dumps({"conn_type": "llm", "extra": {"model": "m"}}))
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", json.dumps({"conn_type": "postgres"}))
    return SQLiteDatabase(path)


@pytest.fixture
def command(capsys):
    """Run ``airflow agent-provider ...`` in this process; gives what it prints."""
    parser = cli_parser.get_parser()

    def run(*words):
        args = parser.parse_args(["agent-provider", *words])
        args.func(args)
        return capsys.readouterr().out

    return run


@pytest.fixture
def rows(command):
    return lambda *words: json.loads(command(*words, "--output", "json"))


def test_budgets_show_what_is_spent_reserved_and_left(database, rows):
    """Every account, with its caps; what is not capped is left empty."""
    ledger = LedgerBudget(database)
    ledger.prepare()
    month = Account("month:flights:2013-02", Budget(usd=5, per="month"))
    run = Account("run:flights:1", Budget(requests=10))
    ledger.settle(ledger.reserve([month, run], 400_000, 900), 250_000, Usage(500, 100))
    ledger.reserve([month], 100_000, 300)
    assert rows("budgets") == [
        {
            "account": "month:flights:2013-02",
            "spent_usd": "0.250000",
            "reserved_usd": "0.100000",
            "left_usd": "4.650000",
            "cap_usd": "5.00",
            "requests": "2",
            "max_requests": "",
            "unpriced": "0",
            "tokens": "600",
            "max_tokens": "",
        },
        {
            "account": "run:flights:1",
            "spent_usd": "0.250000",
            "reserved_usd": "0.000000",
            "left_usd": "",
            "cap_usd": "",
            "requests": "1",
            "max_requests": "10",
            "unpriced": "0",
            "tokens": "600",
            "max_tokens": "",
        },
    ]


def test_endpoints_show_who_is_down_and_who_is_off(database, rows):
    """With since when, or by whom it was switched off."""
    breaker = LedgerBreaker(database, BreakerRule(failures=1), clock=lambda: 1_000_000_000.0)
    breaker.prepare()
    breaker.failed("broken")
    LedgerBreaker(database).failed("shaky")
    breaker.disable("forbidden", by="ada")
    shown = {row.pop("connection"): row for row in rows("endpoints")}
    assert [shown[name]["state"] for name in ("broken", "shaky", "forbidden")] == ["down", "up", "disabled"]
    assert shown["broken"]["last_opened"] == "2001-09-09T01:46:40+00:00"
    assert shown["forbidden"]["disabled_by"] == "ada"
    assert shown["shaky"]["failures_in_a_row"] == "1"


def test_nothing_is_shown_of_an_empty_ledger(database, command):
    """Which is made on the way."""
    assert "No data found" in command("budgets")
    assert "No data found" in command("endpoints")


def test_a_connection_can_be_switched_off_and_on(database, command):
    """For everybody who shares the ledger."""
    breaker = LedgerBreaker(database)
    assert "switched off by ada" in command("disable", "llm_default", "--by", "ada")
    with pytest.raises(EndpointDisabled, match="ada"):
        breaker.admit("llm_default")
    assert "switched on" in command("enable", "llm_default")
    breaker.admit("llm_default")


@pytest.mark.parametrize(
    ("name", "told"), [("llm_defualt", "does not exist"), ("warehouse", "of type 'postgres'")]
)
def test_a_slip_of_the_pen_is_told(database, command, name, told):
    """A connection that nobody asks is not switched."""
    with pytest.raises(SystemExit, match=told):
        command("disable", name)
    assert LedgerBreaker(database).known() == {}


def test_a_ledger_that_is_not_there_is_told_in_a_sentence(database, command):
    """No traceback."""
    with pytest.raises(SystemExit, match="ledger connection 'nowhere' does not exist"):
        command("budgets", "--ledger-conn-id", "nowhere")


def test_importing_the_commands_imports_nothing_heavy():
    """Airflow does it for every command."""
    code = (
        "import sys; import airflow_agent_provider.cli as cli\n"
        "print([name for name in ('airflow', 'httpx', 'sqlite3', 'genai_prices') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.airflow
@pytest.mark.slow
def test_connections_of_airflows_database_are_found(tmp_path):
    """The real command in a real Airflow home, with connections that stand in its database alone."""
    airflow = [Path(sys.executable).parent / "airflow"]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW_")}
    environment = {**kept, "AIRFLOW_HOME": str(tmp_path), "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}

    def run(*words):
        done = subprocess.run(
            [*airflow, *words], env=environment, capture_output=True, text=True, check=False
        )
        return done.returncode, done.stdout + done.stderr

    assert run("db", "migrate")[0] == 0
    assert (
        run("connections", "add", "llm_default", "--conn-type", "llm", "--conn-extra", '{"model": "m"}')[0]
        == 0
    )
    assert "switched off by ada" in run("agent-provider", "disable", "llm_default", "--by", "ada")[1]
    code, told = run("agent-provider", "endpoints", "--output", "json")
    assert code == 0
    assert '"disabled_by": "ada"' in told
    assert (tmp_path / "agent_provider" / "ledger.sqlite").exists()
