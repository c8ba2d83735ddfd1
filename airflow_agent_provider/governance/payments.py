"""
Payment cards and bank accounts.

A card number has the length and the leading range of an issuer (ISO/IEC 7812-1)
and the Luhn checksum; a random number of the right length passes the checksum once
in ten times, so the ranges matter. Maestro numbers of other lengths than 16, whose
ranges take in most article numbers, count only in a text that speaks of cards.
Digits written in groups count only in the groups that cards are printed in: a table
row of times and distances is no card.

An IBAN is a country, a length and a checksum modulo 97 (ISO 13616).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from airflow_agent_provider.governance.personal_data import Finding
from airflow_agent_provider.governance.reading import Reading

# Look-aheads, so that a number which is none does not hide one that starts inside it.
CARDS = tuple(
    # Not inside a word, and no part of a decimal fraction.
    re.compile(rf"(?<![0-9A-Za-z])(?<![0-9]\.)(?=({shape})(?![0-9A-Za-z]|\.[0-9]))")
    for shape in (
        r"[0-9]{12,19}",
        r"[0-9]{4}([ \-./_]{1,3})[0-9]{4}\2[0-9]{4}\2[0-9]{4}",
        r"[0-9]{4}([ \-./_]{1,3})[0-9]{4}\2[0-9]{4}\2[0-9]{4}\2[0-9]{3}",
        r"3[0-9]{3}([ \-./_]{1,3})[0-9]{6}\2[0-9]{4,5}",
    )
)
# Twelve digits in one piece, or groups of four and at least four.
CARD_HINT = re.compile(r"[0-9]{12}|[0-9]{4}[ \-./_]{1,3}[0-9]{4}(?:[0-9]{2}|[ \-./_]{1,3}[0-9]{4})")
ISSUERS = re.compile(
    r"4(?:[0-9]{12}|[0-9]{15}|[0-9]{18})"  # Visa
    r"|5[1-5][0-9]{14}|2(?:22[1-9]|2[3-9][0-9]|[3-6][0-9]{2}|7[01][0-9]|720)[0-9]{12}"  # Mastercard
    r"|3[47][0-9]{13}"  # American Express
    r"|3(?:0[0-5]|095|[689][0-9])[0-9]{11}"  # Diners Club
    r"|(?:6011|64[4-9][0-9]|65[0-9]{2})[0-9]{12}"  # Discover
    r"|35[0-9]{14}|(?:2131|1800)[0-9]{11}"  # JCB
    r"|62[0-9]{14,17}|81[0-9]{14}"  # UnionPay
    r"|220[0-4][0-9]{12}|9792[0-9]{12}"  # Mir, Troy
    r"|(?:50|5[6-8]|6[0-9])[0-9]{14}"  # Maestro
)
ISSUERS_BESIDE_WORD = re.compile(r"(?:50|5[6-9]|6[0-9])[0-9]{10,17}")  # Maestro of any length
CARD_WORD = re.compile(
    r"card|maestro|visa|credit|debit|payment"
    r"|(?<![a-z])(?:paid|pay|pan|karte|carte|tarjeta|carta|cartão)(?![a-z])"
)

# At the start of a word, or right behind the word IBAN.
IBAN_START = re.compile(r"[A-Za-z]{2}[0-9]{2}(?:(?<![A-Za-z0-9].{4})|(?<=[Ii][Bb][Aa][Nn].{4}))", re.DOTALL)
IBAN_REST = re.compile(r"(?:[ \-._]{0,2}[A-Za-z0-9]){11,30}+")
IBAN_END = re.compile(r"[A-Za-z0-9](?![A-Za-z0-9])")
IBAN_MIN_CHARS, IBAN_MAX_CHARS = 15, 34
MIN_CARD_DIGITS = 12
SEPARATORS = str.maketrans("", "", " -./_")


def payment_cards(reading: Reading) -> Iterator[Finding]:
    """Find payment card numbers, in one piece or in the groups that they are printed in."""
    candidates = [
        match
        for run in reading.digit_runs
        if run.digits >= MIN_CARD_DIGITS and CARD_HINT.search(reading.plain, run.start, run.end)
        for shape in CARDS
        for match in shape.finditer(reading.plain, run.start, run.end + 2)
    ]
    beside_word = bool(candidates) and CARD_WORD.search(reading.lower) is not None
    for match in candidates:
        number = match[1].translate(SEPARATORS)
        if ISSUERS.fullmatch(number) and _luhn(number):
            yield Finding(*match.span(1), "payment_card", "payment_card")
        elif beside_word and ISSUERS_BESIDE_WORD.fullmatch(number) and _luhn(number):
            yield Finding(*match.span(1), "payment_card", "payment_card:context", contextual=True)


def _luhn(number: str) -> bool:
    from stdnum import luhn

    return luhn.is_valid(number)


def ibans(reading: Reading) -> Iterator[Finding]:
    """Find international bank account numbers."""
    text = reading.plain
    for match in IBAN_START.finditer(text):
        rest = IBAN_REST.match(text, match.end())
        if rest is None:
            continue
        # Words that follow look like further groups: the end is where the checksum says.
        for last in IBAN_END.finditer(text, match.end(), rest.end() + 1):
            if last.end() <= rest.end() and _is_iban(text[match.start() : last.end()]):
                yield Finding(match.start(), last.end(), "iban", "iban")


def _is_iban(written: str) -> bool:
    from stdnum import iban

    compact = written.translate(SEPARATORS)
    # The checksums that some countries add inside are left out: better one too many than one missed.
    return IBAN_MIN_CHARS <= len(compact) <= IBAN_MAX_CHARS and iban.is_valid(compact, check_country=False)
