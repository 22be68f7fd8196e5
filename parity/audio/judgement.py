"""Numbers held against limits: what every layer of listening returns."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Bound", "Check", "Judgement", "worst"]


class Judgement(StrEnum):
    """What a check, a layer, or all of them together say."""

    PASS = "pass"  # noqa: S105 - no password
    WARN = "warn"
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"
    INVALID = "invalid"
    SKIPPED = "skipped"

    @property
    def exit_status(self) -> int:
        """0 nothing to hear, 1 something, 3 nothing can be concluded."""
        return {Judgement.FAIL: 1, Judgement.PASS: 0, Judgement.WARN: 0}.get(self, 3)


_SEVERITY = (
    Judgement.SKIPPED,
    Judgement.PASS,
    Judgement.WARN,
    Judgement.INCONCLUSIVE,
    Judgement.INVALID,
    Judgement.FAIL,
)


def worst(judgements: Iterable[Judgement]) -> Judgement:
    """The gravest: fail, invalid, inconclusive, warn, pass; skipped where there is none."""
    return max(judgements, key=_SEVERITY.index, default=Judgement.SKIPPED)


@dataclass(frozen=True, slots=True)
class Bound:
    """What a number may be.

    Attributes:
        low: the least that passes.
        high: the most that passes.
        warn_low: below it, a warning.
        warn_high: above it, a warning.
        apart: the most by which a candidate may differ from its reference.
        times: the largest factor between candidate and reference, either way.
    """

    low: float = -math.inf
    high: float = math.inf
    warn_low: float = -math.inf
    warn_high: float = math.inf
    apart: float = math.inf
    times: float = math.inf

    def judge(self, value: float) -> Judgement:
        """The number by itself; NaN fails unless nothing is asked of it."""
        if self.low == -math.inf and self.high == math.inf:
            return Judgement.PASS
        if not self.low <= value <= self.high:
            return Judgement.FAIL
        within = self.warn_low <= value <= self.warn_high
        return Judgement.PASS if within else Judgement.WARN

    def near(self, value: float, reference: float) -> bool:
        """Whether a candidate's number is near enough to the reference's."""
        if self.apart < math.inf and not abs(value - reference) <= self.apart:
            return False
        if self.times == math.inf:
            return True
        small, large = sorted((abs(value), abs(reference)))
        return large <= small * self.times

    @property
    def words(self) -> str:
        """The absolute part: `0.99 to 1.01`, `at least 40`, `at most 0.05`; empty without one."""
        if self.low > -math.inf and self.high < math.inf:
            return f"{self.low:g} to {self.high:g}" if self.low != self.high else f"{self.low:g}"
        if self.low > -math.inf:
            return f"at least {self.low:g}"
        return f"at most {self.high:g}" if self.high < math.inf else ""


@dataclass(frozen=True, slots=True)
class Check:
    """One number, held against its limit.

    Attributes:
        layer: `waveform` or `health`.
        name: a stable identifier (`snr_db`).
        value: of the candidate, in the unit that the name ends with.
        judgement: pass, warn or fail.
        limit: in words.
        reference: the same number of the reference; NaN where it has none.
        words: what it means, in a few words.
    """

    layer: str
    name: str
    value: float
    judgement: Judgement
    limit: str = ""
    reference: float = math.nan
    words: str = ""
