"""A capture as a tree of its taps, or as JSON."""

from __future__ import annotations

import json
import math
from collections import Counter
from dataclasses import asdict
from fnmatch import fnmatchcase
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from parity.errors import InputError
from parity.store import Capture, PortSummary, port_summaries

__all__ = ["as_json", "print_capture", "printable", "wide_console"]

MAX_SPECS = 3
PIPE_WIDTH = 400


def print_capture(capture: Capture, pattern: str) -> None:
    """Print the run's facts and the taps that match the glob `pattern`."""
    console = wide_console()
    console.print(_facts(capture))
    console.print(_tree(_matching(capture, pattern)))


def as_json(capture: Capture, pattern: str) -> str:
    """The same as JSON; numbers that JSON does not know are null."""
    facts = {
        "file": str(capture.path),
        "complete": capture.complete,
        "run_id": capture.run_id,
        "meta": capture.meta.as_dict(),
        "environment": capture.environment,
        "case": capture.case.name if capture.case else None,
        "records": len(capture),
        "phases": list(capture.phases),
        "noise": dict(Counter(draw.distribution for draw in capture.noise)),
        "floors": list(capture.floor_precisions),
        "taps": [_summary_facts(summary) for summary in _matching(capture, pattern)],
    }
    return json.dumps(facts)


def wide_console() -> Console:
    """The terminal, or, in a pipe, a page on which no line has to be broken."""
    console = Console()
    if not console.is_terminal:
        console.width = PIPE_WIDTH
    return console


def printable(text: str) -> str:
    """`text` without anything that a terminal would obey; names come from other people."""
    return "".join(letter if letter.isprintable() else f"\\x{ord(letter):02x}" for letter in text)


def _matching(capture: Capture, pattern: str) -> list[PortSummary]:
    summaries = port_summaries(capture)
    found = [summary for summary in summaries if fnmatchcase(summary.path, pattern)]
    if summaries and not found:
        raise InputError(
            f"no tap matches {pattern!r}",
            where=str(capture.path),
            hint=f"parity show {capture.path}",
        )
    return found


def _summary_facts(summary: PortSummary) -> dict[str, Any]:
    facts = asdict(summary)
    facts["specs"] = [{"dtype": spec.dtype, "shape": spec.shape} for spec in summary.specs]
    for name in ("min", "max"):
        facts[name] = facts[name] if math.isfinite(facts[name]) else None
    return facts


def _facts(capture: Capture) -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in _rows(capture):
        if value:
            grid.add_row(name, Text(printable(value)))
    return grid


def _rows(capture: Capture) -> list[tuple[str, str]]:
    meta = capture.meta
    draws = Counter(draw.distribution for draw in capture.noise)
    state = "complete" if capture.complete else "incomplete: the run was cut off, or goes on"
    return [
        ("capture", f"{capture.path} ({state})"),
        ("run", " · ".join(filter(None, (meta.implementation, meta.framework, meta.precision)))),
        ("case", meta.case_name or (capture.case.name if capture.case else "")),
        ("hardware", meta.hardware),
        ("when", " to ".join(filter(None, (meta.started, meta.ended)))),
        ("tensors", _amount(capture)),
        ("phases", ", ".join(phase or "(none)" for phase in capture.phases)),
        ("noise", ", ".join(f"{count:,} × {name}" for name, count in draws.items())),
        ("noise floors", ", ".join(capture.floor_precisions)),
    ]


def _amount(capture: Capture) -> str:
    kept = capture.columns.nbytes.sum() / 1e6
    return f"{len(capture):,} records at {len(capture.paths):,} taps, {kept:,.1f} MB kept"


def _tree(summaries: list[PortSummary]) -> Tree:
    root = Tree("", hide_root=True, guide_style="dim")
    nodes: dict[tuple[str, ...], Tree] = {(): root}
    for summary in summaries:
        place = tuple(summary.path.split("."))
        _node(nodes, place).add(_line(summary))
    return root


def _node(nodes: dict[tuple[str, ...], Tree], place: tuple[str, ...]) -> Tree:
    if place not in nodes:
        parent = _node(nodes, place[:-1])
        nodes[place] = parent.add(Text(printable(place[-1]) or "(root)", style="bold"))
    return nodes[place]


def _line(summary: PortSummary) -> Text:
    specs = ", ".join(map(str, summary.specs[:MAX_SPECS]))
    more = len(summary.specs) - MAX_SPECS
    calls = ", ".join(f"{count}× {phase}".rstrip() for phase, count in summary.calls.items())
    parts = [
        Text(printable(summary.port), style="cyan"),
        Text(f"  {specs}{f' and {more} more' if more > 0 else ''}"),
        Text(printable(f"  {calls}"), style="dim"),
    ]
    if math.isfinite(summary.min):
        parts.append(Text(f"  {summary.min:.4g} … {summary.max:.4g}"))
    if summary.nonfinite:
        parts.append(Text(f"  {summary.nonfinite:,} not finite", style="yellow"))
    return Text.assemble(*parts)
