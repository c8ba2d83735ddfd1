import json

import pytest

from airflow_agent_provider.core.effects import CallModel, fingerprint
from airflow_agent_provider.core.messages import Message, ModelReply
from airflow_agent_provider.exceptions import PermanentError, PolicyRefused
from airflow_agent_provider.governance.audit import AuditRecord, overall
from airflow_agent_provider.governance.clearance import clear
from airflow_agent_provider.governance.policy import Destination, Policy, Rule
from airflow_agent_provider.governance.redaction import Redactor

EMAIL, CARD = "mia.okafor@example.org", "4111 1111 1111 1111"
EU, US = Destination("claude_eu", "anthropic", "eu"), Destination("gpt", "openai", "us")
CALL = CallModel((Message("user", f"Refund {EMAIL}, card {CARD}"),))


def test_a_cleared_call_is_redacted_and_its_answer_restored():
    """What goes out has placeholders, what comes back has values."""
    clearance = clear(CALL, policy=Policy(), redactor=Redactor(), destination=US)
    assert clearance.call.messages[0].content == "Refund <EMAIL_1>, card <PAYMENT_CARD_1>"
    assert clearance.restore(ModelReply("Refunded <EMAIL_1>")).text == f"Refunded {EMAIL}"


def test_the_record_says_what_happened_and_never_what_was_said():
    """Where to, which policy and rules, counts by class, the fingerprint; no content."""
    policy = Policy("shop", rules=(Rule("mail may go", "allow", classes=("email",)),))
    mark = fingerprint(CALL)
    clearance = clear(
        CALL, policy=policy, redactor=Redactor(), destination=EU, tags={"eu", "crm"}, fingerprint=mark
    )
    assert clearance.call.messages[0].content == f"Refund {EMAIL}, card <PAYMENT_CARD_1>"
    record = json.loads(json.dumps(clearance.record.to_json()))
    assert record == {
        "kind": "model_call",
        "connection": "claude_eu",
        "provider": "anthropic",
        "region": "eu",
        "policy": "shop",
        "status": "redacted",
        "reason": "redacts payment_card",
        "rules": ["mail may go"],
        "tags": ["crm", "eu"],
        "redactions": {"payment_card": 1},
        "allowed": ["email"],
        "fingerprint": mark,
    }
    assert EMAIL not in repr(clearance)
    assert CARD not in repr(clearance)


def test_a_clean_call_is_compliant_and_sent_as_it_is():
    """Nothing to redact: the same call, status compliant."""
    call = CallModel((Message("user", "How many rows?"),))
    clearance = clear(call, policy=Policy(), redactor=Redactor(), destination=US)
    assert clearance.call is call
    assert clearance.record.status == "compliant"


def test_a_refusal_is_permanent_and_carries_its_record():
    """No retry helps; the message names the reason and what to do, and holds no value."""
    with pytest.raises(PolicyRefused, match=r"data tagged .eu. .*use another connection") as refused:
        clear(CALL, policy=Policy(), redactor=Redactor(), destination=US, tags=["eu"])
    assert isinstance(refused.value, PermanentError)
    assert refused.value.record.status == "refused"
    assert refused.value.record.redactions == {"payment_card": 1, "email": 1}
    assert EMAIL not in f"{refused.value} {refused.value.record}"


def test_the_next_connection_of_a_route_may_be_allowed():
    """A refusal for one destination says nothing of another, and leaves no trace in its placeholders."""
    flow = Redactor()
    with pytest.raises(PolicyRefused):
        clear(CALL, policy=Policy(), redactor=flow, destination=US, tags=["eu"])
    clearance = clear(CALL, policy=Policy(), redactor=flow, destination=EU, tags=["eu"])
    assert clearance.call == clear(CALL, policy=Policy(), redactor=Redactor(), destination=EU).call


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        ([], "not_checked"),
        (["compliant", "compliant"], "compliant"),
        (["compliant", "redacted"], "redacted"),
        (["redacted", "not_checked"], "not_checked"),
        (["compliant", "refused", "not_checked"], "refused"),
    ],
)
def test_a_run_is_as_compliant_as_its_worst_call(statuses, expected):
    """One call not checked is not hidden by many that were."""
    assert overall(statuses) == expected


def test_a_record_is_made_without_a_policy_too():
    """Where nothing is in force the record says so."""
    record = AuditRecord("model_call", "gpt", "openai", "us", "", "not_checked", "no policy is in force")
    assert record.to_json()["status"] == "not_checked"
