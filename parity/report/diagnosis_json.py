"""A diagnosis for programs."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from parity import __version__
from parity.diagnose import Diagnosis, Finding, FindingSite, Unexplained
from parity.report.causes import cause_of, headline

__all__ = ["diagnosis_to_dict", "diagnosis_to_json"]

# Changes when a reader of the JSON would have to change.
JSON_VERSION = 1


def diagnosis_to_json(diagnosis: Diagnosis) -> str:
    """The diagnosis as one JSON document."""
    return json.dumps(
        diagnosis_to_dict(diagnosis), allow_nan=False, ensure_ascii=False, default=str
    )


def diagnosis_to_dict(diagnosis: Diagnosis) -> dict[str, Any]:
    """The diagnosis as JSON values; numbers that JSON cannot hold (NaN, infinities) become null."""
    document = {
        "format": "parity-diagnosis",
        "version": JSON_VERSION,
        "parity": __version__,
        "verdict": str(diagnosis.verdict),
        "exit_status": diagnosis.verdict.exit_status,
        "headline": headline(diagnosis),
        "findings": [_finding(finding, diagnosis) for finding in diagnosis.findings],
        "unexplained": [_fields(one, Unexplained) for one in diagnosis.unexplained],
        "equivalent": diagnosis.equivalent,
        "output": diagnosis.output,
        "output_error": diagnosis.output_error,
        "output_left": diagnosis.output_left,
        "compared": diagnosis.compared,
        "seconds": diagnosis.seconds,
        "notes": diagnosis.notes,
        "facts": diagnosis.facts,
    }
    return {name: _plain(value) for name, value in document.items()}


def _finding(finding: Finding, diagnosis: Diagnosis) -> dict[str, Any]:
    site = finding.site
    return {
        "rank": finding.rank,
        "site": {
            "tap": site.tap,
            "phase": site.phase,
            "call": site.call,
            "source": site.source,
            "path": site.path,
            "operation": site.operation,
        },
        **{name: value for name, value in _fields(finding, Finding).items() if name != "rank"},
        "sites": [_fields(one, FindingSite) for one in finding.sites],
        "sentence": cause_of(finding, diagnosis).sentence,
    }


def _fields(value: Any, kind: type[Any]) -> dict[str, Any]:
    return {field.name: getattr(value, field.name) for field in fields(kind)}


def _plain(value: Any) -> Any:
    """`value` with every number that JSON has, and null for those that it has not."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(name): _plain(one) for name, one in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(one) for one in value]
    return value
