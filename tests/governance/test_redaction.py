import copy
import json
import pickle
import subprocess
import sys
from random import Random

import identifiers
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from airflow_agent_provider.core.effects import CallModel
from airflow_agent_provider.core.messages import Message, ModelReply, ToolRequest, ToolSpec
from airflow_agent_provider.governance.placeholders import PLACEHOLDER
from airflow_agent_provider.governance.redaction import Redactor
from airflow_agent_provider.governance.scanner import Scanner

SCANNER = Scanner(declared=["Zoë Müller", "cust-8812"])
EMAIL, OTHER_EMAIL, CARD, SSN = (
    "mia.okafor@example.org",
    "olu@example.com",
    "4111 1111 1111 1111",
    "219099999",
)
FRAGMENTS = st.sampled_from([
    EMAIL, OTHER_EMAIL, CARD, "DE89370400440532013000", "Zoë Müller", "cust-8812", "SSN", SSN, "password=", "hunter2!", "2001:db8::1",
    "<EMAIL_1>", "<EMAIL_", "1>", "< email 1 >", "&lt;PHONE_1&gt;", "%3CEMAIL_1%3E", "\\u003cEMAIL_1\\u003e", "<LITERAL_1>", "<LITERAL", "_2>",
    "<", ">", "&lt;", "&gt;", "%3C", "%40", "@", "\\", "\\n", '"', "'", "\u200b", "\uff20", "+1 415 555 2671", ":", " ", "\n", "=", "İ", "\ud83d",
])  # fmt: skip
TEXTS = st.lists(st.one_of(FRAGMENTS, st.text(max_size=8)), max_size=12).map("".join)


def redactor():
    return Redactor(SCANNER)


def user(text):
    return CallModel((Message("user", text),))


@given(st.lists(TEXTS, max_size=4))
@example(["<EMAIL_1>" + EMAIL, "<" + EMAIL + ">", "<EMAIL_" + CARD + "1>"])
def test_restoring_gives_back_every_text(texts):
    """restore(redact(text)) == text for any text, also after others went the same way."""
    one = redactor()
    redacted = [one.redact(text) for text in texts]
    assert [one.restore(text) for text in redacted] == texts


@given(TEXTS, TEXTS)
def test_the_same_text_gives_the_same_placeholders(text, before):
    """Redacting again changes nothing, in one redactor and in another that saw the same."""
    one, other = redactor(), redactor()
    for each in (one, other):
        each.redact(before)
    first = one.redact(text)
    assert (first, first) == (one.redact(text), other.redact(text))


@example("mia.okafor@example.org4111 1111 1111 1111" + "+1 415 555 2671" * 3)
@given(TEXTS)
def test_a_redacted_text_holds_nothing_more_to_find(text):
    """Where the placeholders are taken out, a second look finds no personal data."""
    assert SCANNER.find(PLACEHOLDER.sub("\n", redactor().redact(text))) == ()


@settings(deadline=None)
@given(st.integers(0, 2**32))
def test_no_planted_identifier_survives(seed):
    """Not in prose, not in a CSV row, not in JSON, not in JSON inside JSON."""
    random = Random(seed)
    planted = [make(random) for make in identifiers.MAKERS.values()]
    record = {one.word or f"field {number}": one.field for number, one in enumerate(planted)}
    texts = [
        " and ".join(one.named for one in planted),
        ";".join(record) + "\n" + ";".join(record.values()),
        json.dumps([record]),
        json.dumps({"result": json.dumps([record], ensure_ascii=False)}),
    ]
    redacted = "\n".join(Redactor().redact(text) for text in texts)
    assert [one for one in planted if one.value in redacted] == []


def test_one_value_has_one_placeholder():
    """A model can tell that two rows have one owner."""
    one = redactor()
    assert one.redact(f"{EMAIL}, {OTHER_EMAIL}, {EMAIL}") == "<EMAIL_1>, <EMAIL_2>, <EMAIL_1>"
    assert one.redact(OTHER_EMAIL) == "<EMAIL_2>"


def test_a_placeholder_in_the_data_is_not_taken_for_ours():
    """Data that says <EMAIL_1> does not get the address of someone else."""
    one = redactor()
    redacted = one.redact(f"{EMAIL} says: mail it to <EMAIL_1>")
    assert redacted == "<EMAIL_1> says: mail it to <LITERAL_1>"
    assert one.restore(redacted) == f"{EMAIL} says: mail it to <EMAIL_1>"


@pytest.mark.parametrize(
    "changed",
    [
        "<email_1>",
        "< EMAIL_1 >",
        "<EMAIL 1>",
        "<EMAIL-1>",
        "<EMAIL\\_1>",
        "&lt;EMAIL_1&gt;",
        "%3CEMAIL_1%3E",
        "<Email_01>",
    ],
)
def test_a_slightly_changed_placeholder_is_still_restored(changed):
    """Other capitals, spaces and escapes are tolerated."""
    one = redactor()
    one.redact(EMAIL)
    assert one.restore(f"Write to {changed}!") == f"Write to {EMAIL}!"


def test_an_unknown_placeholder_is_left_alone():
    """What a model makes up is nobody's value."""
    one = redactor()
    one.redact(EMAIL)
    assert one.restore("<EMAIL_2> <PHONE_1> <EMAIL> <EMAIL_x>") == "<EMAIL_2> <PHONE_1> <EMAIL> <EMAIL_x>"


def test_a_value_found_by_its_word_is_replaced_without_it_too():
    """Once the SSN is known it does not leave in the next tool call, where no word tells."""
    one = redactor()
    one.redact(f"SSN: {SSN}; password=hunter2!")
    assert (
        one.redact(f"row {SSN} and {SSN}0 and hunter2!") == f"row <NATIONAL_ID_1> and {SSN}0 and <SECRET_1>"
    )


def test_short_values_are_replaced_only_where_their_word_is():
    """Were they carried on, words of every text would turn into secrets."""
    one = redactor()
    one.redact(r'{"password": "\\u0061\\u0062"} {"password": "on e12"}')
    assert one.redact("a b ab one") == "a b ab one"


def test_a_whole_call_is_redacted():
    """System, user and tool messages, arguments at any depth, raw arguments, tool texts and the schema."""
    arguments = {
        "to": [EMAIL, {"cc": OTHER_EMAIL}],
        EMAIL: 4111111111111111,
        "ssn": SSN,
        "id": int(SSN),
        "n": 7,
        "x": None,
    }
    call = CallModel(
        messages=(
            Message("system", f"Owner: {EMAIL}"),
            Message("user", "ask Zoë Müller"),
            Message("assistant", "", (ToolRequest("c1", "mail", arguments), ToolRequest("c2", "mail", None, f"<{EMAIL}"))),
            Message("tool", f"sent to {OTHER_EMAIL}", tool_call_id="c1"),
        ),
        tools=(ToolSpec("mail", f"mail, e.g. {EMAIL}", {"type": "object", "properties": {"to": {"enum": [OTHER_EMAIL]}}}),),
        schema={"type": "object", "properties": {"who": {"const": "Zoë Müller"}}},
    )  # fmt: skip
    sent = redactor().redact_call(call)
    shown = json.dumps(
        [str(sent), arguments and str(sent.messages[2].tool_requests[0].arguments)], ensure_ascii=False
    )
    assert [value for value in (EMAIL, OTHER_EMAIL, SSN, "4111111111111111", "Zoë") if value in shown] == []
    assert sent.messages[2].tool_requests[0].arguments == {
        "to": ["<EMAIL_1>", {"cc": "<EMAIL_2>"}], "<EMAIL_1>": "<PAYMENT_CARD_1>", "ssn": "<NATIONAL_ID_1>",
        "id": "<NATIONAL_ID_1>", "n": 7, "x": None,
    }  # fmt: skip
    assert sent.tools[0].parameters["properties"] == {"to": {"enum": ["<EMAIL_2>"]}}
    assert sent.schema["properties"] == {"who": {"const": "<DECLARED_1>"}}


def test_a_clean_call_is_sent_as_it_is():
    """Nothing found, nothing copied."""
    call = CallModel(
        (
            Message("user", "How many rows?"),
            Message("assistant", "", (ToolRequest("c", "count", {"rows": [1]}),)),
        ),
        (ToolSpec("count", "Count rows.", {"type": "object", "properties": {}}),),
        {"type": "object"},
    )
    assert redactor().redact_call(call) is call


def test_an_answer_gets_its_values_back():
    """Text, nested tool arguments, keys and raw arguments."""
    one = redactor()
    one.redact(f"{EMAIL} {CARD}")
    request = ToolRequest(
        "c", "pay", {"to": {"who": ["<EMAIL_1>"], "<EMAIL_1>": 1}, "note": "card <payment_card_1>!"}
    )
    reply = one.restore_reply(
        ModelReply("Paid by <EMAIL_1>", (request, ToolRequest("d", "pay", None, "<EMAIL_1>")))
    )
    assert reply.text == f"Paid by {EMAIL}"
    assert reply.tool_requests[0].arguments == {"to": {"who": [EMAIL], EMAIL: 1}, "note": f"card {CARD}!"}
    assert reply.tool_requests[1].raw == EMAIL


def test_a_json_answer_stays_json():
    """A key of many lines is escaped where it goes into a JSON answer, and is whole again when that is read."""
    key = "-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----"
    one = redactor()
    assert one.redact(key) == "<SECRET_1>"
    reply = one.restore_reply(ModelReply('{"key": "<SECRET_1>"}'))
    assert json.loads(reply.text) == {"key": key}


def test_a_value_cut_from_json_reaches_a_tool_unescaped():
    r"""A tool gets Müller, though the text that the model saw had M\u00fcller."""
    one = redactor()
    assert one.redact(json.dumps({"name": "Zoë Müller"})) == '{"name": "<DECLARED_1>"}'
    reply = one.restore_reply(ModelReply("", (ToolRequest("c", "find", {"name": "<DECLARED_1>"}),)))
    assert reply.tool_requests[0].arguments == {"name": "Zoë Müller"}


def test_numbers_of_a_branch_depend_on_its_call_alone():
    """Calls side by side get the same placeholders in whatever order they run."""
    flow = redactor()
    first, second = user(f"to {EMAIL}"), user(f"to {OTHER_EMAIL} and {EMAIL}")
    forwards = [flow.branch().redact_call(call) for call in (first, second)]
    backwards = [flow.branch().redact_call(call) for call in (second, first)]
    assert forwards == backwards[::-1]
    assert forwards[1].messages[0].content == "to <EMAIL_1> and <EMAIL_2>"


def test_a_growing_transcript_keeps_its_placeholders():
    """What was sent in one round is sent alike in the next: a provider's prompt cache still fits."""
    flow = redactor()
    messages = [
        Message("user", f"{EMAIL} {CARD}"),
        Message("assistant", f"{CARD}?"),
        Message("user", f"{OTHER_EMAIL} {EMAIL}"),
    ]
    rounds = [flow.branch().redact_call(CallModel(tuple(messages[:end]))).messages for end in (1, 2, 3)]
    assert rounds[0] == rounds[2][:1]
    assert rounds[1] == rounds[2][:2]


def test_a_text_is_scanned_once():
    """A transcript is sent again every round; only what is new in it costs."""
    scanned = []

    class Counting(Scanner):
        def find(self, text):
            scanned.append(text)
            return super().find(text)

    flow = Redactor(Counting())
    messages = tuple(Message("user", f"message {number}") for number in range(5))
    for end in range(1, 6):
        flow.branch().redact_call(CallModel(messages[:end]))
    assert scanned == [message.content for message in messages]


def test_allowed_classes_are_left_alone():
    """What a policy allows is sent as it is, and not counted."""
    one = redactor().branch(allowed={"email"})
    assert one.redact(f"{EMAIL} {CARD}") == f"{EMAIL} <PAYMENT_CARD_1>"
    assert one.counts == {"payment_card": 1}


def test_where_findings_overlap_nothing_is_left_uncovered():
    """The most harmful class names the whole."""
    one = Redactor(Scanner(declared=["okafor"]))
    assert one.redact(f"to {EMAIL}.") == "to <DECLARED_1>."


def test_counts_are_of_different_values():
    """Twice the same address counts once; what only looks like a placeholder does not count."""
    one = redactor()
    one.redact(f"{EMAIL} {EMAIL} {OTHER_EMAIL} {CARD} <EMAIL_9>")
    assert one.counts == {"payment_card": 1, "email": 2}


def test_a_redactor_shows_and_gives_away_nothing():
    """Printed it shows counts; it is not pickled and not copied."""
    one = redactor()
    one.redact(f"{EMAIL} cust-8812")
    assert repr(one) == str(one) == "Redactor(declared: 1, email: 1)"
    for give_away in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="never pickled"):
            give_away(one)


def test_placeholders_are_the_same_in_every_process():
    """A flow replayed elsewhere sends what it sent before, whatever the hash seed."""
    script = (
        "from airflow_agent_provider.governance.redaction import Redactor\n"
        "from airflow_agent_provider.governance.scanner import Scanner\n"
        "one = Redactor(Scanner(declared=['Ann Lee', 'Bo Li', 'cust-8812']))\n"
        f"print(one.redact('Bo Li cust-8812 Ann Lee {EMAIL} SSN {SSN} password=hunter2! {CARD} <EMAIL_1>'))\n"
        f"print(one.redact('hunter2! {SSN} {OTHER_EMAIL}'))\n"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", script],
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("0", "1", "2")
    }
    first = "<DECLARED_1> <DECLARED_2> <DECLARED_3> <EMAIL_1> SSN <NATIONAL_ID_1> password=<SECRET_1> <PAYMENT_CARD_1>"
    assert outputs == {f"{first} <LITERAL_1>\n<SECRET_1> <NATIONAL_ID_1> <EMAIL_2>\n"}


@pytest.mark.parametrize("unit", ["a@", "1", f"{EMAIL} ", "<EMAIL_1>", "<", f"ssn {SSN} ", "\\"])
def test_a_megabyte_comes_back_whole(unit):
    """Very long texts are redacted and restored like any other."""
    text = (unit * 1_000_000)[:1_000_000]
    one = redactor()
    assert one.restore(one.redact(text)) == text
