"""
E-mail addresses, phone numbers and IP addresses.

Phone numbers are judged by libphonenumber's metadata
(https://github.com/google/libphonenumber, Python port ``phonenumbers``). It is
asked about a few candidates only: most digits in a prompt are data, and asking
about each would cost more than the model call's own overhead.

==================================  ===========================================
written                             taken for a phone number
==================================  ===========================================
``+`` and 7 to 15 digits            when possible for its country
``00`` and 9 digits or more         when valid for its country
within 24 characters of a word      always, from 7 digits on
such as "phone", "tel", "móvil"
elsewhere in a text with such a     when valid in one of the regions, or 9 to 13
word                                digits in two to six groups and no date
``(212) 555-0123``, ``212-555-``    when one of the regions is in the
``0123`` without any such word      North American plan
``030 1234567``, ``06 12 34 ...``   when separated, no date and valid in one of
without any such word               the regions
==================================  ===========================================
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from airflow_agent_provider.governance.personal_data import Finding
from airflow_agent_provider.governance.reading import Reading, Run

# From the @ in both directions and never further than an address can reach: linear on any input.
DOMAIN = re.compile(r"@(?:(?:\w(?:[\w-]{0,61}\w)?\.){1,8}[^\W\d_]{2,24}|\[[0-9A-Fa-f:.]{2,39}\])")
URL_USER_BEFORE = re.compile(r"://[^\s/:@\"'<>]{0,128}:[^\s/\"'<>]{0,24}$")
LOCAL_BACKWARDS = re.compile(r"[\w.+%'-]{1,64}")
IPV4 = re.compile(r"[0-9](?<![\w.].)[0-9]{0,2}(?:\.[0-9]{1,3}){3}(?!\w|\.[0-9])")
IPV6_HINT = re.compile(r":(?:(?<=[0-9A-Fa-f]:):|:[0-9A-Fa-f]|(?:[0-9A-Fa-f]{1,4}:){3})")
# All eight groups, or a start as addresses in use have: other shortened forms are slices and casts too.
IPV6 = re.compile(
    r"(?<![\w:.])(?:(?:[0-9A-Fa-f]{1,4}:){7}[0-9A-Fa-f]{1,4}(?![\w:])"
    r"|(?:[0-9A-Fa-f]{4}|::[fF]{4}):[0-9A-Fa-f:.]{1,40})"
)
VERSION_BEFORE = re.compile(
    r"(?:version|release|build|driver|(?:chrome|edg[ea]?|opr|safari|firefox)/|[=<>~]=|\bv)[\s\"'=:]{0,3}$"
)

PHONE_WORDS = frozenset(
    "phone phones telephone telefon telefono teléfono telefone téléphone telefoon telefonnummer fon tel fax"
    " telefax mobile mobil mobilnummer cellphone cellular cellulare celular móvil movil gsm sms handy"
    " handynummer whatsapp msisdn puhelin телефон".split()
)
PHONE_WORD = re.compile(
    rf"(?<![^\W\d_])(?:{'|'.join(sorted(PHONE_WORDS, key=len, reverse=True))})(?![^\W\d_])", re.IGNORECASE
)
# Digits with a sign among them, or a number that starts with zero.
NATIONAL_HINT = re.compile(r"[-.)]|(?<![0-9])0[0-9]")
MIN_UNNAMED_DIGITS = 9
MAX_GROUPED_DIGITS = 13
GROUPED = re.compile(r"(?![0-9]{1,3}(?:\.[0-9]{1,3}){3}$)[0-9]{2,5}(?:[ \-./()]{1,2}[0-9]{2,8}){1,5}")
NORTH_AMERICA = {"US", "CA", "PR", "DO", "JM", "BS", "BB", "TT", "AG"}
INTERNATIONAL = re.compile(r"\+(?<![0-9A-Za-z_+]\+) ?\(?[0-9](?:[ \-./()]{0,3}[0-9]){6,18}+(?![0-9])")
DOUBLE_ZERO = re.compile(
    r"(?<![0-9A-Za-z_.\-/])00(?=[1-9])[0-9](?:[ \-./()]{0,3}[0-9]){7,13}+(?![0-9A-Za-z_])"
)
NORTH_AMERICAN = re.compile(
    r"(?<![0-9A-Za-z_.\-/])(?:(?:00)?1[-. ])?(?:\([2-9][0-9]{2}\) ?|[2-9][0-9]{2}[-.])"
    r"[2-9][0-9]{2}[-. ][0-9]{4}"
    r"(?![0-9A-WYZa-wyz_]|[-./][0-9])"
)
TRUNK = re.compile(
    r"(?<![0-9A-Za-z_.\-/])\(?0[1-9][0-9]{0,4}\)?(?:[ \-./()]{1,3}[0-9]{2,8}){1,5}+(?![0-9A-Za-z_])"
)
EXTENSION = re.compile(
    r"[ ,;]{0,2}(?:x|ext\.?|extension|#)[ .:]{0,2}[0-9]{1,6}(?![0-9A-Za-z])", re.IGNORECASE
)
DATE = re.compile(
    r"[0-9]{1,2}([./-])[0-9]{1,2}\1(?:[0-9]{4}|[0-9]{2})(?![0-9])|(?:19|20)[0-9]{2}[./-][0-9]{2}[./-][0-9]{2}"
)
NUMBER = re.compile(r"[^0-9\n\0,;{}]{0,24}?(\(?[0-9](?:[ \-./()]{0,3}[0-9]){6,14}+)(?![0-9])")


def emails(reading: Reading) -> Iterator[Finding]:
    """Find e-mail addresses."""
    text = reading.plain
    if "@" not in text:
        return
    for match in DOMAIN.finditer(text):
        backwards = LOCAL_BACKWARDS.match(text[max(0, match.start() - 64) : match.start()][::-1])
        local = backwards[0][::-1].lstrip("'%.-+") if backwards else ""
        start = match.start() - len(local)
        # git@host:owner/name is the address of a repository, scheme://user:local@host a password's.
        repository = local == "git" and text.startswith(("/", ":"), match.end())
        if local and not repository and not URL_USER_BEFORE.search(text, max(0, start - 160), start):
            yield Finding(start, match.end(), "email", "email")


def ip_addresses(reading: Reading) -> Iterator[Finding]:
    """Find IPv4 and IPv6 addresses that belong to someone; version numbers with four parts are none."""
    text = reading.plain
    if "." in text:
        for match in IPV4.finditer(text):
            before = reading.lower[max(0, match.start() - 12) : match.start()]
            if _is_address(match[0]) and not VERSION_BEFORE.search(before):
                yield Finding(match.start(), match.end(), "ip_address", "ip_address:v4")
    if IPV6_HINT.search(text):
        for match in IPV6.finditer(text):
            address = match[0].rstrip(".:")
            if match[0].startswith(address + "::"):
                address += "::"
            if _is_address(address):
                yield Finding(match.start(), match.start() + len(address), "ip_address", "ip_address:v6")


def _is_address(text: str) -> bool:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    return not (address.is_loopback or text.startswith("0.") or text in {"::", "255.255.255.255"})


def phones(reading: Reading, regions: Sequence[str]) -> Iterator[Finding]:
    """
    Find phone numbers.

    :param regions: ISO 3166 codes of the countries whose national forms are looked for.
    """
    text = reading.plain
    found = list(_international(text)) if "+" in text else []
    if reading.digit_runs:
        words = list(PHONE_WORD.finditer(text)) if reading.words & PHONE_WORDS else []
        found += _beside(text, words)
        covered = bytearray(len(text) + 1)
        for one in found:
            covered[one.start : one.end] = b"\1" * (one.end - one.start)
        for run in reading.digit_runs:
            if not covered[run.start] or not covered[run.end - 1]:
                found += _national(text, run, regions, beside_word=bool(words))
    for one in found:
        extension = EXTENSION.match(text, one.end)
        yield replace(one, end=extension.end()) if extension else one


def _beside(text: str, words: Iterable[re.Match[str]]) -> Iterator[Finding]:
    for word in words:
        number = NUMBER.match(text, word.end())
        if number:
            yield Finding(*number.span(1), "phone", "phone:context", contextual=True)


def _national(text: str, run: Run, regions: Sequence[str], *, beside_word: bool) -> Iterator[Finding]:
    # Two characters more on both sides: a bracket before, and what tells that the number goes on.
    window = (max(0, run.start - 2), run.end + 2)
    if beside_word:
        yield from _matched(text, run, regions)
    elif run.digits < MIN_UNNAMED_DIGITS or not NATIONAL_HINT.search(text, *window):
        return
    for match in DOUBLE_ZERO.finditer(text, *window):
        if _valid(f"+{match[0][2:]}", None):
            yield Finding(match.start(), match.end(), "phone", "phone:international")
    for match in NORTH_AMERICAN.finditer(text, *window):
        if NORTH_AMERICA & set(regions):
            yield Finding(match.start(), match.end(), "phone", "phone:US")
    for match in TRUNK.finditer(text, *window):
        for region in regions:
            if not DATE.search(match[0]) and _valid(match[0], region):
                yield Finding(match.start(), match.end(), "phone", f"phone:{region}")


def _matched(text: str, run: Run, regions: Sequence[str]) -> Iterator[Finding]:
    import phonenumbers

    written = text[run.start : run.end]
    is_one = MIN_UNNAMED_DIGITS <= run.digits <= MAX_GROUPED_DIGITS and GROUPED.fullmatch(written)
    if is_one and not DATE.search(written):
        yield Finding(run.start, run.end, "phone", "phone:grouped", contextual=True)
        return
    for region in regions:
        for match in phonenumbers.PhoneNumberMatcher(written, region):
            start, end = run.start + match.start, run.start + match.end
            yield Finding(start, end, "phone", f"phone:{region}", contextual=True)


def _international(text: str) -> Iterator[Finding]:
    import phonenumbers

    for candidate in INTERNATIONAL.finditer(text):
        for leniency in (phonenumbers.Leniency.VALID, phonenumbers.Leniency.POSSIBLE):
            matches = list(phonenumbers.PhoneNumberMatcher(candidate[0], None, leniency=leniency))
            for match in matches:
                start, end = candidate.start() + match.start, candidate.start() + match.end
                yield Finding(start, end, "phone", "phone:international")
            if matches:
                break


def _valid(written: str, region: str | None) -> bool:
    import phonenumbers

    try:
        number = phonenumbers.parse(written, region)
    except phonenumbers.NumberParseException:
        return False
    return bool(phonenumbers.is_valid_number(number))
