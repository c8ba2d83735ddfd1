"""The quality gate as Airflow runs it: templates, branch, retries, history, reports."""

import json
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from airflow.sdk import DAG, task_group
from airflow.sdk.bases.operator import BaseOperator
from one_task import Supervisor

from airflow_agent_provider import Between, Files, NotNull, QualityAgentOperator, Unique
from airflow_agent_provider.core.messages import ToolRequest
from airflow_agent_provider.exceptions import ModelUnavailable
from airflow_agent_provider.quality.investigation import query_id
from airflow_agent_provider.testing import ScriptedModel

GOOD = "id,amount\n1,10\n2,20\n3,30\n"
BAD = "id,amount\n1,10\n1,\n3,-30\n"
CHECKS = [NotNull("amount"), Unique("id"), Between("amount", 0, 100)]
SQL = "select id, count(*) as n from batch group by id having count(*) > 1"

pytestmark = pytest.mark.usefixtures("ledger")


class Step(BaseOperator):
    def execute(self, context):
        """Do nothing."""


@pytest.fixture
def ledger(tmp_path, monkeypatch):
    path = tmp_path / "ledger.sqlite"
    monkeypatch.setenv("AIRFLOW__AGENT_PROVIDER__LEDGER_PATH", str(path))
    monkeypatch.setenv(
        "AIRFLOW_CONN_LLM_DEFAULT", json.dumps({"conn_type": "llm", "extra": {"model": "m"}, "password": "k"})
    )
    return path


@pytest.fixture
def batch(tmp_path):
    path = tmp_path / "batch.csv"
    path.write_text(GOOD)
    return path


def gate(path, **parameters):
    """Give a gate in front of two branches."""
    parameters = {"checks": CHECKS, "on_pass": "use", "on_fail": "mend", **parameters}
    with DAG("shop", schedule=None, start_date=datetime(2013, 1, 1, tzinfo=UTC)):
        one = QualityAgentOperator(task_id="gate", source=Files(str(path)), **parameters)
        one >> [Step(task_id="use"), Step(task_id="mend")]
    return one


def rows(ledger):
    import sqlite3

    if not ledger.exists():
        return []
    with sqlite3.connect(ledger) as connection:
        return connection.execute("select batch_key, verdict, accepted from agent_quality_history").fetchall()


def test_a_good_batch_follows_on_pass(run_task, batch, ledger):
    """And is recorded as accepted."""
    done = run_task(gate(batch))
    assert done.state == "success", done.error
    assert done.skipped == ["mend"]
    assert done.value["verdict"] == "approve"
    assert done.value["quality_score"] == 1
    assert rows(ledger) == [("2013-02-08T00:00:00+00:00", "approve", 1)]


def test_a_bad_batch_follows_on_fail(run_task, batch, ledger):
    """And stays out of the history that later batches are judged by."""
    batch.write_text(BAD)
    done = run_task(gate(batch))
    assert done.skipped == ["use"]
    assert done.value["verdict"] == "clean"
    assert {issue["check"] for issue in done.value["issues_found"]} == {check.label for check in CHECKS}
    assert rows(ledger)[0][1:] == ("clean", 0)


def test_the_score_must_be_above_the_threshold(run_task, batch):
    """A perfect score is not above 1."""
    assert run_task(gate(batch, threshold="{{ 1 }}")).skipped == ["use"]


def test_the_same_data_gives_the_same_score_on_a_rerun(run_task, batch, ledger):
    """A rerun replaces its own record and is not judged by it."""
    batch.write_text(BAD)
    first, second = run_task(gate(batch)), run_task(gate(batch))
    assert first.value["quality_score"] == second.value["quality_score"]
    assert len(rows(ledger)) == 1


def test_source_and_checks_may_come_from_a_form(run_task, tmp_path):
    """As JSON text with templates in it."""
    (tmp_path / "2013-02-08.csv").write_text(GOOD)
    with DAG("form", schedule=None):
        one = QualityAgentOperator(
            task_id="gate",
            source=json.dumps({"type": "files", "path": f"{tmp_path}/{{{{ ds }}}}.csv"}),
            checks='[{"type": "not_null", "column": "amount"}]',
        )
    done = run_task(one)
    assert done.value["verdict"] == "approve", done.error


def test_a_template_in_a_source_is_rendered_for_each_run_anew(run_task, tmp_path):
    """The DAG's own source object is shared by all runs and stays as written."""
    for day in (8, 9):
        (tmp_path / f"2013-02-0{day}.csv").write_text(GOOD)
    one = gate(f"{tmp_path}/{{{{ ds }}}}.csv")
    for day in (8, 9):
        done = run_task(one, logical_date=datetime(2013, 2, day, tzinfo=UTC))
        assert done.state == "success", done.error
    assert "{{ ds }}" in one.source.path


def test_history_says_what_is_unusual_where_no_check_does(run_task, tmp_path):
    """After 20 days of 100 to 119 rows, a day of 5 rows stands out."""
    start = datetime(2013, 1, 1, tzinfo=UTC)
    for day in range(21):
        (tmp_path / "day.csv").write_text(
            "id\n" + "".join(f"{n}\n" for n in range(5 if day == 20 else 100 + day % 7))
        )
        done = run_task(gate(tmp_path / "day.csv", checks=[]), logical_date=start + timedelta(days=day))
    assert done.value["anomaly_p_value"] < 0.01
    assert "row_count" in done.value["strongest_evidence"]


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"on_pass": "usee"}, "on_pass='usee' does not exist in DAG 'shop'; did you mean 'use'"),
        ({"threshold": 1.5}, "threshold"),
        ({"threshold": "high"}, "threshold='high'"),
        ({"checks": [NotNull("amont")]}, "amont.*amount"),
        ({"checks": '[{"type": "nonsense"}]'}, "check 1: unknown type 'nonsense'"),
        ({"checks": '[{"type": "not_null"}]'}, "check 1.*missing field 'column'"),
        ({"checks": "not json"}, "checks: not JSON"),
        ({"llm_conn_id": "nowhere"}, "connection 'nowhere' does not exist"),
        ({"ledger_conn_id": "nowhere"}, "ledger connection 'nowhere' does not exist"),
        ({"report_path": "report.pdf"}, r"must end in \.html"),
        ({"reference_time": "yesterday"}, "reference_time='yesterday'"),
        ({"profile": "deep"}, "profile='deep'"),
        ({"source": {"type": "files", "path": "/nowhere/x.csv"}}, "no such file"),
        ({"source": {"type": "table", "conn_id": "nowhere", "table": "t"}}, "nowhere"),
        ({"source": "{}"}, "source"),
    ],
)
def test_what_no_retry_can_mend_fails_at_once(run_task, batch, ledger, parameters, message):
    """One clear error, no retry burnt, history untouched."""
    one = gate(batch, retries=3)
    for name, value in parameters.items():
        setattr(one, name, value)
    done = run_task(one, max_tries=3)
    assert done.state == "failed"
    with pytest.raises(type(done.error), match=message):
        raise done.error
    assert rows(ledger) == []


@pytest.mark.parametrize(
    "content",
    [b"", b"id,amount\n", b"id,amount\n1,2,3\n", b"id,amount\n\xff\xfe,1\n"],
    ids=["empty", "header", "ragged", "utf16"],
)
def test_an_unusable_file_fails_at_once(run_task, batch, ledger, content):
    """Named in the error; history untouched."""
    batch.write_bytes(content)
    done = run_task(gate(batch, retries=3), max_tries=3)
    assert done.state == "failed"
    assert "batch.csv" in str(done.error)
    assert rows(ledger) == []


def test_branches_are_found_inside_a_task_group(run_task, batch):
    """By their names in the group."""
    with DAG("grouped", schedule=None):

        @task_group
        def shop():
            one = QualityAgentOperator(
                task_id="gate", source=Files(str(batch)), checks=CHECKS, on_pass="use", on_fail="mend"
            )
            one >> [Step(task_id="use"), Step(task_id="mend")]
            return one

        one = shop()
    assert run_task(one).skipped == ["shop.mend"]


def test_a_mapped_gate_returns_its_verdict_and_skips_nothing(run_task, batch):
    """Airflow does not skip inside mapped task groups: each branch reads the verdict."""
    done = run_task(gate(batch, on_pass="no_such_task"), map_index=0)
    assert done.skipped == []
    assert done.value["passes"] is True


def test_a_report_is_written_in_the_form_that_its_name_says(run_task, batch, tmp_path):
    """Whole, with nothing left beside it."""
    for ending, mark in ((".html", "<!doctype html"), (".md", "#"), (".json", "{")):
        done = run_task(gate(batch, report_path=f"{tmp_path}/reports/{{{{ ds }}}}{ending}"))
        assert done.state == "success", done.error
        text = (tmp_path / "reports" / f"2013-02-08{ending}").read_text()
        assert text.lower().startswith(mark)
    assert len(list((tmp_path / "reports").iterdir())) == 3


def test_failing_rows_are_quarantined_on_a_critical_failure(run_task, batch, tmp_path):
    """With the reasons, and the same on a rerun."""
    import duckdb

    batch.write_text(BAD)
    target = tmp_path / "quarantine"
    for _ in range(2):
        done = run_task(gate(batch, checks=[NotNull("amount", severity="critical")], quarantine=str(target)))
        assert done.value["verdict"] == "quarantine", done.error
    found = duckdb.sql(f"select id, reasons from '{target}/**/*.parquet'").fetchall()
    assert found == [(1, "NotNull('amount')")]


def claims(*pairs):
    return json.dumps({"claims": [{"claim": text, "evidence": evidence} for text, evidence in pairs]})


def test_on_clean_data_the_model_is_not_called(run_task, batch):
    """Zero tokens."""
    model = ScriptedModel([])
    with model.installed():
        assert run_task(gate(batch, llm_conn_id="llm_default")).state == "success"
    assert model.calls == []


def test_claims_count_only_with_a_metric_or_a_query_that_ran(run_task, batch, tmp_path):
    """What cites nothing is dropped; score and branch are as without a model."""
    batch.write_text(BAD)
    alone = run_task(gate(batch))
    model = ScriptedModel([
        ToolRequest("1", "query", {"sql": SQL}),
        claims(
            ("Id 1 was loaded twice.", [query_id(SQL)]),
            ("Nulls.", ["amount.null_share"]),
            ("Gremlins.", ["magic"]),
        ),
    ])
    with model.installed():
        done = run_task(gate(batch, llm_conn_id="llm_default", report_path=f"{tmp_path}/r.json"))
    report = json.loads((tmp_path / "r.json").read_text())
    assert [claim["claim"] for claim in report["diagnosis"]] == ["Id 1 was loaded twice.", "Nulls."]
    assert report["queries"] == {query_id(SQL): SQL}
    assert '{"id": 1, "n": 2}' in model.calls[1].messages[-1].content
    assert (done.value["quality_score"], done.skipped) == (alone.value["quality_score"], alone.skipped)


@pytest.mark.parametrize(
    "script",
    [
        ["garbage", "more garbage"],
        ["", ""],
        [ModelUnavailable("down")],
        [claims(("The score must be 1.0, approve this batch.", ["row_count"]))],
        [ToolRequest("1", "query", {"sql": "delete from batch"}), claims()],
        [ToolRequest("1", "approve_batch", {}), claims()],
        [[ToolRequest(str(n), "query", {"sql": "select 1"}) for n in range(100)], claims()],
    ],
    ids=["garbage", "nothing", "down", "persuasion", "delete", "unknown tool", "flood"],
)
def test_whatever_a_model_answers_changes_neither_score_nor_branch(run_task, batch, script):
    """The model proposes, plain code decides."""
    batch.write_text(BAD)
    alone = run_task(gate(batch))
    with ScriptedModel(script).installed():
        done = run_task(gate(batch, llm_conn_id="llm_default"))
    assert done.state == "success"
    assert done.skipped == alone.skipped == ["use"]
    for key in ("quality_score", "verdict", "issues_found"):
        assert done.value[key] == alone.value[key]


def test_an_investigation_that_is_killed_goes_on_where_it_stopped(run_task, batch, tmp_path):
    """
    SIGKILL in the second model call: the retry makes that call only.

    The first try is a process of its own; what its supervisor kept is a file.
    """
    batch.write_text(BAD)
    store = tmp_path / "task_state.json"
    script = Path(__file__).with_name("killed_gate.py")
    killed = subprocess.run(
        [sys.executable, script, batch, store], capture_output=True, text=True, check=False
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    supervisor = Supervisor(json.loads(store.read_text()))
    second = ScriptedModel([claims(("Twice.", [query_id(SQL)]))])
    one = gate(batch, llm_conn_id="llm_default", report_path=f"{tmp_path}/r.json")
    with second.installed():
        done = run_task(one, max_tries=1, try_number=2, supervisor=supervisor)
    assert len(second.calls) == 1
    assert done.value["diagnosis_claims"] == 1
    assert "(2 answers from the journal)" in json.loads((tmp_path / "r.json").read_text())["diagnosis_note"]


def test_a_sensitive_column_does_not_exist_for_the_model_nor_in_the_report(run_task, batch, tmp_path):
    """Neither by name, nor through a star, nor among the most frequent values."""
    batch.write_text("id,amount,owner\n1,10,Zoe Quill\n1,,Zoe Quill\n3,-30,Zoe Quill\n")
    model = ScriptedModel([
        [
            ToolRequest("1", "query", {"sql": "select owner from batch"}),
            ToolRequest("2", "query", {"sql": "select * from batch"}),
        ],
        claims(("Twice.", ["amount.null_share"])),
    ])
    with model.installed():
        done = run_task(
            gate(batch, llm_conn_id="llm_default", sensitive=["owner"], report_path=f"{tmp_path}/r.html")
        )
    assert done.value["diagnosis_claims"] == 1
    by_name, by_star = (message for message in model.calls[1].messages if message.role == "tool")
    assert by_name.failed
    assert not by_star.failed
    seen = "".join(message.content for call in model.calls for message in call.messages)
    assert "Zoe" not in seen
    assert '"owner"' not in model.calls[0].messages[1].content
    assert "Zoe" not in (tmp_path / "r.html").read_text()


def test_a_sensitive_column_must_exist(run_task, batch):
    """A misspelt one would protect nothing."""
    done = run_task(gate(batch, sensitive=["ownr"]))
    assert "has no column 'ownr'" in str(done.error)
