import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_agent_provider.exceptions import ConfigurationError
from airflow_agent_provider.governance.personal_data import DATA_CLASSES
from airflow_agent_provider.governance.policy import ACTIONS, Destination, Policy, Residency, Rule

EU, US = Destination("claude_eu", "bedrock", "eu-central-1"), Destination("gpt", "openai", "us")
LOCAL, NOWHERE = Destination("llama", "llama.cpp", "local"), Destination("proxy", "litellm")


def test_without_rules_everything_found_is_redacted():
    """A policy that nobody wrote is a careful one."""
    decision = Policy().decide({"email", "secret"}, (), US)
    assert decision.actions == {"secret": "redact", "email": "redact"}
    assert decision.compliant
    assert decision.reason == "redacts secret, email"


def test_without_findings_there_is_nothing_to_redact():
    """A clean call goes anywhere when its data has no tag."""
    decision = Policy().decide((), (), NOWHERE)
    assert (decision.actions, decision.compliant, decision.reason) == ({}, True, "nothing to redact")


@pytest.mark.parametrize(
    ("destination", "compliant"), [(EU, True), (LOCAL, True), (US, False), (NOWHERE, False)]
)
def test_eu_data_stays_in_the_eu(destination, compliant):
    """Data tagged eu goes to regions of the EU or to a local model, even with nothing personal in it."""
    assert Policy().decide((), ("eu",), destination).compliant is compliant


@pytest.mark.parametrize("region", ["europe", "eur", "us-eu", ""])
def test_only_the_region_itself_or_a_part_of_it_is_inside(region):
    """A name that merely starts or ends alike is another region."""
    assert not Policy().decide((), ("eu",), Destination("c", region=region)).compliant


def test_the_reason_names_tag_regions_and_connection():
    """Who reads the refusal knows what to change."""
    assert Policy().decide((), ("eu",), US).reason == (
        "data tagged 'eu' may go to regions eu, local only, connection 'gpt' declares region 'us'"
    )
    assert "connection 'proxy' declares no region" in Policy().decide((), ("eu",), NOWHERE).reason


def test_the_first_rule_that_fits_decides():
    """Rules are an ordered list: exceptions come before what they are exceptions of."""
    policy = Policy(
        rules=(
            Rule("ours", "allow", regions=("local",)),
            Rule("no secrets", "refuse", classes=("secret", "payment_card")),
            Rule("eu mail", "allow", classes=("email",), regions=("eu",)),
        )
    )
    found = ("email", "secret")
    assert policy.decide(found, (), LOCAL).actions == {"secret": "allow", "email": "allow"}
    assert policy.decide(found, (), EU).actions == {"secret": "refuse", "email": "allow"}
    assert policy.decide(["email"], (), US).actions == {"email": "redact"}
    assert policy.decide(found, (), EU).rules == ("no secrets", "eu mail")


def test_a_refused_class_stops_the_call():
    """The reason names the rule, the classes and the connection."""
    policy = Policy(rules=(Rule("no cards", "refuse", classes=("payment_card",)),))
    decision = policy.decide({"payment_card", "email"}, (), US)
    assert not decision.compliant
    assert decision.reason == "rule 'no cards' refuses payment_card to connection 'gpt'"
    assert policy.decide({"email"}, (), US).compliant


@pytest.mark.parametrize(
    ("rule", "fits"),
    [
        (Rule("r", "allow", connections=("gpt",)), True),
        (Rule("r", "allow", connections=("other",)), False),
        (Rule("r", "allow", providers=("openai",)), True),
        (Rule("r", "allow", providers=("bedrock",)), False),
        (Rule("r", "allow", tags=("public",)), True),
        (Rule("r", "allow", tags=("hr",)), False),
        (Rule("r", "allow", providers=("openai",), regions=("eu",)), False),
    ],
)
def test_all_conditions_of_a_rule_must_fit(rule, fits):
    """Connection, provider, region, tag and class each narrow a rule."""
    assert (Policy(rules=(rule,)).decide(("email",), ("public",), US).actions["email"] == "allow") is fits


@given(
    classes=st.sets(st.sampled_from(DATA_CLASSES)),
    actions=st.lists(st.tuples(st.sampled_from(ACTIONS), st.sets(st.sampled_from(DATA_CLASSES))), max_size=4),
    otherwise=st.sampled_from(ACTIONS),
)
def test_every_class_gets_an_action_and_refusal_is_never_compliant(classes, actions, otherwise):
    """Nothing that occurs is left undecided; a call is compliant exactly when nothing is refused."""
    rules = tuple(Rule(f"r{n}", action, tuple(sorted(some))) for n, (action, some) in enumerate(actions))
    decision = Policy(rules=rules, otherwise=otherwise).decide(classes, (), US)
    assert set(decision.actions) == classes
    assert decision.compliant is ("refuse" not in decision.actions.values())


def test_mistakes_are_found_when_the_policy_is_written():
    """Unknown actions and classes and rules of one name are configuration errors."""
    with pytest.raises(ConfigurationError, match="action 'deny' is none of allow, redact, refuse"):
        Rule("r", "deny")
    with pytest.raises(ConfigurationError, match="class 'e-mail' is none of secret"):
        Rule("r", "allow", classes=("e-mail",))
    with pytest.raises(ConfigurationError, match="action 'log'"):
        Policy(otherwise="log")
    with pytest.raises(ConfigurationError, match="two rules have the same name"):
        Policy(rules=(Rule("r", "allow"), Rule("r", "refuse")))


def test_other_residencies_can_be_declared():
    """Tags and regions are the users' own."""
    policy = Policy(residency=(Residency("swiss", ("ch", "eu")),))
    assert policy.decide((), ("swiss",), EU).compliant
    assert not policy.decide((), ("swiss",), US).compliant
    assert policy.decide((), ("eu",), US).compliant
