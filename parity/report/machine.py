"""A result for programs: JSON, CSV and JUnit XML."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from typing import Any
from xml.etree import ElementTree as ET

from parity import __version__
from parity.diagnose import Diagnosis
from parity.diffing import DiffResult, ModelCoverage, TapDiff
from parity.report.causes import summary
from parity.report.diagnosis_json import diagnosis_to_dict
from parity.report.words import NAMES, first_line, headline, place, told

__all__ = ["to_csv", "to_dict", "to_json", "to_junit", "xml_text"]

# Changes when a reader of the JSON would have to change.
JSON_VERSION = 1


def to_dict(result: DiffResult) -> dict[str, Any]:
    """The result as JSON values; numbers that JSON cannot hold (NaN, infinities) become null."""
    first = result.first_divergence
    return {
        "format": "parity-diff",
        "version": JSON_VERSION,
        "parity": __version__,
        "outcome": str(result.outcome),
        "exit_status": result.outcome.exit_status,
        "headline": headline(result),
        "because": result.because,
        "reference": result.reference,
        "candidate": result.candidate,
        "tolerance": result.tolerance,
        "floors": {
            "source": result.floors.source,
            "precisions": list(result.floors.precisions),
            "calibrated": result.floors.calibrated,
            "derived": result.floors.derived,
        },
        "compared": result.compared,
        "coverage": result.coverage,
        "model": _model(result.model),
        "counts": {str(verdict): count for verdict, count in result.counts.items()},
        "first_divergence": row_to_dict(first) if first else None,
        "notes": list(result.notes),
        "facts": {side: dict(facts) for side, facts in result.facts.items()},
        "taps": [row_to_dict(row) for row in result],
    }


def _model(model: ModelCoverage | None) -> dict[str, Any] | None:
    if model is None:
        return None
    shares = {"modules": model.modules, "parameters": model.parameters, "edges": model.edges}
    counts = {
        name: {"compared": share.compared, "total": share.total} for name, share in shares.items()
    }
    return {**counts, "uncompared": dict(model.uncompared)}


def row_to_dict(row: TapDiff) -> dict[str, Any]:
    """One row as JSON values."""
    return {
        "tap": row.key.path,
        "port": row.key.port,
        "phase": row.key.phase,
        "call": row.key.call,
        "step": row.step,
        "order": row.order,
        "piece": row.piece,
        "candidate_tap": row.candidate_key.path if row.candidate_key else None,
        "reference": str(row.reference) if row.reference else None,
        "candidate": str(row.candidate) if row.candidate else None,
        "verdict": str(row.verdict),
        "ok": row.ok,
        "reason": row.reason,
        "floor": _number(row.floor),
        "floor_source": "calibrated" if row.calibrated else "derived",
        "metrics": {name: _number(value) for name, value in row.metrics.items()},
        "source": row.source,
        "seconds": [_number(seconds) for seconds in row.seconds],
    }


def to_json(result: DiffResult, diagnosis: Diagnosis | None = None) -> str:
    """The result as one JSON document, with the key `diagnosis` where there is one."""
    why = {"diagnosis": diagnosis_to_dict(diagnosis)} if diagnosis is not None else {}
    return json.dumps(to_dict(result) | why, allow_nan=False, ensure_ascii=False, default=str)


def to_csv(result: DiffResult) -> str:
    """The rows as comma-separated values with a header line."""
    return result.to_frame().to_csv(index=False)


def to_junit(
    result: DiffResult, diagnosis: Diagnosis | None = None, *, suite: str = "parity"
) -> str:
    """JUnit XML with one test case a tap and port: it fails if any of its tensors does.

    Where one of them was not compared, and need not be, it is skipped and says so.
    """
    groups: dict[tuple[str, str], list[TapDiff]] = defaultdict(list)
    for row in result:
        groups[row.key.path, row.key.port].append(row)
    failing = {name: [r for r in rows if not r.ok] for name, rows in groups.items()}
    root = ET.Element(
        "testsuite",
        name=suite,
        tests=str(len(groups) + 1),
        failures=str(sum(bool(rows) for rows in failing.values())),
        errors="0" if result.outcome.exit_status < 2 else "1",
    )
    _verdict_case(root, result, diagnosis)
    for (path, port), bad in failing.items():
        case = ET.SubElement(root, "testcase", classname=xml_text(path), name=xml_text(port))
        if bad:
            failure = ET.SubElement(case, "failure", message=xml_text(bad[0].reason))
            failure.text = xml_text("\n".join(f"{place(row)}: {row.reason}" for row in bad[:20]))
        elif absent := [row for row in groups[path, port] if not row.metrics]:
            said = f"not compared: {NAMES[absent[0].verdict]}, at {place(absent[0])}"
            ET.SubElement(case, "skipped", message=xml_text(said))
    root.set("skipped", str(len(root.findall("testcase/skipped"))))
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _verdict_case(root: ET.Element, result: DiffResult, diagnosis: Diagnosis | None) -> None:
    """The comparison as a whole: an inconclusive one is an error, with no tap to hang it on."""
    case = ET.SubElement(root, "testcase", classname="parity", name="verdict")
    if result.outcome.exit_status >= 2:
        ET.SubElement(case, "error", message=xml_text(headline(result)))
    case.set("time", "0")
    ET.SubElement(case, "system-out").text = xml_text(
        "\n".join(
            [
                headline(result),
                first_line(result),
                *([summary(diagnosis)] if diagnosis else []),
                *told(result),
            ]
        )
    )


def xml_text(text: str) -> str:
    """`text` without the control characters that XML 1.0 cannot hold."""
    return "".join(c if c in "\t\n" or ord(c) >= 0x20 else "�" for c in text)


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
