"""The flow network: an MLP with adaptive layer norm that turns noise into a latent."""

from __future__ import annotations

import torch
from torch.nn import functional

from parity_torch.pocket_tts.layers import activation, layer_norm, linear, rms_norm
from parity_torch.pocket_tts.weights import Site

__all__ = ["flow_direction", "sample_latent"]

NORM_EPS = 1e-6


def sample_latent(
    site: Site, condition: torch.Tensor, noise: torch.Tensor, *, depth: int, steps: int
) -> torch.Tensor:
    """Walk from noise to a latent in `steps` jumps of Lagrangian self-distillation.

    Source: https://arxiv.org/abs/2505.18825. Each jump knows where it starts and where it lands.

    Args:
        site: of the flow network.
        condition: what the language model knows, [batch, dim].
        noise: the starting point, [batch, latent].
        depth: number of residual blocks.
        steps: number of jumps.

    Returns:
        The latent, [batch, latent].
    """
    x = noise
    for step in range(steps):
        start = torch.full_like(noise[:, :1], step / steps)
        target = torch.full_like(noise[:, :1], (step + 1) / steps)
        x = x + flow_direction(site, condition, start, target, x, depth=depth) / steps
    return x


def flow_direction(
    site: Site,
    condition: torch.Tensor,
    start: torch.Tensor,
    target: torch.Tensor,
    x: torch.Tensor,
    *,
    depth: int,
) -> torch.Tensor:
    """The mean direction from time `start` to time `target`, both [batch, 1]; [batch, latent]."""
    x = linear(site / "input_proj", x)
    context = linear(site / "cond_embed", condition) + time_context(site, start, target)
    for index in range(depth):
        x = residual_block(site / "res_blocks" / index, x, context)
    return site.record(final_layer(site / "final_layer", x, context))


def time_context(site: Site, start: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """The mean of two embeddings, of the start by the first and of the target by the second."""
    return (
        embed_time(site / "time_embed" / 0, start) + embed_time(site / "time_embed" / 1, target)
    ) / 2


def embed_time(site: Site, time: torch.Tensor) -> torch.Tensor:
    """A time in 0 to 1 as a vector; [batch, 1] -> [batch, dim]."""
    mlp = site / "mlp"
    x = linear(mlp / 0, waves(angles(site, time)))
    x = activation(mlp / 1, functional.silu, x)
    x = linear(mlp / 2, x)
    return site.record(mlp.record(rms_norm(mlp / 3, x)))


def angles(site: Site, time: torch.Tensor) -> torch.Tensor:
    """A time at each frequency; [batch, 1] -> [batch, frequencies]."""
    return time * site["freqs"]


def waves(angles: torch.Tensor) -> torch.Tensor:
    """First all cosines, then all sines; [batch, frequencies] -> [batch, 2 * frequencies]."""
    return torch.cat([torch.cos(angles), torch.sin(angles)], dim=-1)


def residual_block(site: Site, x: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
    """One block, steered by the context; [batch, dim] -> [batch, dim]."""
    shift, scale, gate = shift_scale_gate(site, context)
    h = modulate(layer_norm(site / "in_ln", x, eps=NORM_EPS), shift, scale)
    mlp = site / "mlp"
    h = linear(mlp / 0, h)
    h = activation(mlp / 1, functional.silu, h)
    h = mlp.record(linear(mlp / 2, h))
    return site.record(x + gate * h)


def final_layer(site: Site, x: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
    """Norm without weights, modulation, projection; [batch, dim] -> [batch, latent]."""
    shift, scale = shift_scale(site, context)
    h = modulate(layer_norm(site / "norm_final", x, eps=NORM_EPS), shift, scale)
    return site.record(linear(site / "linear", h))


def shift_scale_gate(
    site: Site, context: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """How the context steers a block, [batch, dim] each."""
    shift, scale, gate = adaptive(site / "adaLN_modulation", context).chunk(3, dim=-1)
    return shift, scale, gate


def shift_scale(site: Site, context: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """How the context steers the final layer, [batch, dim] each."""
    shift, scale = adaptive(site / "adaLN_modulation", context).chunk(2, dim=-1)
    return shift, scale


def adaptive(site: Site, context: torch.Tensor) -> torch.Tensor:
    """Shifts, scales and gates side by side, from the context."""
    return site.record(linear(site / 1, activation(site / 0, functional.silu, context)))


def modulate(x: torch.Tensor, shift: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    """The affine map of adaptive layer norm, in which a scale of zero changes nothing."""
    return x * (1 + scale) + shift
