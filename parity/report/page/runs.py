"""Where and how both sides ran, fact by fact, and which of the facts differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from parity.diffing import DiffResult
from parity.report.page.evidence import Evidence
from parity.report.places import named

__all__ = ["environment_rows", "provenance_rows"]

SIDES = ("reference", "candidate")
# What says which run this was, and not how it ran.
PROVENANCE = ("implementation", "code_revision", "case_name", "case_digest", "weights_digest",
              "started", "ended")  # fmt: skip
MOST = 400

Row = tuple[str, str, str, bool]


def environment_rows(result: DiffResult, evidence: Evidence) -> list[Row]:
    """Fact, reference, candidate, and whether the two differ; those that do come first."""
    sides = []
    for which in SIDES:
        facts = {k: v for k, v in result.facts.get(which, {}).items() if k not in PROVENANCE}
        sides.append(dict(_flat({**facts, **_stated(evidence.environments.get(which, {}))})))
    rows = _beside(sides[0], sides[1])
    return sorted(rows, key=lambda row: not row[3])[:MOST]


def provenance_rows(result: DiffResult) -> list[Row]:
    """The same of what identifies the two runs: files, case, weights, code, times."""
    sides = []
    for which, label in zip(SIDES, (result.reference, result.candidate), strict=True):
        facts = result.facts.get(which, {})
        known = {name.replace("_", " "): named(str(facts.get(name, ""))) for name in PROVENANCE}
        sides.append({"capture": named(label), **known})
    return _beside(sides[0], sides[1])


def _stated(environment: Mapping[str, Any]) -> dict[str, Any]:
    """An environment without the digests of the hundreds of files that a run had loaded."""
    depends = environment.get("dependencies")
    if not isinstance(depends, Mapping):
        return dict(environment)
    sources = {"source files loaded": len(depends.get("sources") or ())}
    packages = {"package": depends.get("distributions") or {}}
    return {k: v for k, v in environment.items() if k != "dependencies"} | sources | packages


def _beside(ours: Mapping[str, str], theirs: Mapping[str, str]) -> list[Row]:
    names = dict.fromkeys([*ours, *theirs])
    pairs = [(name, ours.get(name, ""), theirs.get(name, "")) for name in names]
    return [(name, one, two, one != two) for name, one, two in pairs if one or two]


def _flat(facts: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Nested facts as one level: `versions.torch`, `2.9.1`."""
    if isinstance(facts, Mapping):
        for name, value in facts.items():
            yield from _flat(value, f"{path}.{name}" if path else str(name))
    elif facts not in ("", None):
        yield named(path.replace("_", " ")), named(str(facts))
