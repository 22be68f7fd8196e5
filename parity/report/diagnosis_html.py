"""A diagnosis as a section of a page: one card a finding, with its evidence."""

from __future__ import annotations

from typing import Any

from parity.diagnose import Diagnosis, Finding, Verdict
from parity.report.causes import (
    GRADES,
    Cause,
    basis_line,
    causes,
    equivalent_line,
    headline,
    output_line,
    rests,
)
from parity.report.numbers import percent
from parity.report.places import named, place_of

__all__ = ["diagnosis_section"]

_OUTCOMES = {
    Verdict.NO_FAULT: "holds",
    Verdict.INCONCLUSIVE: "inconclusive",
    Verdict.INVALID: "invalid",
}


def diagnosis_section(diagnosis: Diagnosis, name: str = "") -> dict[str, Any]:
    """What the template `diagnosis.html` shows; it escapes every text of this."""
    found = zip(causes(diagnosis), diagnosis.findings, strict=True)
    return {
        "name": named(name),
        "outcome": _OUTCOMES.get(diagnosis.verdict, "broken"),
        "headline": headline(diagnosis),
        "cards": [_card(cause, finding) for cause, finding in found],
        "rests": rests(diagnosis),
        "closing": [line for line in (equivalent_line(diagnosis), output_line(diagnosis)) if line],
        "small": [basis_line(diagnosis), *(named(note) for note in diagnosis.notes)],
    }


def _card(cause: Cause, finding: Finding) -> dict[str, Any]:
    share, first = cause.share, finding.site
    sites = [place_of(site.path, site.operation, site.tap) for site in finding.sites]
    return {
        "cause": cause,
        "grade": GRADES[cause.grade],
        "kind": str(cause.grade),
        "share": percent(share) if share > 0 else "",
        "width": f"{100 * min(share, 1.0):.1f}" if share > 0 else "",
        "tap": named(first.tap),
        "phase": named(first.phase),
        "call": first.call,
        "sites": sites if len(sites) > 1 else [],
    }
