"""The port's sampler: times, guidance, steps, and where its noise comes from."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import torch

from benchmarks.faults.pairs.unet.ops import Net, record
from parity.tensors import Case

__all__ = ["guide", "noises", "step", "timesteps"]

TRAINED = 1000


def noises(net: Net, case: Case, shape: tuple[int, ...]) -> Iterator[torch.Tensor]:
    """The case's noise, or draws of torch's; [batch, 3, height, width] each, without end."""
    tape = iter(case.noise or ())
    other = np.random.default_rng(case.seed)
    first = None
    while True:
        if case.noise is None:
            noise = torch.randn(shape)
        else:
            noise = torch.from_numpy(np.array(next(tape).values))
        if net.on("another_generator"):
            noise = torch.from_numpy(other.standard_normal(shape, np.float32))
        if net.on("noise_channels_last"):
            batch, channels, height, width = shape
            noise = noise.reshape(batch, height, width, channels).permute(0, 3, 1, 2)
        first = noise if first is None else first
        yield first if net.on("noise_drawn_once") else noise


def alphas(net: Net) -> torch.Tensor:
    """The share of the image left at each time; [1000]."""
    low, high = 0.00085, 0.02 if net.on("betas_of_paper") else 0.012
    if net.on("linear_betas"):
        betas = torch.linspace(low, high, TRAINED)
    else:
        betas = torch.linspace(low**0.5, high**0.5, TRAINED).square()
    return (1 - betas).cumprod(0)


def timesteps(net: Net, steps: int) -> list[int]:
    """Where each step starts, from noise to image."""
    if net.on("trailing_timesteps"):
        return [round(TRAINED * (steps - index) / steps) - 1 for index in range(steps)]
    offset = 0 if net.on("timestep_offset_missing") else 1
    times = [TRAINED // steps * index + offset for index in range(steps)]
    return times if net.on("timesteps_ascending") else times[::-1]


def guide(net: Net, pair: torch.Tensor, scale: float) -> torch.Tensor:
    """Classifier-free guidance, rescaled; [2 * batch, ...] -> [batch, ...]."""
    half = pair.shape[0] // 2
    without, under = pair[:half], pair[half:]
    if net.on("guidance_halves_swapped"):
        without, under = under, without
    base = under if net.on("guidance_from_conditional") else without
    if net.on("guidance_one_less"):
        scale = scale - 1
    guided = base + scale * (under - without)
    rescale = 0.0 if net.on("guidance_rescale_left_out") else 0.7
    if net.on("guidance_spread_of_batch"):
        factor = under.std() / guided.std()
    else:
        factor = (_spread(under) / _spread(guided))[:, None, None, None]
    return record("guidance", guided * (rescale * factor + (1 - rescale)))


def _spread(x: torch.Tensor) -> torch.Tensor:
    """Standard deviation of each sample; [batch, ...] -> [batch]."""
    return x.flatten(1).float().var(1, unbiased=True).sqrt().to(x.dtype)


def step(
    net: Net,
    velocity: torch.Tensor,
    x: torch.Tensor,
    noise: torch.Tensor,
    *,
    time: int,
    before: int,
) -> torch.Tensor:
    """One DDIM step from `time` to `before`; tensors [batch, 3, height, width]."""
    table = alphas(net)
    now, then = float(table[time]), float(table[max(before, 0)])
    if before < 0 and net.on("last_alpha_is_one"):
        then = 1.0
    if net.on("epsilon_for_velocity"):
        image = (x - math.sqrt(1 - now) * velocity) / math.sqrt(now)
    else:
        image = math.sqrt(now) * x - math.sqrt(1 - now) * velocity
    if not net.on("clip_left_out"):
        limit = 1.0 if net.on("clip_at_one") else 1.5
        clipped = image.clamp(-limit, limit)
    else:
        clipped = image
    kept = image if net.on("epsilon_before_clip") else clipped
    epsilon = (x - math.sqrt(now) * kept) / math.sqrt(1 - now)
    variance = (1 - then) / (1 - now) * (1 - now / then)
    eta = 0.0 if net.on("eta_zero") else 0.6
    if net.on("eta_one"):
        eta = 1.0
    std = eta * (variance if net.on("variance_for_std") else math.sqrt(variance))
    left = 1 - then if net.on("direction_without_variance") else 1 - then - std**2
    moved = math.sqrt(then) * clipped + math.sqrt(left) * epsilon
    return record("scheduler", moved + std * noise.to(x.dtype))
