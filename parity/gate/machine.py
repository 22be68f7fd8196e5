"""The gate's verdict as JSON values."""

from __future__ import annotations

from typing import Any

from parity.gate.result import Failure, GateResult
from parity.gate.words import headline

__all__ = ["to_dict"]


def to_dict(result: GateResult) -> dict[str, Any]:
    """The verdict, under the key `gate` of `parity run --gate --json`."""
    return {
        "passes": result.passes,
        "exit_status": result.exit_status,
        "headline": headline(result),
        "failures": [_failure(failure) for failure in result.failures],
        "forgiven": [
            _failure(forgiven.failure)
            | {"reason": forgiven.entry.reason, "until": forgiven.entry.until.isoformat()}
            for forgiven in result.forgiven
        ],
        "improved": list(result.improved),
    }


def _failure(failure: Failure) -> dict[str, Any]:
    return {
        "kind": str(failure.kind),
        "case": failure.case,
        "candidate": failure.candidate,
        "tap": failure.tap,
        "words": failure.words,
        "hint": failure.hint,
    }
