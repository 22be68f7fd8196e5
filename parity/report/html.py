"""Results and diagnoses as self-contained pages, and as fragments for notebooks."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from parity.diagnose import Diagnosis
from parity.diffing import DiffResult, TapDiff
from parity.report.console import worst_and_first
from parity.report.diagnosis_html import diagnosis_section
from parity.report.page import Evidence, page
from parity.report.page.document import still_page
from parity.report.plots import error_svg
from parity.report.words import (
    NAMES,
    counts_line,
    headline,
    model_line,
    place,
    printable,
    share_line,
    side,
    worst_element,
)

__all__ = ["diagnosis_fragment", "diagnosis_page", "fragment", "to_html"]

ROWS = 200


def to_html(
    results: Mapping[str, DiffResult],
    *,
    title: str,
    diagnoses: Mapping[str, Diagnosis] | None = None,
    evidence: Mapping[str, Evidence] | None = None,
) -> str:
    """A page with one section a result, in the given order, keyed by the section's heading.

    Args:
        results: what is shown, at least one.
        title: of the page.
        diagnoses: why they differ, under the same headings.
        evidence: tensors, sounds and environments, under the same headings; `gather` takes them
            from the captures.
    """
    return page(results, title=title, diagnoses=diagnoses or {}, evidence=evidence or {})


def diagnosis_page(diagnoses: Mapping[str, Diagnosis], *, title: str) -> str:
    """A page with one section a diagnosis, in the given order, keyed by the section's heading."""
    return still_page(title, [diagnosis_section(d, name) for name, d in diagnoses.items()])


def diagnosis_fragment(diagnosis: Diagnosis) -> str:
    """The section of one diagnosis with its style, for notebooks."""
    return _template("diagnosis_alone.html").render(diagnosis=diagnosis_section(diagnosis))


def fragment(result: DiffResult) -> str:
    """The section of one result, for notebooks."""
    return _template("section.html").render(section=_section("", result, None))


def _section(name: str, result: DiffResult, diagnosis: Diagnosis | None) -> dict[str, Any]:
    first = result.first_divergence
    return {
        "name": name,
        "outcome": str(result.outcome),
        "headline": headline(result),
        "facts": _facts(result, first),
        # Our own drawing: matplotlib escapes what text it holds, and it holds no tensor's name.
        "picture": Markup(error_svg(result)) if result.compared else "",  # noqa: S704
        "rows": [_row(row) for row in worst_and_first(result, ROWS)],
        "notes": result.notes,
        "runs": _runs(result),
        "diagnosis": diagnosis_section(diagnosis, "Why") if diagnosis is not None else None,
    }


def _facts(result: DiffResult, first: TapDiff | None) -> list[tuple[str, str]]:
    facts = [
        ("reference", side(result, "reference")),
        ("candidate", side(result, "candidate")),
        ("verdicts", counts_line(result) or "none"),
        ("coverage", f"{share_line(result)}; tolerance {result.tolerance}"),
    ]
    if of_the_model := model_line(result):
        facts.append(("model compared", of_the_model))
    if first:
        details = "; ".join(filter(None, (first.reason, worst_element(first), first.source)))
        where = f"{first.key.path} ({place(first)}): {details}"
        facts.insert(0, ("first divergence", printable(where)))
    return facts


def _row(row: TapDiff) -> dict[str, Any]:
    numbers = ("rel_l2", "max_abs", "one_minus_cosine", "one_minus_pearson", "snr_db", "max_ulp")
    return {
        "path": printable(row.key.path),
        "place": place(row),
        "spec": str(row.reference or row.candidate),
        "verdict": NAMES.get(row.verdict, str(row.verdict)),
        "ok": row.ok,
        "reason": row.reason,
        "floor": row.floor,
        "source": row.source,
        "metrics": {name: row.metrics.get(name) for name in numbers},
    }


def _runs(result: DiffResult) -> list[tuple[str, str, str, bool]]:
    """Facts of the two runs side by side, and whether they differ."""
    sides = [result.facts.get(side, {}) for side in ("reference", "candidate")]
    names = dict.fromkeys([*sides[0], *sides[1]])
    pairs = [(name, str(sides[0].get(name, "")), str(sides[1].get(name, ""))) for name in names]
    return [(name, one, two, one != two) for name, one, two in pairs if one or two]


@cache
def _template(name: str) -> Template:
    environment = Environment(
        loader=PackageLoader("parity.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["short"] = _short
    return environment.get_template(name)


def _short(value: float | None) -> str:
    if value is None or value != value:  # noqa: PLR0124 - NaN is what differs from itself
        return ""
    return f"{value:.3g}"
