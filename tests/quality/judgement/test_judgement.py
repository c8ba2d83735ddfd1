"""From measurements to the report: what is said, in which order, and what later batches learn from it."""

from dataclasses import replace

import pytest

from airflow_agent_provider.quality.history import MemoryHistory
from airflow_agent_provider.quality.judgement import history_row, judge, past_batches
from airflow_agent_provider.quality.verdict import Policy, Verdict


def test_the_same_measurements_give_the_same_report(report, check):
    """To the last digit and letter."""
    assert report(check(), mean=9.0).to_json() == report(check(), mean=9.0).to_json()


def test_the_history_is_one_check_among_the_others(report, check):
    """Named last, weighed like them."""
    judged = report(check(), check("Unique('b')"))
    assert [one.name for one in judged.checks] == ["NotNull('a')", "Unique('b')", "LikeHistory()"]
    assert judged.verdict is Verdict.APPROVE
    assert judged.quality_score == 1


def test_an_odd_batch_whose_checks_pass_is_told_from_a_far_one(report, check):
    """Odd: noted. Far away: held back, though every rule is kept."""
    rules = [check(f"check {number}") for number in range(3)]
    odd, far = report(*rules, mean=1.0), report(*rules, mean=1000.0)
    assert 0.0001 < odd.anomaly.p_value < 0.01
    assert (odd.verdict, far.verdict) == (Verdict.APPROVE_WITH_NOTES, Verdict.CLEAN)
    assert far.strongest_evidence == "a.mean 1,000 against 0 to 0.6"


def test_a_cold_start_is_judged_by_its_checks(report, check):
    """And says so."""
    judged = report(check(), mean=1000.0, history=3)
    assert judged.verdict is Verdict.APPROVE
    assert judged.strongest_evidence == "cold start: 3 of 8 batches"
    assert "cold start: 3 of 8 batches; judged by its checks alone" in judged.explanation


def test_without_checks_and_history_the_batch_passes_unscored(profile, subject):
    """A gate that turned the first batches away would never have a history."""
    judged = judge(subject(), profile(a=1.0), (), ())
    assert (judged.quality_score, judged.verdict) == (None, Verdict.APPROVE_WITH_NOTES)
    assert "nothing was weighed" in judged.explanation
    assert history_row(judged).accepted


def test_without_checks_the_history_judges_alone(profile, subject, past):
    """An ordinary batch earns all, a far one nothing."""
    history = past([profile(1000, a=(n % 7) / 10) for n in range(20)])
    assert judge(subject(), profile(a=0.3), (), history).verdict is Verdict.APPROVE
    far = judge(subject(), profile(a=50.0), (), history)
    assert (far.quality_score, far.verdict) == (0.0, Verdict.CLEAN)


def test_what_costs_most_comes_first(report, check):
    """By weight times loss: a small failure of an error may count less than a warning's whole."""
    judged = report(
        check("info", credit=0.0, severity="info"),
        check("slight error", credit=0.9),
        check("warning", credit=0.0, severity="warning"),
        check("error", credit=0.2, failing_rows=8),
        check("fine"),
    )
    names = [one["check"] for one in judged.issues_found]
    assert names == ["error", "warning", "slight error", "info"]
    assert judged.strongest_evidence == "error: 0.8, allowed 0"
    lines = judged.explanation.split("\n")
    assert lines[0].startswith("Clean the batch before using it. The score is 0.6636, not above")
    assert lines[1] == "4 of 6 checks failed, what costs most first:"
    assert lines[2] == "1. error (error, completeness, 8 rows): 80.0% of the rows fail, 0% allowed"


def test_a_finding_without_figures_is_told_by_its_message(report, check):
    """A schema has no measure."""
    judged = report(check("Schema(...)", credit=0.0, found=None, allowed=None, message="column b is missing"))
    assert judged.strongest_evidence == "Schema(...): column b is missing"


def test_what_a_diagnosis_may_cite_holds_no_text_of_rows(report, check, profile):
    """Checks first, then odd figures, then the rest of the numbers."""
    judged = report(check(credit=0.0), mean=1000.0)
    cited = judged.evidence()
    assert next(iter(cited)) == "NotNull('a')"
    assert cited["a.mean"] == "a.mean 1,000 against 0 to 0.6 in 12 accepted batches"
    assert cited["row_count"].startswith(
        "row_count 1,000" if "row_count 1" in cited["row_count"] else "1,000"
    )
    assert all(isinstance(line, str) for line in cited.values())


def test_only_batches_that_pass_become_history(report, check):
    """The row carries what the next ones are judged by."""
    good, bad = history_row(report(check())), history_row(report(check(credit=0.0)))
    assert (good.accepted, bad.accepted) == (True, False)
    assert good.features["a.mean"] == pytest.approx(0.0)
    assert (good.dataset, good.batch_key, good.verdict) == ("flights", "2013-01-15", "approve")


def test_a_batch_is_not_judged_by_itself(profile, subject, past):
    """Also when the history that is given holds an earlier run of it."""
    history = past([profile(1000, a=(n % 7) / 10) for n in range(8)])
    own = replace(history[0], batch_key=subject().batch_key, features={"row_count": 5.0, "a.mean": 50.0})
    assert judge(subject(), profile(a=50.0), (), [*history, own]).anomaly.history_size == 8


def test_a_rerun_is_judged_by_what_was_there_the_first_time(profile, subject):
    """Later batches do not change the score of an earlier one."""
    history = MemoryHistory()
    for day in range(20):
        history.record(history_row(judge(subject(day), profile(a=day / 10), (), ())))
    assert [row.batch_key for row in past_batches(history, subject(10))] == [
        subject(day).batch_key for day in range(10)
    ]


def test_a_backfill_that_runs_backwards_is_judged_by_later_batches(profile, subject):
    """There are no earlier ones; the batch itself never counts."""
    history = MemoryHistory()
    for day in range(20):
        history.record(history_row(judge(subject(day), profile(a=day / 10), (), ())))
    assert len(past_batches(history, subject(3))) == 19


def test_the_policy_decides_what_passes(report, check):
    """The same measurements under another threshold."""
    checks = [check(credit=0.8, severity="warning"), check("b")]
    assert report(*checks, policy=Policy(threshold=0.5)).verdict is Verdict.APPROVE_WITH_NOTES
    assert report(*checks, policy=Policy(threshold=0.99)).verdict is Verdict.CLEAN
