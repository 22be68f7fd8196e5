"""The results as Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["markdown"]

_TITLES = {
    "pocket-tts": "A new release that changed its GELU",
    "coreml": "A converter that changes a GELU",
}


def markdown(found: Mapping[str, Mapping[str, Any]]) -> str:
    """The page of all cases, by name."""
    lines = [
        "# Two real differences",
        "",
        "Measured by `python -m benchmarks.real_cases`. No fault was planted.",
    ]
    for name, case in found.items():
        lines += ["", f"## {_TITLES[name]}", "", *_section(case)]
    return "\n".join(lines) + "\n"


def _section(case: Mapping[str, Any]) -> Iterator[str]:
    yield f"Reference: {case['reference']}. Candidate: {case['candidate']}."
    yield from ["", "```", *case["screen"], "```"]
    yield from ["", "| measured | |", "|---|---|"]
    yield from (f"| {name} | {value:.3g} |" for name, value in case["measured"].items())
    yield from ["", "| cause | grade | places |", "|---|---|---|"]
    for finding in case["diagnosis"]["findings"]:
        places = ", ".join(f"`{site['path'] or site['operation']}`" for site in finding["sites"])
        yield (
            f"| {finding['candidate']} instead of {finding['reference']} "
            f"| {finding['grade']} | {places} |"
        )
    yield from [
        "",
        "| process | seconds | MiB at most |",
        "|---|---|---|",
    ]
    yield from (f"| {s['name']} | {s['seconds']} | {s['mib']} |" for s in case["steps"])
