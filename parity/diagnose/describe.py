"""Says in words what a difference looks like that nothing explains."""

from __future__ import annotations

import torch

__all__ = ["describe"]

Tensor = torch.Tensor

_MOST = 0.98  # share of the energy that counts as "only there"


def describe(theirs: Tensor, ours: Tensor) -> str:
    """What the candidate's tensor is, beside the reference's of the same shape, in a sentence.

    Args:
        theirs: the candidate's, of any shape.
        ours: the reference's on the candidate's inputs.
    """
    if theirs.shape != ours.shape or not theirs.is_floating_point():
        return ""
    a, b = theirs.double(), ours.double()
    if not bool(torch.isfinite(a).all()):
        count = int((~torch.isfinite(a)).sum())
        return f"{count} of {a.numel()} numbers of the candidate are not finite"
    if not bool(torch.isfinite(b).all()) or not a.numel():
        return ""
    parts = [text for find in (_constant, _scaled, _reordered, _where) if (text := find(a, b))]
    return "; ".join(parts) or "spread over the whole tensor, without a simple pattern"


def _constant(a: Tensor, _: Tensor) -> str:
    if a.numel() > 1 and bool((a == a.flatten()[0]).all()):
        return f"the candidate holds {float(a.flatten()[0]):g} everywhere"
    return ""


def _scaled(a: Tensor, b: Tensor) -> str:
    x, y = b.flatten(), a.flatten()
    power = float(x @ x)
    if power == 0 or x.numel() < 4:
        return ""
    slope = float(x @ y) / power
    size = max(float(y.norm()), 1e-30)
    # A small error leaves little whatever the scale: it must take most of it away.
    least = min(0.02, float((y - x).norm()) / size / 2)
    left = float((y - slope * x).norm()) / size
    if left < least:
        return f"the candidate is {slope:.4g} times the reference, to {left:.1e}"
    centred_x, centred_y = x - x.mean(), y - y.mean()
    power = float(centred_x @ centred_x)
    if power == 0:
        return ""
    slope = float(centred_x @ centred_y) / power
    shift = float(y.mean() - slope * x.mean())
    left = float((centred_y - slope * centred_x).norm()) / size
    if left < least:
        return f"the candidate is {slope:.4g} times the reference plus {shift:.4g}, to {left:.1e}"
    return ""


def _reordered(a: Tensor, b: Tensor) -> str:
    if a.numel() < 8:
        return ""
    ours, theirs = b.flatten().sort().values, a.flatten().sort().values
    if float((ours - theirs).norm()) < 1e-5 * float(ours.norm()):
        return "the candidate holds the same numbers in another order"
    return ""


def _where(a: Tensor, b: Tensor) -> str:
    """The axis along which the error is concentrated, or grows."""
    energy = (a - b).square()
    total = float(energy.sum())
    if total == 0:
        return ""
    texts = []
    for axis in range(energy.dim()):
        length = energy.shape[axis]
        if length < 3:
            continue
        profile = energy.sum([d for d in range(energy.dim()) if d != axis]) / total
        texts.append(_profile(profile, axis, length))
    return "; ".join(text for text in texts if text)


def _profile(profile: Tensor, axis: int, length: int) -> str:
    top = profile.sort(descending=True)
    few = int((top.values.cumsum(0) < _MOST).sum()) + 1
    if few <= max(1, length // 4):
        places = sorted(top.indices[:few].tolist())
        return f"along axis {axis} only at {_ranges(places)} of {length}"
    if length >= 6 and float(profile[0]) < 1e-9 < float(profile[-1]):
        first = int((profile > 1e-9).nonzero()[0])
        return f"along axis {axis} from index {first} on"
    return ""


def _ranges(places: list[int]) -> str:
    ranges: list[list[int]] = []
    for place in places:
        if ranges and place == ranges[-1][1] + 1:
            ranges[-1][1] = place
        else:
            ranges.append([place, place])
    words = [str(a) if a == b else f"{a} to {b}" for a, b in ranges[:4]]
    more = f" and {len(ranges) - 4} more places" if len(ranges) > 4 else ""
    return ("index " if len(places) == 1 else "indices ") + ", ".join(words) + more
