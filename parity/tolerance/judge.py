"""From metrics, noise floors and rules to verdicts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from parity.metrics import Metrics
from parity.tolerance.floors import DRIFT_LIMIT, dtype_floor
from parity.tolerance.rule import Rule
from parity.tolerance.verdict import Verdict

__all__ = ["Judgement", "inconclusive", "judge"]

Array = np.ndarray[Any, np.dtype[Any]]

FINEST_FLUSHED = 1e-12

_VERDICTS = tuple(Verdict)
_IDENTICAL, _WITHIN_NOISE, _DRIFT, _DIVERGENT, _NONFINITE = range(5)


@dataclass(frozen=True, slots=True, eq=False)
class Judgement:
    """What was concluded about n taps.

    Attributes:
        verdicts: one a tap.
        ok: bool `(n,)`: whether the tap's rule accepts it.
        reasons: which bound failed and by how much, in words; empty where `ok`.
    """

    verdicts: tuple[Verdict, ...]
    ok: Array
    reasons: tuple[str, ...]


def judge(
    metrics: Metrics,
    floors: Array,
    rules: Rule | Sequence[Rule],
    *,
    calibrated: Array | None = None,
) -> Judgement:
    """Decide about n taps that were compared by value.

    Same bits are `identical`. A NaN or infinity that the other side has not is `nonfinite`.
    Otherwise the relative L2 error is `within_noise` up to `noise_factor` times the floor, then
    `drift` up to one percent (or ten times the noise, where that is more), then `divergent`;
    where the floor is 0 any error is `divergent`. A rule with bounds of its own accepts what
    fulfils them, as `drift` at worst, and refuses the rest, as `drift` at best.

    Args:
        metrics: of shape `(n,)`.
        floors: float64 `(n,)`: relative L2 errors that rounding explains, such as `dtype_floor`.
        rules: one rule for all, or one a tap.
        calibrated: where the floor was measured for the precision that the rule names, bool
            `(n,)`; nowhere by default. Elsewhere it is at least that of the precision.
    """
    n = len(metrics.count)
    of_tap = [rules] * n if isinstance(rules, Rule) else list(rules)
    floors = np.broadcast_to(np.asarray(floors, np.float64), (n,))
    fixed = np.zeros(n, bool) if calibrated is None else np.asarray(calibrated, bool)
    verdicts: list[Verdict] = [Verdict.IDENTICAL] * n
    reasons = [""] * n
    for rule, places in _by_rule(of_tap):
        verdict_of, reason_of = _apply(rule, metrics[places], floors[places], fixed[places])
        for place, verdict, reason in zip(places.tolist(), verdict_of, reason_of, strict=True):
            verdicts[place], reasons[place] = verdict, reason
    ok = np.array([not reason for reason in reasons], bool)
    return Judgement(tuple(verdicts), ok, tuple(reasons))


def _by_rule(rules: list[Rule]) -> list[tuple[Rule, Array]]:
    # By identity: most taps share one rule, and hashing its bounds for each would add up.
    places: dict[int, list[int]] = {}
    for place, rule in enumerate(rules):
        places.setdefault(id(rule), []).append(place)
    return [(rules[found[0]], np.array(found, np.int64)) for found in places.values()]


def _apply(
    rule: Rule, metrics: Metrics, floors: Array, calibrated: Array
) -> tuple[list[Verdict], list[str]]:
    if rule.precision:
        coarse = np.maximum(floors, dtype_floor(rule.precision))
        floors = np.where((floors > 0) & ~calibrated, coarse, floors)
    noise = rule.noise_factor * floors
    own_bounds = bool(rule.bounds) or rule.exact
    codes = _codes(rule, metrics, noise)
    accepted = _accepted(rule, metrics) if own_bounds else codes <= _WITHIN_NOISE
    if own_bounds:
        # What the bounds forgive is at worst drift, what they refuse at best.
        codes = np.where(accepted, np.minimum(codes, _DRIFT), np.maximum(codes, _DRIFT))
    broken = metrics.nonfinite_mismatch > 0
    codes = np.where(broken, _NONFINITE, np.where(metrics.bit_identical, _IDENTICAL, codes))
    ok = ~broken & (accepted | metrics.bit_identical)
    reasons = [""] * len(codes)
    for i in np.flatnonzero(~ok).tolist():
        reasons[i] = _reason(rule, metrics, i, noise=float(noise[i]))
    return [_VERDICTS[code] for code in codes.tolist()], reasons


def _codes(rule: Rule, metrics: Metrics, noise: Array) -> Array:
    """Which verdict the relative error deserves; written so that NaN is never within a bound."""
    nothing_but_agreed_gaps = metrics.nonfinite_agreed == metrics.count
    # Only for types that cannot hold such numbers, or that devices flush them to zero in.
    negligible = (metrics.max_abs <= rule.negligible_abs) & (noise > FINEST_FLUSHED)
    in_noise = (metrics.rel_l2 <= noise) | negligible | nothing_but_agreed_gaps
    drifts = (metrics.rel_l2 <= np.maximum(DRIFT_LIMIT, 10.0 * noise)) & (noise > 0)
    codes = np.where(in_noise, _WITHIN_NOISE, np.where(drifts, _DRIFT, _DIVERGENT))
    return np.asarray(codes)


def _accepted(rule: Rule, metrics: Metrics) -> Array:
    """Where all bounds hold, bool `(n,)`."""
    if rule.exact:
        return np.asarray(metrics.bit_identical)
    nothing_but_agreed_gaps = metrics.nonfinite_agreed == metrics.count
    held = [_fulfils(getattr(metrics, name), way, limit) for name, way, limit in rule.bounds]
    return np.asarray(np.logical_and.reduce(held) | nothing_but_agreed_gaps)


def _fulfils(values: Any, way: str, limit: float) -> Any:
    return values <= limit if way == "<=" else values >= limit


def _reason(rule: Rule, metrics: Metrics, tap: int, *, noise: float) -> str:
    """Why one tap was refused."""
    broken = int(metrics.nonfinite_mismatch[tap])
    if broken:
        verb = "is" if broken == 1 else "are"
        return (
            f"{broken:,} of {int(metrics.count[tap]):,} elements {verb} NaN or infinite, and not "
            f"the same on both sides, the first at flat position "
            f"{int(metrics.first_nonfinite[tap])}"
        )
    if rule.exact:
        share = f"rel_l2 {float(metrics.rel_l2[tap]):.1e}"
        return f"the bits differ ({share}), and only the same bits are accepted"
    if rule.bounds:
        held = [(float(getattr(metrics, bound[0])[tap]), bound) for bound in rule.bounds]
        return "; ".join(_failure(v, *bound) for v, bound in held if not _fulfils(v, *bound[1:]))
    if noise == 0:
        off = float(metrics.max_abs[tap])
        return f"max_abs {off:.3g}, where rounding explains no difference at all"
    limit = f"{rule.noise_factor:g} times the noise floor {noise / rule.noise_factor:.1e}"
    return f"{_failure(float(metrics.rel_l2[tap]), 'rel_l2', '<=', noise)} ({limit})"


def _failure(value: float, name: str, way: str, limit: float) -> str:
    if math.isnan(value):
        return f"{name} is undefined here, and should be {way} {limit:.6g}"
    if way == ">=":
        return f"{name} {value:.6g} < {limit:.6g}"
    digits = next((n for n in range(1, 16) if f"{value:.{n}e}" != f"{limit:.{n}e}"), 16)
    return f"{name} {value:.{digits}e} > {limit:.{digits}e}"


def inconclusive(metrics: Metrics) -> str:
    """Why a comparison of n taps shows nothing even if all of them agree; empty if it shows.

    Args:
        metrics: of shape `(n,)`: the taps that were compared by value.
    """
    if len(metrics.count) == 0:
        return "no tensor was compared"
    if not metrics.count.any():
        return "every compared tensor is empty"
    if not metrics.compared.any() and not metrics.nonfinite_mismatch.any():
        return "every compared tensor holds NaN or infinities only"
    if not _informative(metrics).any():
        return "every compared tensor holds one value only, on both sides"
    return ""


def _informative(metrics: Metrics) -> Array:
    """Where agreement means something: not one repeated value on both sides, nor a single 0."""
    constant = metrics.reference_constant & metrics.candidate_constant
    single = (metrics.count == 1) & (metrics.reference_max != 0.0)
    return np.asarray(~constant | single | (metrics.nonfinite_mismatch > 0))
