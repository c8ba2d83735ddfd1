"""
Seeded personal data of every class, valid by checksum and in many ways of writing.

The checksums of cards and IBANs are computed here; national numbers are drawn until
python-stdnum calls them valid. Nobody's: all of it is drawn at random.
"""

from __future__ import annotations

import string
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from random import Random

DIGITS, CAPITALS, ALNUM = string.digits, string.ascii_uppercase, string.ascii_letters + string.digits


@dataclass(frozen=True)
class Identifier:
    """
    One value as it is written.

    :param word: what a text must say beside it, or in a column's header; empty when it tells by itself.
    :param before: what stands directly before it, part of the field but not of the value.
    """

    data_class: str
    kind: str
    value: str
    word: str = ""
    before: str = ""
    behind: str = ""

    @property
    def field(self) -> str:
        return f"{self.before}{self.value}{self.behind}"

    @property
    def named(self) -> str:
        return f"{self.word}: {self.field}" if self.word else self.field


@dataclass(frozen=True)
class National:
    """A national number: digits are ``#``, letters ``@``, a date ``YMD``; then its ways of writing."""

    kind: str
    module: str
    pattern: str
    writings: tuple[str, ...]
    word: str


NATIONALS = (
    National("at_vnr", "at.vnr", "####DMY", ("4 6", "10"), "Sozialversicherungsnummer"),
    National("au_tfn", "au.tfn", "#########", ("3 3 3", "9"), "tax file number"),
    National("be_nn", "be.nn", "YMD#####", ("2.2.2-3.2",), ""),
    National(
        "be_nn", "be.nn", "YMD#####", ("11", "6-5", "2 2 2 3 2"), "rijksregisternummer / registre national"
    ),
    National("bg_egn", "bg.egn", "YMD####", ("10",), "EGN"),
    National("br_cpf", "br.cpf", "###########", ("3.3.3-2",), ""),
    National("br_cpf", "br.cpf", "###########", ("11",), "cpf"),
    National("ca_sin", "ca.sin", "#########", ("3 3 3", "3-3-3", "9"), "social insurance number"),
    National("ch_ahv", "ch.ssn", "756##########", ("3.4.4.2", "13"), ""),
    National("cl_rut", "cl.rut", "########@", ("2.3.3-1",), ""),
    National("cn_ric", "cn.ric", "11010119YMD###@", ("18",), ""),
    National("cz_rc", "cz.rc", "YMD####", ("6/4", "10"), "rodné číslo"),
    National("de_idnr", "de.idnr", "###########", ("2 3 3 3", "11"), "Steuer-ID"),
    National("dk_cpr", "dk.cpr", "DMY####", ("6-4", "10"), "CPR"),
    National("ee_ik", "ee.ik", "3YMD####", ("11",), "isikukood"),
    National("es_dni", "es.dni", "########@", ("9", "8-1"), ""),
    National("es_dni", "es.dni", "########@", ("8 1",), "DNI"),
    National("es_nie", "es.nie", "X#######@", ("9", "1-7-1"), ""),
    National("fi_hetu", "fi.hetu", "DMY-####", ("11",), ""),
    National("fr_nir", "fr.nir", "2YM##########", ("1 2 2 2 3 3 2", "15", "13 2"), ""),
    National("gb_nhs", "gb.nhs", "##########", ("3 3 4", "3-3-4", "10"), "NHS number"),
    National("gr_amka", "gr.amka", "DMY#####", ("11",), "AMKA"),
    National("hr_oib", "hr.oib", "###########", ("11",), "OIB"),
    National("ie_pps", "ie.pps", "#######@", ("8",), "PPS number"),
    National("il_idnr", "il.idnr", "#########", ("9", "8-1"), "teudat zehut"),
    National("in_aadhaar", "in_.aadhaar", "############", ("4 4 4", "12", "4-4-4"), "aadhaar"),
    National("in_pan", "in_.pan", "@@@P@####@", ("10",), "PAN"),
    National("it_codicefiscale", "it.codicefiscale", "@@@@@@##A##@###@", ("16",), ""),
    National("kr_rrn", "kr.rrn", "YMD1######", ("6-7", "13"), "resident registration number"),
    National("lt_asmens", "lt.asmens", "3YMD####", ("11",), "asmens kodas"),
    National("mx_curp", "mx.curp", "BOXWYMDHNERXN##", ("18",), ""),
    National("nl_bsn", "nl.bsn", "#########", ("9", "4.2.3", "3 3 3"), "BSN"),
    National("no_fodselsnummer", "no.fodselsnummer", "DMY#####", ("6 5", "11"), "fødselsnummer"),
    National("pl_pesel", "pl.pesel", "YMD#####", ("11",), "PESEL"),
    National("pt_nif", "pt.nif", "#########", ("9", "3 3 3"), "NIF"),
    National("ro_cnp", "ro.cnp", "1YMD######", ("13",), "CNP"),
    National("se_personnummer", "se.personnummer", "YMD-####", ("11",), "personnummer"),
    National("tr_tckimlik", "tr.tckimlik", "###########", ("11",), "TC kimlik no"),
    National("za_idnr", "za.idnr", "YMD#######", ("13", "6 4 3"), "South African ID"),
)


def _drawn(random: Random, pattern: str) -> str:
    fill: dict[str, Callable[[], str]] = {
        "#": lambda: random.choice(DIGITS),
        "@": lambda: random.choice(CAPITALS),
        "Y": lambda: f"{random.randint(50, 99)}",
        "M": lambda: f"{random.randint(1, 12):02}",
        "D": lambda: f"{random.randint(1, 28):02}",
    }
    dated = "YM" in pattern or "MY" in pattern
    return "".join(
        fill[sign]() if sign in fill and (dated or sign not in "YMD") else sign for sign in pattern
    )


def _grouped(number: str, writing: str) -> str:
    """Write a number in groups: ``3-3-4``."""
    out, at, size = [], 0, ""
    for sign in f"{writing}\0":
        if sign.isdigit():
            size += sign
            continue
        out += (number[at : at + int(size)], sign)
        at, size = at + int(size), ""
    return "".join(out[:-1])


def national_id(random: Random, spec: National) -> Identifier:
    check = import_module(f"stdnum.{spec.module}").is_valid
    while not check(number := _drawn(random, spec.pattern)):
        pass
    return Identifier("national_id", spec.kind, _grouped(number, random.choice(spec.writings)), spec.word)


def us_ssn(random: Random) -> Identifier:
    area = random.choice([*range(1, 666), *range(667, 900)])
    number = f"{area:03}{random.randint(1, 99):02}{random.randint(1, 9999):04}"
    writing = random.choice(("3-2-4", "3 2 4", "9", "3.2.4"))
    word = "" if writing == "3-2-4" else random.choice(("SSN", "social security number"))
    return Identifier("national_id", "us_ssn", _grouped(number, writing), word)


def gb_nino(random: Random) -> Identifier:
    letters = random.choice(("AB", "CE", "JG", "PX", "SR", "WY"))
    number = f"{letters}{random.randint(0, 999999):06}{random.choice('ABCD')}"
    return Identifier("national_id", "gb_nino", _grouped(number, random.choice(("9", "2 2 2 2 1"))))


def luhn_digit(number: str) -> str:
    """Give the digit that makes a number pass the Luhn checksum."""
    total = 0
    for place, sign in enumerate(reversed(number)):
        doubled = int(sign) * (2 if place % 2 == 0 else 1)
        total += doubled - 9 if doubled > 9 else doubled
    return str(-total % 10)


CARDS = (
    (("4",), 16), (("51", "53", "55", "2221", "2720", "2500"), 16), (("34", "37"), 15), (("36", "38", "300", "305"), 14),
    (("6011", "644", "65"), 16), (("3528", "3589"), 16), (("620", "625"), 16), (("4",), 19),
)  # fmt: skip


def payment_card(random: Random) -> Identifier:
    prefixes, length = random.choice(CARDS)
    number = random.choice(prefixes)
    number += "".join(random.choices(DIGITS, k=length - len(number) - 1))
    number += luhn_digit(number)
    groups = {14: "4{0}6{0}4", 15: "4{0}6{0}5", 16: "4{0}4{0}4{0}4", 19: "4{0}4{0}4{0}4{0}3"}[length]
    writing = random.choice((str(length), *(groups.format(sign) for sign in " -.")))
    return Identifier("payment_card", f"card{length}", _grouped(number, writing))


IBANS = {
    "DE": "#" * 18, "GB": "@@@@" + "#" * 14, "FR": "#" * 10 + "@" + "#" * 12, "NL": "@@@@" + "#" * 10, "ES": "#" * 20,
    "IT": "@" + "#" * 22, "BE": "#" * 12, "PL": "#" * 24, "NO": "#" * 11, "MT": "@@@@" + "#" * 5 + "@" * 18, "SE": "#" * 20,
    "CH": "#" * 17, "AE": "#" * 19, "BR": "#" * 23 + "P1", "SA": "#" * 20,
}  # fmt: skip


def iban(random: Random) -> Identifier:
    country = random.choice(list(IBANS))
    account = _drawn(random, IBANS[country])
    as_number = "".join(str(int(sign, 36)) for sign in f"{account}{country}00")
    number = f"{country}{98 - int(as_number) % 97:02}{account}"
    grouped = " ".join(number[at : at + 4] for at in range(0, len(number), 4))
    return Identifier(
        "iban", country, random.choice((number, grouped, grouped.replace(" ", "-"), number.lower()))
    )


FIRST = "alice bob carlos dagmar émile fatima giulia hiroshi ivan jürgen kofi lena mia noor olu pia".split()
DOMAINS = "example.org example.com mail.example.net example.co.uk firma.example büro.example a-b.example.info".split()


def email(random: Random) -> Identifier:
    local = random.choice((
        "{0}.{1}{2}",
        "{0}_{1}{2}",
        "{0}{2}",
        "{0}+{1}{2}",
        "{0}-{1}.{2}",
        "{0}%{1}{2}",
        "o'{0}.{1}{2}",
    )).format(
        random.choice(FIRST), "".join(random.choices(string.ascii_lowercase, k=6)), random.randint(1000, 9999)
    )
    address = f"{local}@{random.choice(DOMAINS)}"
    return Identifier("email", "email", random.choice((address, address, address.upper(), address.title())))


PHONE_REGIONS = ("US", "GB", "DE", "FR")
ABROAD = ("ES", "IT", "NL", "PL", "SE", "BR", "IN", "JP", "AU", "ZA", "MX", "KE", "CH", "AT")


def phone(random: Random) -> Identifier:
    import phonenumbers

    region = random.choice((*PHONE_REGIONS, *ABROAD))
    kind = random.choice((phonenumbers.PhoneNumberType.MOBILE, phonenumbers.PhoneNumberType.FIXED_LINE))
    example = phonenumbers.example_number_for_type(region, kind)
    number = example
    while number == example or not phonenumbers.is_valid_number(number):
        national = str(example.national_number)
        national = national[:-5] + "".join(random.choices(DIGITS, k=5))
        number = phonenumbers.PhoneNumber(
            example.country_code, int(national), italian_leading_zero=example.italian_leading_zero
        )
    formats = phonenumbers.PhoneNumberFormat
    international = phonenumbers.format_number(number, formats.INTERNATIONAL)
    domestic = phonenumbers.format_number(number, formats.NATIONAL)
    writings = [
        (international, ""),
        (international.replace(" ", "-"), ""),
        (international.replace(" ", "."), ""),
        (phonenumbers.format_number(number, formats.E164), ""),
        (international.replace("+", "00", 1), ""),
        (domestic, "phone"),
        ("".join(filter(str.isdigit, domestic)), random.choice(("mobile", "Tel", "phone_number", "Telefon"))),
    ]
    if region == "US":
        writings += [
            (domestic, ""),
            (domestic.replace("(", "").replace(") ", "-"), ""),
            (f"1-{domestic[1:4]}-{domestic[6:]}", ""),
        ]
    elif region in PHONE_REGIONS and sum(map(str.isdigit, domestic)) >= 9 and " " in domestic:
        writings += [(domestic, "")]
    return Identifier("phone", region, *random.choice(writings))


def ip_address(random: Random) -> Identifier:
    if random.random() < 0.6:
        first = random.choice([*range(1, 127), *range(128, 224)])
        return Identifier("ip_address", "v4", ".".join(map(str, (first, *random.choices(range(256), k=3)))))
    groups = ["2001", *(f"{random.randrange(0x1000, 0x10000):x}" for _ in range(7))]
    short = f"2001:db8:{groups[3]}::{groups[4]}:{groups[5]}"
    full = ":".join(groups)
    return Identifier(
        "ip_address", "v6", random.choice((short, full, full.upper(), f"fe80::{groups[5]}:{groups[6]}"))
    )


def secret(random: Random) -> Identifier:
    def drawn(signs: str, k: int) -> str:
        return "".join(random.choices(signs, k=k))

    urlsafe = ALNUM + "-_"
    kind, value, word = random.choice((
        ("aws", "AKIA" + drawn(CAPITALS + "234567", 16), ""),
        ("aws_secret", drawn(ALNUM + "/+", 38) + "a1", "aws_secret_access_key"),
        ("github", "ghp_" + drawn(ALNUM, 36), ""),
        ("github", "github_pat_" + drawn(ALNUM, 22) + "_" + drawn(ALNUM, 59), ""),
        ("slack", f"xoxb-{random.randrange(10**11, 10**12)}-{drawn(ALNUM, 24)}", ""),
        ("openai", "sk-proj-" + drawn(urlsafe, 47) + "1", ""),
        ("anthropic", "sk-ant-api03-" + drawn(urlsafe, 92) + "7", ""),
        ("google", "AIza" + drawn(ALNUM, 35), ""),
        ("stripe", "sk_live_" + drawn(ALNUM, 24), ""),
        ("gitlab", "glpat-" + drawn(ALNUM, 20), ""),
        ("huggingface", "hf_" + drawn(ALNUM, 34), ""),
        ("jwt", f"eyJ{drawn(urlsafe, 30)}.eyJ{drawn(urlsafe, 60)}.{drawn(urlsafe, 42)}a", ""),
        ("bearer", drawn(ALNUM, 32) + "9", "Authorization"),
        ("password", drawn(ALNUM, 9) + drawn(DIGITS, 1) + drawn("!#*", 1) + drawn(ALNUM, 2), "password"),
        ("api_key", drawn(ALNUM, 30) + "x7", "api_key"),
    ))  # fmt: skip
    return Identifier("secret", kind, value, word, "Bearer " if kind == "bearer" else "")


def url_password(random: Random) -> Identifier:
    value = "".join(random.choices(ALNUM + "!$*", k=14))
    return Identifier("secret", "url", value, "", "postgresql://loader:", "@db.example.com:5432/flights")


def private_key(random: Random) -> Identifier:
    lines = ["".join(random.choices(ALNUM + "+/", k=64)) for _ in range(6)]
    kind = random.choice(("RSA ", "EC ", "OPENSSH ", ""))
    body = "\n".join(lines)
    return Identifier(
        "secret", "private_key", f"-----BEGIN {kind}PRIVATE KEY-----\n{body}\n-----END {kind}PRIVATE KEY-----"
    )


def any_national(random: Random) -> Identifier:
    return random.choice((
        *(lambda random, spec=spec: national_id(random, spec) for spec in NATIONALS),
        us_ssn,
        gb_nino,
    ))(random)


MAKERS = {
    "email": email,
    "phone": phone,
    "payment_card": payment_card,
    "iban": iban,
    "national_id": any_national,
    "ip_address": ip_address,
    "secret": secret,
}
