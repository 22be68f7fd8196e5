"""Comparisons, localisations and noise floors as a notebook shows them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from parity.diffing import DiffResult, Outcome, TapDiff
from parity.localize.localization import Localization, TapError
from parity.localize.noise_floors import Floors
from parity.notebook.card import Card, Table, render
from parity.notebook.plots.canvas import as_svg
from parity.notebook.plots.places import FloorPlots, LocalizationPlots
from parity.report.numbers import percent, size
from parity.report.plots import plot_error
from parity.report.words import (
    NAMES,
    counts_line,
    headline,
    model_line,
    place,
    share_line,
    side,
    worst_element,
)

__all__ = ["diff_html", "floors_html", "localization_html"]

ROWS = 8
_TONES = {Outcome.HOLDS: "good", Outcome.BROKEN: "bad", Outcome.INVALID: "warn"}


def diff_html(result: DiffResult) -> str:
    """A comparison: what it says, the error along execution, and the first rows that fail."""
    return render(
        Card(
            headline(result),
            _TONES[result.outcome],
            _facts(result),
            _drawn(lambda axes: plot_error(result, axes)) if result.compared else "",
            "Relative error of every tensor in execution order",
            _rows(result),
            result.notes,
        )
    )


def localization_html(found: Localization) -> str:
    """A localisation: where errors enter, as a sentence, a picture and a table."""
    origins = _first_of_each(found.origins)
    table = Table(
        f"Where errors enter, in execution order: {min(len(origins), ROWS)} of {len(origins)} taps",
        ("tap", "where", "error", "added here", "rounding explains", "of the output's error"),
        [_origin_row(tap) for tap in origins[:ROWS]],
    )
    return render(
        Card(
            str(found),
            "bad" if origins else "good",
            [("output", f"{found.output}, off by {size(found.output_error)}")]
            if found.output
            else [],
            _drawn(LocalizationPlots(found)) if found.taps else "",
            "Relative error of every tensor in execution order, coloured by where it comes from",
            table if origins else None,
            found.notes,
        )
    )


def floors_html(floors: Floors) -> str:
    """Noise floors: the usual and the largest by precision, and the taps where they are largest."""
    facts = [(name, _quantiles(floors, name)) for name in floors.precisions]
    rows = [(str(key), size(value)) for key, value in floors.worst(ROWS)]
    known = floors.precisions
    table = Table(f"The largest in {known[0]}", ("tap", "floor"), rows) if known else None
    return render(
        Card(
            f"Noise floors of {len(floors):,} tensors",
            facts=facts,
            picture=_drawn(FloorPlots(floors)) if known and len(floors) else "",
            picture_says="The error that rounding explains at every tensor, in execution order",
            table=table,
        )
    )


def _drawn(draw: Callable[[Axes], object]) -> str:
    axes: Axes = Figure(figsize=(9, 3), layout="constrained").subplots()
    draw(axes)
    figure = axes.get_figure()
    assert isinstance(figure, Figure)  # noqa: S101 - made above
    return as_svg(figure)


def _facts(result: DiffResult) -> list[tuple[str, str]]:
    facts = [
        ("reference", side(result, "reference")),
        ("candidate", side(result, "candidate")),
        ("verdicts", counts_line(result) or "none"),
        ("coverage", f"{share_line(result)}; tolerance {result.tolerance}"),
    ]
    if of_the_model := model_line(result):
        facts.append(("model compared", of_the_model))
    first = result.first_divergence
    if first is not None:
        details = "; ".join(filter(None, (first.reason, worst_element(first), first.source)))
        facts.insert(0, ("first divergence", f"{first.key.path} ({place(first)}): {details}"))
    return facts


def _rows(result: DiffResult) -> Table | None:
    failing = _one_a_tap(result.failures)
    chosen = failing[:ROWS] or list(result.worst(ROWS))
    if not chosen:
        return None
    said = (
        f"The first taps that are not accepted, {len(chosen)} of {len(failing)}"
        if failing
        else "The largest errors"
    )
    return Table(
        said,
        ("tap", "where", "tensor", "verdict", "rel. error", "noise floor", "max |Δ|"),
        [_diff_row(row) for row in chosen],
        frozenset(i for i, row in enumerate(chosen) if not row.ok),
    )


def _one_a_tap(rows: Sequence[TapDiff]) -> list[TapDiff]:
    first: dict[tuple[str, str], TapDiff] = {}
    for row in rows:
        first.setdefault((row.key.path, row.key.port), row)
    return list(first.values())


def _diff_row(row: TapDiff) -> tuple[str, ...]:
    known = row.metrics
    return (
        row.key.path,
        place(row),
        str(row.reference or row.candidate),
        NAMES.get(row.verdict, str(row.verdict)),
        size(known.get("rel_l2", np.nan)),
        size(row.floor),
        size(known.get("max_abs", np.nan)),
    )


def _first_of_each(taps: Sequence[TapError]) -> list[TapError]:
    first: dict[tuple[str, str], TapError] = {}
    for tap in taps:
        first.setdefault((tap.key.path, tap.key.port), tap)
    return list(first.values())


def _origin_row(tap: TapError) -> tuple[str, ...]:
    phase = f" of {tap.key.phase}" if tap.key.phase else ""
    where = f"{tap.key.port}, call {tap.key.call}{phase}"
    errors = size(tap.error), size(tap.local), size(tap.floor)
    return (tap.key.path, where, *errors, percent(tap.share))


def _quantiles(floors: Floors, precision: str) -> str:
    known = floors.values[precision][floors.values[precision] > 0]
    if not known.size:
        return "none known"
    middle, most = np.quantile(known, [0.5, 1.0])
    return f"median {size(float(middle))}, largest {size(float(most))}"
