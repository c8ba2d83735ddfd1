"""
All detectors over one text.

A scanner is immutable and holds no text that it has seen: one may serve every flow
of a process. What costs most, asking libphonenumber and computing checksums,
happens for candidates only; the candidates come from a few linear searches that
the detectors share (:class:`.Reading`).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import replace

from airflow_agent_provider.governance.contacts import emails, ip_addresses, phones
from airflow_agent_provider.governance.credentials import credentials
from airflow_agent_provider.governance.declared import DeclaredValues
from airflow_agent_provider.governance.national_ids import national_ids
from airflow_agent_provider.governance.payments import ibans, payment_cards
from airflow_agent_provider.governance.personal_data import Finding
from airflow_agent_provider.governance.reading import Reading, readings
from airflow_agent_provider.governance.tables import under_headers

MAX_ROUNDS = 4
CROWDED = re.compile(r"\+?\d(?:[ ().-]{0,2}\d){6,}")
DEFAULT_REGIONS = ("US", "GB", "DE", "FR")


class Scanner:
    """
    Finds personal data and secrets in texts.

    :param regions: ISO 3166 codes of the countries whose national phone formats are
        looked for; international ones always are.
    :param declared: values to find wherever they occur, such as those of a sensitive column.
    """

    __slots__ = ("_declared", "regions")

    def __init__(self, *, regions: Iterable[str] = DEFAULT_REGIONS, declared: Collection[str] = ()) -> None:
        self.regions = tuple(regions)
        self._declared = DeclaredValues(declared) if declared else None

    def __repr__(self) -> str:
        return f"Scanner(regions={self.regions})"

    def find(self, text: str) -> tuple[Finding, ...]:
        """
        Find everything, in order of place; findings may overlap.

        Two values may stand so close that one hides the other (``...@example.org4111 1111``):
        what was found is blanked and the rest looked through again. Where more values stand
        so close than there are rounds, whatever digits are left there count as a phone number:
        a bound on the work must not be a way out.
        """
        found: set[Finding] = set()
        for _ in range(MAX_ROUNDS):
            new = self._find_once(text) - found
            if not new:
                break
            found |= new
            text = _blanked(text, new)
        else:
            found |= {Finding(*run.span(), "phone", "phone:crowded") for run in CROWDED.finditer(text)}
        return tuple(sorted(found, key=lambda one: (one.start, one.end, one.detector)))

    def _find_once(self, text: str) -> set[Finding]:
        found = {
            finding if reading.source is None else _mapped(finding, reading)
            for reading in readings(text)
            for finding in self._read(reading)
        }
        if "\\" in text:
            # A quotation mark inside a quoted password is escaped: only the raw text shows where it ends.
            found.update(credentials(Reading(text)))
        return found

    def _read(self, reading: Reading) -> Iterable[Finding]:
        yield from emails(reading)
        yield from credentials(reading)
        yield from ip_addresses(reading)
        yield from ibans(reading)
        yield from payment_cards(reading)
        yield from national_ids(reading)
        yield from phones(reading, self.regions)
        yield from under_headers(reading)
        if self._declared is not None:
            yield from self._declared.findings(reading)


def _mapped(finding: Finding, reading: Reading) -> Finding:
    start, end = reading.original(finding.start, finding.end)
    return replace(finding, start=start, end=end)


def _blanked(text: str, findings: Iterable[Finding]) -> str:
    blank = list(text)
    for one in findings:
        blank[one.start : one.end] = "\0" * (one.end - one.start)
    return "".join(blank)
