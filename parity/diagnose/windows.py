"""Windows of short-time transforms, by name."""

from __future__ import annotations

import torch

__all__ = ["name_of_window", "windows"]

Tensor = torch.Tensor


def windows(n: int) -> dict[str, Tensor]:
    """The windows in use, float32[n] each."""
    found: dict[str, Tensor] = {}
    for ends, periodic in (("periodic", True), ("symmetric", False)):
        hann = torch.hann_window(n, periodic=periodic)
        found[f"Hann, {ends}"] = hann
        found[f"Hamming, {ends}"] = torch.hamming_window(n, periodic=periodic)
        found[f"Blackman, {ends}"] = torch.blackman_window(n, periodic=periodic)
        found[f"Bartlett, {ends}"] = torch.bartlett_window(n, periodic=periodic)
        found[f"root of Hann, {ends}"] = hann.clamp_min(0).sqrt()
        found[f"Povey, {ends}"] = hann.clamp_min(0).pow(0.85)
        found[f"Hamming 25/46, {ends}"] = torch.hamming_window(
            n, periodic=periodic, alpha=25 / 46, beta=21 / 46
        )
    middle = torch.arange(n) + 0.5
    found["Vorbis"] = torch.sin(torch.pi / 2 * torch.sin(torch.pi * middle / n) ** 2)
    found["sine"] = torch.sin(torch.pi * middle / n)
    found["none"] = torch.ones(n)
    return found


def name_of_window(values: Tensor) -> str | None:
    """The window that float[n] is; None for other vectors."""
    if values.dim() != 1 or not 8 <= values.numel() <= 1 << 16:
        return None
    if not bool((values >= -1e-6).all()) or not 0.5 < float(values.max()) < 1.0001:
        return None
    flat = values.float()
    for name, window in windows(values.numel()).items():
        if name != "none" and torch.allclose(flat, window, rtol=0, atol=2e-6):
            return name
    return None
