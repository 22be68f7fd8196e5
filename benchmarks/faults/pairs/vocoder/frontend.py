"""The port's front end: from 16-bit samples to normalised log-mel frames."""

from __future__ import annotations

import math

import torch
from torch.nn import functional

from benchmarks.faults.pairs.vocoder.ops import Place
from benchmarks.faults.pairs.vocoder.reference import (
    EMPHASIS,
    FMAX,
    FMIN,
    HOP,
    MELS,
    N_FFT,
    RATE,
    WIN,
)

__all__ = ["frontend"]


def frontend(place: Place, samples: torch.Tensor) -> torch.Tensor:
    """int16[batch, samples] -> [batch, mels, frames]; in single precision up to the result."""
    wave = samples.float() / (1 if place.has("wave_unscaled") else 32768)
    if place.has("wave_normalised"):
        wave = wave / wave.abs().amax(dim=1, keepdim=True)
    if not place.has("preemphasis_omitted"):
        factor = 0.95 if place.has("preemphasis_factor") else EMPHASIS
        wave = wave - factor * functional.pad(wave, (1, 0))[:, :-1]
    mel = torch.einsum("mf,bft->bmt", filters(place), spectrogram(place / "spectrogram", wave))
    floor = 1e-3 if place.has("log_floor") else 1e-5
    x = torch.log(mel + floor if place.has("log_floor_added") else mel.clamp(min=floor))
    if place.has("log_base_ten"):
        x = x / math.log(10)
    if place.has("log_base_two"):
        x = x / math.log(2)
    mean, std = place["mean"].float(), place["std"].float()
    if place.has("stats_as_variance"):
        std = std.square()
    if place.has("stats_reversed"):
        mean, std = mean.flip(0), std.flip(0)
    return place.tap(((x - mean[:, None]) / std[:, None]).to(place.dtype))


def window(place: Place) -> torch.Tensor:
    """What each frame is multiplied by, [n_fft]."""
    period = WIN - 1 if place.has("window_symmetric") else WIN
    raised = torch.cos(2 * math.pi * torch.arange(WIN, dtype=torch.float64) / period)
    shape = 0.54 - 0.46 * raised if place.has("window_hamming") else 0.5 - 0.5 * raised
    before = 0 if place.has("window_at_left") else (N_FFT - WIN) // 2
    return functional.pad(shape, (before, N_FFT - WIN - before)).float()


def spectrogram(place: Place, wave: torch.Tensor) -> torch.Tensor:
    """Power, [batch, samples] -> [batch, bins, frames]."""
    reach = N_FFT // 2
    if place.has("frames_not_centred"):
        wave = functional.pad(wave, (0, 2 * reach))
    elif place.has("frames_padded_with_zeros"):
        wave = functional.pad(wave, (reach, reach))
    else:
        left, right = wave[:, 1 : reach + 1].flip(1), wave[:, -reach - 1 : -1].flip(1)
        wave = torch.cat([left, wave, right], dim=1)
    frames = wave.unfold(1, N_FFT, HOP) * window(place)
    if place.variant == "fft":
        power = torch.view_as_real(torch.fft.rfft(frames)).square().sum(-1)
    else:
        turns = torch.outer(torch.arange(N_FFT // 2 + 1), torch.arange(N_FFT)) % N_FFT
        angles = 2 * math.pi / N_FFT * turns.double()
        real, imaginary = frames @ angles.cos().float().T, frames @ angles.sin().float().T
        power = real.square() + imaginary.square()
    if place.has("spectrum_magnitude"):
        power = power.sqrt()
    if place.has("transform_scaled"):
        power = power / N_FFT
    place.tap(power.mT.to(place.dtype))
    return power.mT


def filters(place: Place) -> torch.Tensor:
    """Triangles between neighbouring edges on the mel scale, [mels, bins]."""
    highest = RATE / 2 if place.has("mel_fmax") else FMAX
    to_mel, to_hz = (htk_mel, htk_hz) if place.has("mel_htk") else (slaney_mel, slaney_hz)
    lowest = 20.0 if place.has("mel_fmin") else FMIN
    low, high = to_mel(lowest), to_mel(highest)
    edges = [to_hz(low + (high - low) * i / (MELS + 1)) for i in range(MELS + 2)]
    rows = torch.zeros(MELS, N_FFT // 2 + 1)
    for mel in range(MELS):
        left, top, right = edges[mel : mel + 3]
        area = 1.0 if place.has("mel_not_normalised") else 2 / (right - left)
        for index in range(rows.shape[1]):
            hz = index * RATE / N_FFT
            if left < hz < right:
                slope = (hz - left) / (top - left) if hz <= top else (right - hz) / (right - top)
                rows[mel, index] = slope * area
    return rows


def slaney_mel(hz: float) -> float:
    """Linear below 1 kHz, logarithmic above."""
    return hz * 0.015 if hz < 1000 else 15 + 27 * math.log(hz / 1000) / math.log(6.4)


def slaney_hz(mel: float) -> float:
    """The inverse of `slaney_mel`."""
    return mel / 0.015 if mel < 15 else 1000 * 6.4 ** ((mel - 15) / 27)


def htk_mel(hz: float) -> float:
    """Logarithmic throughout."""
    return 2595 * math.log10(1 + hz / 700)


def htk_hz(mel: float) -> float:
    """The inverse of `htk_mel`."""
    return 700 * (10 ** (mel / 2595) - 1)
