"""`[gate]` in `parity.toml`: what continuous integration lets pass."""

from __future__ import annotations

from datetime import date

import msgspec

__all__ = ["GateConfig", "Listed"]


class Listed(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Something that may fail or be left out for a while, and why.

    Attributes:
        reason: why, for the reader of a report; an issue's number goes here.
        until: the last day on which it counts.
        candidate: glob over candidates.
        case: glob over cases.
        tap: glob over paths of taps.
    """

    reason: str
    until: date
    candidate: str = "*"
    case: str = "*"
    tap: str = "*"


class GateConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `parity run --gate` asks for, besides the tolerance.

    Attributes:
        baseline: the file of the best accepted run, relative to the configuration; empty for none.
        min_coverage: share of the reference's tensors that must be compared, 0 to 1.
        min_parameters: share of the model's parameters whose modules must be compared, 0 to 1.
        expected: taps that are known to fail.
        skip: taps, cases or candidates that need not be compared.
    """

    baseline: str = "parity-baseline.json"
    min_coverage: float = 0.0
    min_parameters: float = 0.0
    expected: tuple[Listed, ...] = ()
    skip: tuple[Listed, ...] = ()
