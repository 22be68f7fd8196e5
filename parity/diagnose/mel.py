"""Recognises a mel filter bank by its numbers, and makes others."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch

__all__ = ["Bank", "filters", "recognise"]

Tensor = torch.Tensor

RATES = (16000, 22050, 24000, 44100, 48000, 8000, 32000, 11025, 12000)


@dataclass(frozen=True, slots=True)
class Bank:
    """How a filter bank is made.

    Attributes:
        scale: `slaney` (linear below 1 kHz) or `htk`.
        equal_area: whether filters have equal area instead of equal height.
        rate: samples a second.
        low: lowest frequency, Hz.
        high: highest frequency, Hz.
        bins: of the spectrum.
        count: of filters.
    """

    scale: str
    equal_area: bool
    rate: float
    low: float
    high: float
    bins: int
    count: int

    def but(self, **changes: object) -> Bank:
        """The same with something else in it."""
        return replace(self, **changes)  # type: ignore[arg-type]


def _mel(hz: Tensor, scale: str) -> Tensor:
    if scale == "htk":
        return 2595 * torch.log10(1 + hz / 700)
    step = math.log(6.4) / 27
    return torch.where(hz < 1000, hz * 3 / 200, 15 + (hz.clamp_min(1) / 1000).log() / step)


def _hz(mel: Tensor, scale: str) -> Tensor:
    if scale == "htk":
        return 700 * (10 ** (mel / 2595) - 1)
    step = math.log(6.4) / 27
    return torch.where(mel < 15, mel * 200 / 3, 1000 * torch.exp(step * (mel - 15)))


def filters(bank: Bank) -> Tensor:
    """float64[count, bins]."""
    ends = _mel(torch.tensor([bank.low, bank.high], dtype=torch.float64), bank.scale)
    steps = torch.linspace(0, 1, bank.count + 2, dtype=torch.float64)
    edges = _hz(ends[0] + steps * (ends[1] - ends[0]), bank.scale)
    at = torch.linspace(0, bank.rate / 2, bank.bins, dtype=torch.float64)
    left, peak, right = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    made = torch.minimum((at - left) / (peak - left), (right - at) / (right - peak)).clamp_min(0)
    return made * 2 / (right - left) if bank.equal_area else made


def recognise(values: Tensor) -> Bank | None:
    """The bank that float[count, bins] is, or None.

    The slopes of triangles with two bins or more give where they begin and end; these are spaced
    evenly in one of the scales, which tells the scale, the rate, and both ends.
    """
    w = values.double()
    if w.dim() != 2 or not 4 <= w.shape[0] < w.shape[1] <= 1 << 14 or not bool((w >= 0).all()):
        return None
    if not float(w.max()) > 0:
        return None
    edges = _edges(w)
    if len(edges) < 4:
        return None
    best: tuple[float, Bank] | None = None
    for rate in RATES:
        for scale in ("slaney", "htk"):
            bank = _fitted(w, edges, rate, scale)
            for area in (True, False):
                made = filters(bank.but(equal_area=area))
                if not bool(torch.isfinite(made).all()):
                    continue
                error = float((made - w).norm() / w.norm())
                if best is None or error < 0.5 * best[0]:
                    best = (error, bank.but(equal_area=area))
    return best[1] if best is not None and best[0] < 2e-3 else None


def _edges(w: Tensor) -> list[tuple[int, float]]:
    """Number and place, in bins, of edges that two bins of one slope show."""
    found = []
    for row, weights in enumerate(w.tolist()):
        peak = max(range(len(weights)), key=weights.__getitem__)
        first = next(i for i, v in enumerate(weights) if v > 0) if weights[peak] > 0 else peak
        last = max((i for i, v in enumerate(weights) if v > 0), default=peak)
        if peak - first >= 2:
            slope = weights[first + 1] - weights[first]
            found.append((row, first - weights[first] / slope))
        if last - peak >= 2:
            slope = weights[last - 1] - weights[last]
            found.append((row + 2, last + weights[last] / slope))
    return found


def _fitted(w: Tensor, edges: list[tuple[int, float]], rate: int, scale: str) -> Bank:
    count, bins = w.shape
    hz = torch.tensor([place for _, place in edges], dtype=torch.float64) * rate / 2 / (bins - 1)
    number = torch.tensor([float(n) for n, _ in edges], dtype=torch.float64)
    mel = _mel(hz, scale)
    centred = number - number.mean()
    step = float((centred * mel).sum() / (centred * centred).sum().clamp_min(1e-30))
    start = float(mel.mean()) - step * float(number.mean())
    ends = _hz(torch.tensor([start, start + step * (count + 1)], dtype=torch.float64), scale)
    low, high = (_rounded(float(end)) for end in ends)
    return Bank(scale, True, float(rate), max(low, 0.0), high, bins, count)


def _rounded(hz: float) -> float:
    """A frequency as people write it, where one lies near."""
    if not math.isfinite(hz):
        return hz
    near = round(hz * 2) / 2
    return near if abs(near - hz) < 0.05 else hz
