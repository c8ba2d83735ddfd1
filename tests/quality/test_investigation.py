"""A model's claims count only with evidence that exists."""

from airflow_agent_provider.core.messages import Message, ToolRequest
from airflow_agent_provider.quality.investigation import Claim, admitted, queries_run, query_id

SQL = "select count(*) from batch"


def turns(sql, *, failed=False):
    return [
        Message("assistant", "", (ToolRequest("c1", "query", {"sql": sql}),)),
        Message("tool", "42", tool_call_id="c1", failed=failed),
    ]


def test_a_claim_that_cites_nothing_is_dropped():
    """Also one that cites only what does not exist."""
    answer = {
        "claims": [
            {"claim": "Storm.", "evidence": ["dep_time.null_share"]},
            {"claim": "Aliens.", "evidence": []},
            {"claim": "Sabotage.", "evidence": ["query:deadbeef", "made.up"]},
        ]
    }
    claims, dropped = admitted(answer, {"dep_time.null_share"})
    assert claims == (Claim("Storm.", ("dep_time.null_share",)),)
    assert dropped == 2


def test_only_citations_that_exist_are_kept():
    """Brackets around an id are forgiven, repeats are merged."""
    answer = {"claims": [{"claim": "c", "evidence": ["[a.min]", "a.min", "b.max"]}]}
    assert admitted(answer, {"a.min"})[0] == (Claim("c", ("a.min",)),)


def test_a_query_that_ran_can_be_cited():
    """By the id that its result starts with."""
    assert queries_run(turns(SQL)) == {query_id(SQL): SQL}


def test_a_query_that_failed_cannot_be_cited():
    """It showed nothing."""
    assert queries_run(turns(SQL, failed=True)) == {}


def test_a_query_that_was_only_asked_for_cannot_be_cited():
    """Asking is not seeing."""
    assert queries_run(turns(SQL)[:1]) == {}
