import json
from random import Random
from urllib.parse import quote

import identifiers
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_agent_provider.governance.personal_data import DATA_CLASSES
from airflow_agent_provider.governance.scanner import Scanner

SCANNER = Scanner()
CLEAN = {
    "uuid": "550e8400-e29b-41d4-a716-446655440000",
    "timestamps": "2013-01-15T10:00:00.123456Z 2013-01-15 10:00:00,123 15/Jan/2013:10:00:00 20130115 1358244000 1358244000123",
    "prices": "$1,234,567.89 12.50 EUR 1.299,00",
    "fractions": "mean 0.4111111111111111 p 0.00000123456789 3.141592653589793",
    "hashes": "da39a3ee5e6b4b0d3255bfef95601890afd80709 d41d8cd98f00b204e9800998ecf8427e",
    "versions": "version 1.2.3.4, ==1.2.3.4, v10.0.19041.1, Chrome/120.0.0.0, pkg@1.2.3",
    "sql": "SELECT day::date, x::int, count(*) FROM flights WHERE tailnum LIKE '%20%' AND carrier IN ('UA','AA') LIMIT 100",
    "code": "password=get_password() token=token api_key=os.environ['KEY'] @task.react std::vector x[::2] max_tokens=100000",
    "schema": '{"password": {"type": "string"}, "token": "string", "secret_name": "projects/x1", "token_count": 12345678}',
    "flights": "2013,1,1,517,515,2,830,819,11,UA,1545,N14228,EWR,IAH,227,1400,5,15,2013-01-01T10:00:00Z",
    "table": "2013 1 1 517 515 2 830 819 11 UA 1545 N14228 EWR IAH 227 1400 5 15",
    "ids": "order 8846123, run 12345678901234567890, scheduled__2013-01-15T00:00:00+00:00, SUPERVISOR, DISTINCT",
    "hosts": "127.0.0.1:8080 0.0.0.0 ::1 localhost git@github.com:apache/airflow.git https://host:8080/a/b@c",
    "ratio": "51.04 % of 843 rows against 2.61 % of 842; +12.5 -3 +1 2013-01-15 +0100",
}


def found(text, scanner=SCANNER):
    return [(one.data_class, text[one.start : one.end]) for one in scanner.find(text)]


MAKERS = {
    **identifiers.MAKERS,
    "url_password": identifiers.url_password,
    "private_key": identifiers.private_key,
}


@pytest.mark.parametrize("maker", MAKERS.values(), ids=MAKERS)
@given(seed=st.integers(0, 2**32))
def test_every_identifier_is_found_whole(maker, seed):
    """Whatever its kind and writing, all of the value is covered by a finding of its class."""
    identifier = maker(Random(seed))
    text = f"Row 7 has {identifier.named}, as shown."
    start = text.index(identifier.value)
    end = start + len(identifier.value)
    covered = {
        at
        for one in SCANNER.find(text)
        if one.data_class == identifier.data_class
        for at in range(one.start, one.end)
    }
    assert set(range(start, end)) - covered == set(), (identifier, found(text))


@pytest.mark.parametrize("maker", MAKERS.values(), ids=MAKERS)
@given(seed=st.integers(0, 2**32))
def test_findings_end_where_the_value_ends(maker, seed):
    """The words around a value are not taken with it."""
    identifier = maker(Random(seed))
    text = f"Row 7 has {identifier.named}, as shown."
    start = text.index(identifier.value)
    end = start + len(identifier.value)
    assert all(one.start >= start - 1 and one.end <= end + 1 for one in SCANNER.find(text)), found(text)


@pytest.mark.parametrize("text", CLEAN.values(), ids=CLEAN)
def test_what_only_looks_personal_is_left_alone(text):
    """Times, ids, hashes, versions, prices, code and rows of data give no finding."""
    assert found(text) == []


@pytest.mark.parametrize("number", ["44051401359", "111222333", "943 476 5870", "36574261809"])
def test_bare_numbers_need_their_word(number):
    """The same digits are a national id only in a text that names it."""
    assert found(f"shipment {number} arrived") == []


def test_a_column_header_names_the_values_far_below_it():
    """In CSV the word stands once, above all values."""
    rows = [f"{name},{number}" for name, number in [("Jan", "44051401359"), ("Ewa", "02070803628")]]
    text = "\n".join(["name,pesel", *[f"x{n},{n}" for n in range(50)], *rows])
    assert found(text) == [("national_id", "44051401359"), ("national_id", "02070803628")]


TABLES = {
    "csv": 'id,name,phone,password,token_count\n1,"Lee, Bo",612376834,Swordfish9,12345678\n2,C,2001273124,none,14',
    "tsv in json": json.dumps({
        "r": "id\tname\tphone\tpassword\n1\tBo\t612376834\tSwordfish9\n2\tC\t2001273124\t"
    }),
    "markdown": "| Telefon | pwd |\n|---|---|\n| 612376834 | Swordfish9 |\n| 2001273124 | null |\n\n99887766 rows",
    "json columns": '{"columns": ["phone", "secret"], "rows": [["612376834", "Swordfish9"], [2001273124, null]]}',
}


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_a_header_names_what_stands_in_its_column(table):
    """Phone numbers without a plus and passwords are found by their column's name, and nothing else is."""
    assert found(table) == [("phone", "612376834"), ("secret", "Swordfish9"), ("phone", "2001273124")]


@pytest.mark.parametrize(
    ("written", "number"),
    [
        ("4111111111111112", "card with a wrong checksum"),
        ("9111111111111111", "card of no issuer"),
        ("DE89370400440532013001", "IBAN with a wrong checksum"),
        ("RSSMRA85T10A562T", "codice fiscale with a wrong letter"),
        ("000-12-3456", "SSN of area 000"),
        ("300.1.2.3", "part of an address over 255"),
        ("390.533.447-06", "CPF with a wrong checksum"),
    ],
)
def test_a_wrong_checksum_is_no_identifier(written, number):
    """Checksums and ranges are checked, not only the shape."""
    assert found(f"value {written} here") == [], number


FORMS = {
    "json \\u0040": lambda value: value.replace("@", "\\u0040"),
    "json in json": lambda value: value.replace("@", "\\\\u0040"),
    "percent": lambda value: quote(value, safe=""),
    "percent twice": lambda value: quote(quote(value, safe=""), safe=""),
    "entity": lambda value: value.replace("@", "&#64;"),
    "named entity": lambda value: value.replace("@", "&commat;").replace(".", "&period;"),
    "full width": lambda value: "".join(
        chr(ord(sign) + 0xFEE0) if "!" <= sign <= "~" else sign for sign in value
    ),
    "zero width": "\u200b".join,
    "soft hyphens": "\u00ad".join,
    "dashes and no-break spaces": lambda value: value.replace("-", "\u2011").replace(" ", "\u00a0"),
    "arabic digits": lambda value: "".join(
        chr(0x660 + int(sign)) if sign.isdigit() else sign for sign in value
    ),
    "unicode escapes": lambda value: "".join(f"\\u{ord(sign):04x}" for sign in value),
}
VALUES = ["mia.okafor@büro.example", "4111 1111 1111 1111", "219-09-9999", "DE89370400440532013000"]


@pytest.mark.parametrize(
    "around", [" ", "\\n", "\\\\n", '\\"', "'"], ids=["space", "\\n", "\\\\n", "quote", "apostrophe"]
)
@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("value", VALUES)
def test_other_ways_of_writing_are_seen_through(around, form, value):
    """Escapes of JSON, URLs and HTML and other Unicode forms hide nothing, and nothing is left of them."""
    written = form(value)
    text = f"value ={around}{written}{around} end"
    start = len("value =") + len(around)
    covered = {at for one in SCANNER.find(text) for at in range(one.start, one.end)}
    assert set(range(start, start + len(written))) == covered


def test_declared_values_are_found_where_they_stand_alone():
    """Exact values, also with quotes, accents composed or not, in JSON, in URLs and in unspaced scripts."""
    scanner = Scanner(declared=["Zoë Müller", "O'Brien & Sons", "cust-8812", "田中太郎", "+x+", "ab", ""])
    text = (
        json.dumps(["Zoë Müller", "cust-8812"])
        + " Zoe\u0308 Mu\u0308ller, O'Brien & Sons cust-88123 xcust-8812 顧客は田中太郎さん +x+ ab"
    )
    assert [value for _, value in found(text, scanner)] == [
        "Zo\\u00eb M\\u00fcller", "cust-8812", "Zoe\u0308 Mu\u0308ller", "O'Brien & Sons", "田中太郎", "+x+",
    ]  # fmt: skip
    assert [value for _, value in found(f"?q={quote('Zoë Müller')}", scanner)] == [quote("Zoë Müller")]


def test_many_declared_values_cost_no_more_than_one():
    """Values are looked up by their first word: a hundred thousand of them are searched at once."""
    scanner = Scanner(declared=[f"customer {number}" for number in range(100_000)])
    assert found("from customer 4711 to customer 99999.", scanner) == [
        ("declared", "customer 4711"),
        ("declared", "customer 99999"),
    ]


def test_regions_say_which_national_phone_numbers_are_looked_for():
    """A Spanish number without prefix is one for a scanner of Spain only; international ones always are."""
    text = "teléfono: 612 34 56 78"
    assert ("phone", "020 7946 0958") in found("rings at 020 7946 0958 today")
    assert found("rings at 020 7946 0958 today", Scanner(regions=())) == []
    assert ("phone", "+44 20 7946 0958") in found("rings at +44 20 7946 0958 today", Scanner(regions=()))
    assert "612 34 56 78" in [value for _, value in found(text, Scanner(regions=["ES"]))]


def test_a_quoted_password_with_quotes_inside_is_covered_to_its_end():
    """An escaped quotation mark does not end a value, at any level of JSON."""
    password = 'pa"sswo"rd1'
    once = json.dumps({"password": password})
    covered = max(one.end for one in SCANNER.find(once))
    assert once[covered:] == '"}'


def test_the_scanner_never_shows_what_it_looks_for():
    """Neither the printed scanner nor a printed finding holds a value."""
    scanner = Scanner(declared=["Zoë Müller"])
    assert "Zoë" not in f"{scanner} {scanner!r} {scanner.find('by Zoë Müller')}"


def test_classes_are_those_that_are_documented():
    """Every class has makers here, or a test of its own."""
    assert set(DATA_CLASSES) == {*identifiers.MAKERS, "declared"}


HOSTILE = (
    "a@", "1", "1 ", "1-", "a.", "b@c.", "b@c.de.", "eyJ", "eyJaaaaaaaa.", "sk-", "\\", '\\"', "%25", "&#", "token=", "password: ",
    "://a:", "-----BEGIN PRIVATE KEY-----", "bearer ", "A1", "ab12 ", ":", "::1:", "abcd:", "1.", "+1 ", "<EMAIL_", "\u200b", "\uff11",
    "ssn 12345678 ", "501846740030 ", "card 501846740030 ", "phone,a\n", '"columns": ["phone","b"] ', "Zoë Müller ", "Zoë ", "phone 5550199 ", 'password="\\', "数", "é", "deadbeef",
)  # fmt: skip


@pytest.mark.parametrize("unit", HOSTILE)
def test_hostile_repetition_is_gone_through(unit):
    """
    No repetition makes a search run away; all findings stay inside the text.

    Quadratic cost would make this take hours; ``benchmarks/redaction.py`` measures that it is linear.
    """
    text = (unit * 50_000)[:50_000]
    scanner = Scanner(declared=["Zoë Müller", *(f"Zoë {number}" for number in range(1_000))])
    assert all(0 <= one.start < one.end <= len(text) for one in scanner.find(text))


def test_many_values_without_a_space_between_them_are_all_found():
    """More than there are rounds of looking again."""
    text = "mia.okafor@example.org4111 1111 1111 1111" + "+1 415 555 2671" * 20
    covered = [False] * len(text)
    for finding in Scanner().find(text):
        covered[finding.start : finding.end] = [True] * (finding.end - finding.start)
    assert all(hidden for hidden, character in zip(covered, text, strict=True) if character.isdigit())
