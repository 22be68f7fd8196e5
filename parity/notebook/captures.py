"""Captures and what is in them as a notebook shows them."""

from __future__ import annotations

from matplotlib.figure import Figure

from parity.notebook.card import Card, Table, render
from parity.notebook.plots.canvas import as_svg
from parity.notebook.plots.tensors import SeriesPlots
from parity.store import Capture, SeriesView, TapView, port_summaries
from parity.tensors import TapRecord

__all__ = ["capture_html", "series_html", "tap_html"]

ROWS = 12
_HEADER = ("call", "tensor", "mean", "std", "min", "max", "NaN, infinite")


def capture_html(capture: Capture) -> str:
    """A capture: from which run, and its taps."""
    ports = port_summaries(capture)
    rows = [
        (
            port.path if port.port in {"output", "tap"} else f"{port.path}:{port.port}",
            ", ".join(f"{n:,}{f' {phase}' if phase else ''}" for phase, n in port.calls.items()),
            ", ".join(map(str, port.specs[:2])) + (" …" if len(port.specs) > 2 else ""),
            f"{port.min:.3g} … {port.max:.3g}",
            f"{port.nonfinite:,}" if port.nonfinite else "",
        )
        for port in ports[:ROWS]
    ]
    more = f"{len(rows)} of {len(ports)} ports" if len(ports) > len(rows) else "every port"
    return render(
        Card(
            f"{len(capture):,} records at {len(capture.paths):,} taps"
            + ("" if capture.complete else ", of a run that did not come to its end"),
            "plain" if capture.complete else "warn",
            _facts(capture),
            table=Table(
                f"In order of first appearance, {more}",
                ("tap", "calls", "tensors", "range", "NaN, infinite"),
                rows,
            ),
        )
    )


def tap_html(tap: TapView) -> str:
    """One tap: its ports and their calls."""
    rows = [
        (
            port,
            f"{len(tap[port]):,}",
            ", ".join(dict.fromkeys(str(r.spec) for r in tap[port].records)),
        )
        for port in tap.ports
    ]
    return render(Card(tap.path, table=Table("Its ports", ("port", "calls", "tensors"), rows)))


def series_html(series: SeriesView) -> str:
    """The calls of one port: their statistics, and the first one as a picture if it was kept."""
    records = series.records
    rows = [_row(record) for record in records[:ROWS]]
    more = f", the first {ROWS}" if len(records) > ROWS else ""
    return render(
        Card(
            f"{series.name}: {len(series):,} {'call' if len(series) == 1 else 'calls'}",
            picture=_picture(series) if series.kept else "",
            picture_says="The first call's tensor",
            table=Table(f"Calls in execution order{more}", _HEADER, rows),
        )
    )


def _picture(series: SeriesView) -> str:
    figure = Figure(figsize=(9, 2.4), layout="constrained")
    SeriesPlots(series)(0, figure.subplots())
    return as_svg(figure)


def _facts(capture: Capture) -> list[tuple[str, str]]:
    meta = capture.meta
    versions = ", ".join(f"{name} {version}" for name, version in meta.versions.items())
    facts = [
        ("file", str(capture.path)),
        ("of", meta.implementation),
        ("case", meta.case_name),
        ("made with", ", ".join(filter(None, (versions or meta.framework, meta.precision)))),
        ("noise tape", f"{len(capture.noise):,} draws" if capture.noise else ""),
        ("noise floors", ", ".join(capture.floor_precisions)),
    ]
    return [(name, text) for name, text in facts if text]


def _row(record: TapRecord) -> tuple[str, ...]:
    phase = f" of {record.key.phase}" if record.key.phase else ""
    known = record.statistics
    name = f"{record.key.call}{phase}"
    if known is None:
        return (name, str(record.spec), "", "", "", "", "")
    numbers = [f"{value:.3g}" for value in (known.mean, known.std, known.min, known.max)]
    lost = known.nan_count + known.inf_count
    return (name, str(record.spec), *numbers, f"{lost:,}" if lost else "")
