"""
National identification numbers, checked by python-stdnum (https://arthurdejong.org/python-stdnum/).

Each number has up to two shapes. A *distinct* shape, telling by its letters or its
printed groups, is looked for everywhere; a *bare* one, such as nine digits, only in
a text where one of the number's words occurs anywhere, since the word may be a
column header far above the value. Both must pass the number's own checksum, where
it has one: the US SSN and the UK NINO have none.

Left out because neither shape nor checksum tells them from other numbers: passport
and driving licence numbers, the Argentine DNI, the US EIN.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib import import_module

from airflow_agent_provider.governance.personal_data import Finding
from airflow_agent_provider.governance.reading import WORD, Reading


@dataclass(frozen=True, slots=True)
class NationalId:
    """
    One country's number.

    :param module: python-stdnum's module that checks it; empty when the shape is all there is.
    :param distinct: regular expression of the form that tells by itself; empty for none.
    :param bare: regular expression of the form that counts beside one of the words.
    :param words: words that go with the number, in small letters; a space stands for a dash,
        an underscore or nothing too.
    """

    name: str
    module: str
    distinct: str
    bare: str
    words: tuple[str, ...]


def _row(name: str, module: str, distinct: str, bare: str, words: str) -> NationalId:
    return NationalId(name, module, distinct, bare, tuple(words.split("|")))


NINE = r"[0-9]{3}[ .-]?[0-9]{3}[ .-]?[0-9]{3}"
TEN = r"[0-9]{3}[ .-]?[0-9]{3}[ .-]?[0-9]{4}|[0-9]{6}[ ./+-]?[0-9]{4}|[0-9]{4}[ -]?[0-9]{6}"
ELEVEN = r"[0-9]{2}[ .-]?[0-9]{3}[ .-]?[0-9]{3}[ .-]?[0-9]{3}|[0-9]{6}[ .-]?[0-9]{5}|[0-9]{11}"
CODICE = r"[A-Z]{3} ?[A-Z]{3} ?[0-9L-NP-V]{2}[A-EHLMPR-T][0-9L-NP-V]{2} ?[A-Z][0-9L-NP-V]{3} ?[A-Z]"
NINO = r"(?!BG|GB|NK|KN|TN|NT|ZZ)[A-CEGHJ-TW-Z][A-CEGHJ-NP-TW-Z](?:[ -]?[0-9]{2}){3}[ -]?[A-D]"
NIR = r"[12378] ?[0-9]{2} ?(?:0[1-9]|1[0-2]|[2-9][0-9]) ?[0-9][0-9AB] ?[0-9]{3} ?[0-9]{3} ?[0-9]{2}"
NIE = r"[XYZ][ -]?[0-9]{7}[ -]?[A-Z]"
NO_DATE = r"(?!(?:19|20)[0-9]{2}(?:0[1-9]|1[0-2])[0-3][0-9])"

NATIONAL_IDS = (
    _row("at_vnr", "at.vnr", "", TEN, "svnr|sv nummer|sozialversicherungsnummer|versicherungsnummer"),
    _row("au_tfn", "au.tfn", "", NINE, "tfn|tax file"),
    _row(
        "be_nn", "be.nn", r"[0-9]{2}\.[0-9]{2}\.[0-9]{2}-[0-9]{3}\.[0-9]{2}",
        r"[0-9]{2}[ .]?[0-9]{2}[ .]?[0-9]{2}[ -]?[0-9]{3}[ .]?[0-9]{2}",
        "rijksregister|rijksregisternummer|registre national|numéro national|nationaal nummer"
        "|national number|niss|insz",
    ),
    _row("bg_egn", "bg.egn", "", TEN, "egn|егн|единен граждански"),
    _row(
        "br_cpf", "br.cpf", r"[0-9]{3}\.[0-9]{3}\.[0-9]{3}-[0-9]{2}",
        r"[0-9]{3}[ .]?[0-9]{3}[ .]?[0-9]{3}[ -]?[0-9]{2}", "cpf",
    ),
    _row("ca_sin", "ca.sin", "", NINE, "sin|nas|social insurance|assurance sociale"),
    _row("ch_ahv", "ch.ssn", r"756[. ]?[0-9]{4}[. ]?[0-9]{4}[. ]?[0-9]{2}", "", "ahv"),
    _row(
        "cl_rut", "cl.rut", r"[0-9]{1,2}\.[0-9]{3}\.[0-9]{3}-[0-9K]", r"[0-9]{7,8}-?[0-9K]", "rut|rol único",
    ),
    _row("cn_ric", "cn.ric", r"[1-8][0-9]{5}(?:19|20)[0-9]{9}[0-9X]", "", "身份证"),
    _row("cz_rc", "cz.rc", "", r"[0-9]{6}/?[0-9]{3,4}", "rodné číslo|rodne cislo|birth number"),
    _row(
        "de_idnr", "de.idnr", "", ELEVEN,
        "steuerid|steuer id|steueridentifikationsnummer|identifikationsnummer|idnr|tin|tax id"
        "|tax identification",
    ),
    _row("dk_cpr", "dk.cpr", "", TEN, "cpr|personnummer"),
    _row("ee_ik", "ee.ik", "", ELEVEN, "isikukood"),
    _row(
        "es_dni", "es.dni", NO_DATE + r"[0-9]{8}-?[A-Z]", r"[0-9]{8}[ -]?[A-Z]", "dni|nif|documento nacional",
    ),
    _row("es_nie", "es.nie", NIE, NIE, "nie|nif|extranjero"),
    _row("fi_hetu", "fi.hetu", r"[0-9]{6}[-+A-FU-Y][0-9]{3}[0-9A-FHJ-NPR-Y]", "", "hetu"),
    _row("fr_nir", "fr.nir", NIR, NIR, "nir|sécurité sociale|securite sociale|insee|sécu"),
    _row("gb_nhs", "gb.nhs", "", TEN, "nhs|national health"),
    _row("gb_nino", "", NINO, r"[A-Z]{2}(?:[ -]?[0-9]{2}){3}[ -]?[A-Z]", "nino|national insurance"),
    _row("gr_amka", "gr.amka", "", ELEVEN, "amka|αμκα"),
    _row("hr_oib", "hr.oib", "", ELEVEN, "oib"),
    _row("ie_pps", "ie.pps", "", r"[0-9]{7}[A-W][ABWTXZ]?", "pps|ppsn|personal public service"),
    _row("il_idnr", "il.idnr", "", r"[0-9]{8}-?[0-9]", "teudat|israeli id|תעודת זהות"),
    _row("in_aadhaar", "in_.aadhaar", "", r"[2-9][0-9]{3}[ -]?[0-9]{4}[ -]?[0-9]{4}", "aadhaar|aadhar|uidai"),
    _row("in_pan", "in_.pan", "", r"[A-Z]{3}[ABCFGHJLPT][A-Z][0-9]{4}[A-Z]", "pan|permanent account"),
    _row(
        "it_codicefiscale", "it.codicefiscale", CODICE, CODICE,
        "codice fiscale|codicefiscale|cod. fisc",
    ),
    _row("kr_rrn", "kr.rrn", "", r"[0-9]{6}-?[0-9]{7}", "rrn|resident registration|주민등록"),
    _row("lt_asmens", "lt.asmens", "", ELEVEN, "asmens kodas"),
    _row("mx_curp", "mx.curp", r"[A-Z]{4}[0-9]{6}[HM][A-Z]{5}[0-9A-Z][0-9]", "", "curp"),
    _row(
        "nl_bsn", "nl.bsn", "", NINE + r"|[0-9]{4}\.[0-9]{2}\.[0-9]{3}", "bsn|burgerservicenummer|sofinummer",
    ),
    _row("no_fodselsnummer", "no.fodselsnummer", "", ELEVEN, "fødselsnummer|fodselsnummer|personnummer|fnr"),
    _row("pl_pesel", "pl.pesel", "", ELEVEN, "pesel"),
    _row("pt_nif", "pt.nif", "", NINE, "nif|contribuinte"),
    _row("ro_cnp", "ro.cnp", "", r"[1-9][0-9]{12}", "cnp|cod numeric"),
    _row(
        "se_personnummer", "se.personnummer", "", r"(?:19|20)?[0-9]{6}[-+]?[0-9]{4}",
        "personnummer|personnr|samordningsnummer",
    ),
    _row("tr_tckimlik", "tr.tckimlik", "", ELEVEN, "kimlik|tckn"),
    _row(
        "us_ssn", "", r"(?!000)[0-9]{3}-[0-9]{2}-[0-9]{4}", r"(?!000)[0-9]{3}[ .-]?[0-9]{2}[ .-]?[0-9]{4}",
        "ssn|social security|itin|tax id|taxpayer",
    ),
    _row(
        "za_idnr", "za.idnr", "", r"[0-9]{6}[ -]?[0-9]{4}[ -]?[0-9]{3}",
        "south african id|sa id|identity number|id number",
    ),
)  # fmt: skip
BY_NAME = {number.name: number for number in NATIONAL_IDS}
# Look-aheads, so that digits which are no number do not hide one that starts among them.
BOUNDED = r"(?<![0-9A-Za-z])(?<![0-9]\.)(?=(?:{})(?![0-9A-Za-z]|\.[0-9]))"
LETTERS_FIRST = {"es_nie", "gb_nino", "it_codicefiscale", "mx_curp"}
# Cheap hints: whether a shape that has letters may be there; whether one of digits may be.
LETTERS_HINT = re.compile(
    r"[A-Z](?:(?<![0-9A-Za-z].)"
    r"[A-Z](?:[ -]?[0-9]{2}[ -]?[0-9]{2}|[A-Z] ?[A-Z]{3} ?[0-9L-V]{2}[A-T][0-9L-V]{2}|[A-Z]{2}[0-9]{2})"
    r"|(?<=[XYZ])[ -]?[0-9]{7}|(?<=2[AB]) ?[0-9]{3}|(?<=[0-9]{6}.)[0-9]{3}[0-9A-Y])"
)
DIGITS_HINT = re.compile(
    r"[0-9]{8}|[0-9][-+.A]|[0-9]{2} [0-9]{2} [0-9]{2} [0-9]{3} |756 [0-9]{4} [0-9]{4} [0-9]{2}"
)
MIN_DIGITS = 8
# Bare shapes that may have fewer digits than a run has, and what their words have in common.
FEW_DIGITS = {"gb_nino", "in_pan", "it_codicefiscale"}
FEW_DIGITS_HINTS = ("nino", "national", "permanent", "codice", "cod. fis")
PAN = re.compile(r"pan(?<![a-z]pan)(?![a-z])")
PHRASES = [(phrase, number) for number in NATIONAL_IDS if number.bare for phrase in number.words]


def national_ids(reading: Reading) -> Iterator[Finding]:
    """Find national identification numbers."""
    text = reading.plain
    for run in reading.digit_runs:
        if run.digits >= MIN_DIGITS and DIGITS_HINT.search(text, run.start, run.end + 1):
            yield from _found(text, _digits_first(), run.start, run.end + 2)
    if LETTERS_HINT.search(text):
        yield from _found(text, _with_letters(), 0, len(text))
    if reading.digit_runs or _may_name_few_digits(reading.lower):
        for number in _spoken_of(reading):
            if reading.digit_runs or number.name in FEW_DIGITS:
                yield from _found(text, _bare(number), 0, len(text), contextual=True)


def _may_name_few_digits(lower: str) -> bool:
    return any(hint in lower for hint in FEW_DIGITS_HINTS) or PAN.search(lower) is not None


def _found(
    text: str, shapes: re.Pattern[str], start: int, end: int, *, contextual: bool = False
) -> Iterator[Finding]:
    for match in shapes.finditer(text, start, end):
        for name, written in match.groupdict().items():
            if written is not None and _valid(BY_NAME[name], written):
                yield Finding(*match.span(name), "national_id", f"national_id:{name}", contextual=contextual)


def _valid(number: NationalId, written: str) -> bool:
    if not number.module:
        return True
    module = import_module(f"stdnum.{number.module}")
    # Some modules want their own separators, others none.
    return bool(module.is_valid(written.upper()) or module.is_valid(re.sub(r"[ ./-]", "", written).upper()))


def _spoken_of(reading: Reading) -> list[NationalId]:
    by_word = _phrases_by_first_word()
    phrases = [pair for word in by_word.keys() & reading.words for pair in by_word[word]]
    names = {
        number.name
        for phrase, number in phrases
        if " " not in phrase or re.search(phrase.replace(" ", "[ _-]?"), reading.lower)
    }
    return [BY_NAME[name] for name in sorted(names)]


@cache
def _phrases_by_first_word() -> dict[str, list[tuple[str, NationalId]]]:
    index: dict[str, list[tuple[str, NationalId]]] = {}
    for phrase, number in PHRASES:
        index.setdefault(WORD.findall(phrase)[0], []).append((phrase, number))
    return index


def _shapes(names: Iterable[str]) -> re.Pattern[str]:
    shapes = [f"(?P<{name}>{BY_NAME[name].distinct})" for name in names if BY_NAME[name].distinct]
    return re.compile(BOUNDED.format("|".join(shapes)))


@cache
def _digits_first() -> re.Pattern[str]:
    return _shapes(name for name in BY_NAME if name not in LETTERS_FIRST)


@cache
def _with_letters() -> re.Pattern[str]:
    # A French number from Corsica and a Finnish one of this century have a letter amid their digits.
    return _shapes([*sorted(LETTERS_FIRST), "fr_nir", "fi_hetu"])


@cache
def _bare(number: NationalId) -> re.Pattern[str]:
    return re.compile(BOUNDED.format(f"(?P<{number.name}>{number.bare})"), re.IGNORECASE)
