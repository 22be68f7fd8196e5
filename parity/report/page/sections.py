"""One comparison as the values that the page's templates show."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from parity.diagnose import Diagnosis
from parity.diffing import DiffResult, Outcome, TapDiff
from parity.report.console import worst_and_first
from parity.report.diagnosis_html import diagnosis_section
from parity.report.numbers import percent, size
from parity.report.page.evidence import Evidence
from parity.report.page.origins import origins
from parity.report.page.packing import pack
from parity.report.page.pictures import picture
from parity.report.page.rows import columns
from parity.report.page.runs import environment_rows, provenance_rows
from parity.report.page.signals import player
from parity.report.words import (
    NAMES,
    counts_line,
    headline,
    model_line,
    place,
    printable,
    share_line,
    share_words,
    side,
    worst_element,
)
from parity.tolerance import Verdict

__all__ = ["section"]

# Of all sounds of one page; base64 makes a third more of it.
SOUND_BYTES = 1_100_000
STATIC_ROWS = 40
WORDS = {
    Outcome.HOLDS: "Parity holds",
    Outcome.BROKEN: "Parity does not hold",
    Outcome.INVALID: "Nothing can be concluded",
}


def section(
    name: str,
    result: DiffResult,
    diagnosis: Diagnosis | None,
    evidence: Evidence,
    *,
    number: int = 0,
    sound_bytes: int = SOUND_BYTES,
) -> dict[str, Any]:
    """What the templates show of one comparison.

    Args:
        name: its heading; empty for none.
        result: the comparison.
        diagnosis: why it differs; None where nobody said.
        evidence: tensors, sounds and environments.
        number: of the section within the page, which keeps ids apart.
        sound_bytes: that its sounds may take, before base64.
    """
    each = sound_bytes // max(len(evidence.sounds), 1)
    sounds = [player(sound, each) for sound in evidence.sounds]
    return {
        "name": printable(name),
        "id": f"s{number}",
        "outcome": str(result.outcome),
        "verdict": WORDS[result.outcome],
        "headline": _after(headline(result), WORDS[result.outcome]),
        "first": _first(result.first_divergence),
        "tiles": _tiles(result, diagnosis),
        "counts": _counts(result),
        "facts": _facts(result),
        "rows": [_row(row) for row in _telling(result)],
        "recorded": len(result),
        "notes": [printable(note) for note in result.notes],
        "environment": environment_rows(result, evidence),
        "provenance": provenance_rows(result),
        "diagnosis": diagnosis_section(diagnosis) if diagnosis is not None else None,
        "sounds": sounds,
        "compared": result.compared,
        "pictured": len(evidence.tensors),
        "data": pack(_data(result, diagnosis, evidence, sounds)),
    }


def _telling(result: DiffResult) -> list[TapDiff]:
    """The rows that a page without its script shows; where none was compared, what is missing."""
    return worst_and_first(result, STATIC_ROWS) or list(result.failures[:STATIC_ROWS])


def _after(text: str, head: str) -> str:
    """The headline without the words that stand above it."""
    rest = text.removeprefix(head).lstrip(":. ")
    return rest[:1].upper() + rest[1:]


def _data(
    result: DiffResult,
    diagnosis: Diagnosis | None,
    evidence: Evidence,
    sounds: Sequence[Mapping[str, Any]],
) -> dict[str, Any]:
    codes = origins(result, diagnosis, evidence.localization)
    return {
        "rows": columns(result, codes),
        "pictures": [picture(pair) for pair in evidence.tensors],
        "sounds": [sound["pictures"] for sound in sounds],
        "output": printable(result.output),
    }


def _first(first: TapDiff | None) -> dict[str, str] | None:
    if first is None:
        return None
    details = "; ".join(filter(None, (first.reason, worst_element(first))))
    return {
        "tap": printable(first.key.path),
        "place": place(first),
        "details": printable(details),
        "source": printable(first.source),
    }


def _tiles(result: DiffResult, diagnosis: Diagnosis | None) -> list[dict[str, str]]:
    """The few numbers that a reader wants first: label, value, and what it means."""
    tiles = [_agreeing(result), *_model_tile(result)]
    if diagnosis is not None:
        tiles += [_causes_tile(diagnosis), *_output_tiles(diagnosis)]
    elif (last := result.at_the_output) is not None and last.metrics:
        error = last.metrics["rel_l2"]
        tiles.append({"label": "error at the output", "value": size(error),
                      "note": printable(last.key.path)})  # fmt: skip
    return tiles


def _agreeing(result: DiffResult) -> dict[str, str]:
    compared = result.table.compared
    share = float(result.table.ok[compared].mean()) if compared.any() else math.nan
    return {
        "label": "tensors that agree",
        "value": percent(share),
        "note": f"of {result.compared:,} compared; {share_line(result)}",
    }


def _model_tile(result: DiffResult) -> list[dict[str, str]]:
    """How much of the model was compared, where there are modules."""
    model = result.model
    if model is None or not model.modules.total:
        return []
    value = f"{model.modules.compared:,} of {model.modules.total:,}"
    further = {"parameters": model.parameters, "edges between taps": model.edges}
    note = [share_words(share, what) for what, share in further.items() if share.total]
    return [{"label": "modules compared", "value": value, "note": "; ".join(note)}]


def _causes_tile(diagnosis: Diagnosis) -> dict[str, str]:
    sure, unexplained = len(diagnosis.high), len({rest.tap for rest in diagnosis.unexplained})
    rest = f"; {unexplained} taps not explained" if unexplained else "; nothing left unexplained"
    return {
        "label": "causes found",
        "value": str(len(diagnosis.findings)),
        "note": f"{sure} of them sure{rest}",
    }


def _output_tiles(diagnosis: Diagnosis) -> list[dict[str, str]]:
    before, left = diagnosis.output_error, diagnosis.output_left
    if math.isnan(before):
        return []
    after = "" if math.isnan(left) else f"{size(left)} with the causes put into the reference"
    note = printable(diagnosis.output) + (f"; {after}" if after else "")
    return [{"label": "error at the output", "value": size(before), "note": note}]


def _counts(result: DiffResult) -> list[dict[str, Any]]:
    """The verdicts as stretches of one bar, in per cent of its width."""
    counts, total, at, bars = result.counts, max(len(result), 1), 0.0, []
    for verdict in Verdict:
        if verdict in counts:
            width = 100 * counts[verdict] / total
            bars.append({"kind": str(verdict), "name": NAMES[verdict], "x": f"{at:.3f}",
                         "width": f"{width:.3f}", "count": f"{counts[verdict]:,}"})  # fmt: skip
            at += width
    return bars


def _facts(result: DiffResult) -> list[tuple[str, str]]:
    of_the_model = model_line(result)
    return [
        ("reference", side(result, "reference")),
        ("candidate", side(result, "candidate")),
        ("verdicts", counts_line(result) or "none"),
        ("coverage", share_line(result)),
        *([("model compared", of_the_model)] if of_the_model else []),
        ("tolerance", f"{printable(result.tolerance)}; noise floors {result.floors.words}"),
    ]


def _row(row: TapDiff) -> dict[str, Any]:
    return {
        "path": printable(row.key.path),
        "place": place(row),
        "verdict": NAMES.get(row.verdict, str(row.verdict)),
        "ok": row.ok,
        "error": size(row.metrics.get("rel_l2", math.nan)),
        "floor": size(row.floor),
    }
