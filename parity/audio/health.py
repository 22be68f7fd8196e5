"""Signal health: whether a sound is in order by itself, and as much as its reference is."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from parity.audio.judgement import Bound, Check, Judgement, worst
from parity.audio.limits import HEALTH

__all__ = ["Health", "judge_health"]


@dataclass(frozen=True, slots=True, eq=False)
class Health:
    """The third layer.

    Attributes:
        checks: each number with its limit.
        judgement: of the layer.
        preset: name of the limits.
        measures: every number of the candidate, those without a limit too.
    """

    checks: tuple[Check, ...]
    judgement: Judgement
    preset: str = "full"
    measures: Mapping[str, float] = field(default_factory=dict)

    @property
    def failed(self) -> tuple[Check, ...]:
        """The checks that fail."""
        return tuple(check for check in self.checks if check.judgement is Judgement.FAIL)


def judge_health(
    measures: Mapping[str, float],
    reference: Mapping[str, float] | None = None,
    *,
    limits: Mapping[str, Bound] = HEALTH,
    preset: str = "full",
) -> Health:
    """Hold measures against limits.

    Where there is a reference, a number that lies outside its absolute limit as the reference's
    own does is a warning: the port did not break it. One that is too far from the reference's
    fails wherever it lies.

    Args:
        measures: of a sound, from `measure`.
        reference: of its reference.
        limits: by name.
        preset: what the limits are called.
    """
    checks = tuple(
        _judge(name, bound, measures[name], (reference or {}).get(name, math.nan))
        for name, bound in limits.items()
        if name in measures
    )
    return Health(checks, worst(check.judgement for check in checks), preset, measures)


def _judge(name: str, bound: Bound, value: float, reference: float) -> Check:
    judgement, words = bound.judge(value), ""
    if math.isnan(value):
        # Too short for it to be measured.
        return Check("health", name, value, Judgement.SKIPPED, bound.words, reference)
    if not math.isnan(reference):
        if not bound.near(value, reference):
            judgement, words = Judgement.FAIL, f"the reference's is {reference:.3g}"
        elif judgement is Judgement.FAIL and bound.judge(reference) is Judgement.FAIL:
            judgement, words = Judgement.WARN, "as in the reference"
    return Check("health", name, value, judgement, bound.words, reference, words)
