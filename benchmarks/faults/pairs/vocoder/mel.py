"""Triangular filters on the mel scale, as the reference builds its buffer."""

from __future__ import annotations

import numpy as np
import torch

__all__ = ["slaney_filters"]

BREAK_HZ, BREAK_MEL, LOG_STEP = 1000.0, 15.0, np.log(6.4) / 27.0


def slaney_filters(rate: int, n_fft: int, mels: int, fmin: float, fmax: float) -> torch.Tensor:
    """Filters of equal area, linear below 1 kHz and logarithmic above; [mels, n_fft / 2 + 1]."""
    edges = _hz(np.linspace(_mel(fmin), _mel(fmax), mels + 2))
    bins = np.linspace(0, rate / 2, n_fft // 2 + 1)
    rising = (bins - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - bins) / (edges[2:] - edges[1:-1])[:, None]
    filters = np.maximum(0, np.minimum(rising, falling))
    return torch.tensor(filters * (2 / (edges[2:] - edges[:-2]))[:, None], dtype=torch.float32)


def _mel(hz: float) -> float:
    if hz < BREAK_HZ:
        return hz * BREAK_MEL / BREAK_HZ
    return BREAK_MEL + float(np.log(hz / BREAK_HZ)) / LOG_STEP


def _hz(mel: np.ndarray) -> np.ndarray:
    above = BREAK_HZ * np.exp(LOG_STEP * (mel - BREAK_MEL))
    return np.where(mel < BREAK_MEL, mel * BREAK_HZ / BREAK_MEL, above)
