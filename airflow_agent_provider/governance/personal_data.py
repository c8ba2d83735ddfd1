"""
What counts as personal or secret, and what finding it means.

Before a text is sent to a model, values of the classes below are found in it and
replaced by placeholders (:mod:`.redaction`), or the call is refused
(:mod:`.policy`). Finding is done by shape, checksum and context words, never by a
model: the same text always gives the same findings.

==============  ================================================================
class           found by
==============  ================================================================
secret          prefixes of known keys and tokens, private key blocks, passwords
                in URLs and ``Authorization`` headers, hard-to-guess values after
                a name such as ``password=``
declared        exact values that the caller declared sensitive (a column)
payment_card    issuer range, length and the Luhn checksum (ISO/IEC 7812-1)
iban            country, length and the checksum modulo 97 (ISO 13616)
national_id     format and checksum (python-stdnum); weak formats only beside a
                context word; the list is in :mod:`.national_ids`
email           RFC 5322 addresses as they occur in practice, also beyond ASCII
phone           libphonenumber: international form always, national forms for the
                chosen regions, anything beside a word such as "phone"
ip_address      IPv4 and IPv6; not loopback, unspecified or broadcast addresses
==============  ================================================================

What detection cannot find
--------------------------
Say it to whoever relies on it: a clean scan is no proof that a text is anonymous.

- names, postal addresses, dates of birth, employers, job titles;
- health, religion or opinion told in free text;
- ids without a checksum or a known format (customer numbers, passport numbers,
  licence plates), unless their column is declared sensitive;
- values in images, audio or documents, in compressed, encrypted or base64 text;
- values broken over lines or over two messages, spelt out ("alice at example dot
  org"), translated or paraphrased, and what can be inferred from several harmless
  ones;
- phone numbers in a domestic form without a word such as "phone" in the text, where
  their country is none of the chosen regions or they are written in one piece;
- secrets that look like words (``password=swordfish``) or stand alone without a
  known prefix; passwords and domestic phone numbers whose name is a header in another
  message, or in a table laid out by spaces;
- declared values shorter than three characters, or written otherwise than declared
  (other capitals, another order).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

DataClass = Literal[
    "secret", "declared", "payment_card", "iban", "national_id", "email", "phone", "ip_address"
]
#: The most harmful first: where findings overlap, the class that comes first names what they cover together.
DATA_CLASSES: tuple[DataClass, ...] = get_args(DataClass)


@dataclass(frozen=True, slots=True)
class Finding:
    """
    One value found in a text; says where it is, never what.

    :param start: index of its first character.
    :param end: index after its last character.
    :param detector: what found it, such as ``national_id:us_ssn``.
    :param contextual: found by the words around it: alone it would not be found.
    """

    start: int
    end: int
    data_class: DataClass
    detector: str
    contextual: bool = False
