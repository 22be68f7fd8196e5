"""Writes the tables into docs/listening.md, between their markers."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

__all__ = ["rewrite"]

PAGE = Path(__file__).parents[2] / "docs" / "listening.md"
SHOWN = {"pass": "·", "warn": "warns", "fail": "**fails**", "inconclusive": "?", "invalid": "?"}


def rewrite(found: dict[str, Any]) -> None:
    """Put the figures of a run into the page."""
    text = PAGE.read_text()
    for name, table in {
        "faults": _faults(found["faults"]),
        "ranges": _ranges(found["ranges"]),
        "gate": _gate(found["gate"]),
        "speed": _speed(found["speed"]),
    }.items():
        pattern = rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)"
        text = re.sub(pattern, lambda m, t=table: f"{m[1]}{t}\n{m[2]}", text, flags=re.DOTALL)
    PAGE.write_text(text)


def _faults(rows: list[dict[str, Any]]) -> str:
    audible = [row for row in rows if row["audible"]]
    benign = [row for row in rows if not row["audible"]]
    asked = any(row["words"] for row in rows)
    story = sum(row["story"] == "fail" for row in audible)
    lines = [
        f"{len(rows)} changes: {len(audible)} faults, of which {_caught(audible)} are caught by "
        f"some layer, and {len(benign)} that nobody hears, of which {_caught(benign)} fail. The "
        f"story's four checks fail {story} of these {len(audible)}; health without a reference "
        f"{sum(r['health alone'] == 'fail' for r in audible)}, with one "
        f"{sum(r['health'] == 'fail' for r in audible)}; the waveform "
        f"{sum(r['waveform'] == 'fail' for r in audible)}.",
        "",
        f"| change | waveform |{' words |' if asked else ''} health | without reference | "
        "story's four | said |",
        f"|---|---|{'---|' if asked else ''}---|---|---|---|",
    ]
    for row in rows:
        cells = [SHOWN[row[layer]] for layer in ("waveform", "health", "health alone", "story")]
        said = "; ".join(row["diagnosis"]) or ", ".join(f"`{name}`" for name in row["failed"][:3])
        if asked:
            cells.insert(1, row["words"].replace("-", "−"))
        lines.append(f"| {row['name']} | {' | '.join(cells)} | {said} |")
    return "\n".join(lines)


def _caught(rows: list[dict[str, Any]]) -> int:
    return sum(row["caught"] for row in rows)


def _ranges(sets: dict[str, dict[str, list[float]]]) -> str:
    from parity.audio import HEALTH  # noqa: PLC0415

    lines = [f"| measure | {' | '.join(sets)} | limit |", f"|---|{'---|' * len(sets)}---|"]
    for name, bound in HEALTH.items():
        cells = [f"{low:.3g} to {high:.3g}" for low, high in (s[name] for s in sets.values())]
        lines.append(f"| `{name}` | {' | '.join(cells)} | {bound.words} |")
    return "\n".join(lines)


def _gate(rows: list[dict[str, Any]]) -> str:
    counts = sorted({row["phrases"] for row in rows})
    lines = [f"| draws | true rise | {' | '.join(f'{n} phrases' for n in counts)} |",
             f"|---|---|{'---|' * len(counts)}"]  # fmt: skip
    for seeded in (True, False):
        for rise in sorted({row["rise"] for row in rows}):
            chosen = {r["phrases"]: r["shares"] for r in rows
                      if r["seeded"] == seeded and r["rise"] == rise}  # fmt: skip
            cells = [f"{_share(chosen[n], 'fail')} / {_share(chosen[n], 'pass')}" for n in counts]
            draws = "the same" if seeded else "others"
            lines.append(f"| {draws} | {100 * rise:.0f} points | {' | '.join(cells)} |")
    return "\n".join(lines)


def _share(shares: dict[str, float], name: str) -> str:
    return f"{100 * shares.get(name, 0.0):.0f} %"


def _speed(found: dict[str, float]) -> str:
    return (
        f"{found['audio_s']:.0f} s of speech at 24 kHz take waveform, health and diagnosis "
        f"{found['wall_s']:.1f} s, {found['processor_s']:.1f} s of them on the processor."
    )
