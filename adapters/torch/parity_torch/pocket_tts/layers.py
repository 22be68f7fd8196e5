"""The stateless layers, each recorded at its site."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch.nn import functional

from parity_torch.pocket_tts.weights import Site

__all__ = ["activation", "embedding", "identity", "layer_norm", "layer_scale", "linear", "rms_norm"]


def linear(site: Site, x: torch.Tensor) -> torch.Tensor:
    """Affine map of the last axis; [..., in] -> [..., out]."""
    return site.record(functional.linear(x, site["weight"], site.get("bias")))


def embedding(site: Site, tokens: torch.Tensor) -> torch.Tensor:
    """Rows of the table; int64[...] -> [..., dim]."""
    return site.record(functional.embedding(tokens, site["weight"]))


def activation(
    site: Site, function: Callable[[torch.Tensor], torch.Tensor], x: torch.Tensor
) -> torch.Tensor:
    """An elementwise function that is a module of its own in the reference; any shape."""
    return site.record(function(x))


def identity(site: Site, x: torch.Tensor) -> torch.Tensor:
    """Nothing, at a place where the reference has a module that does nothing; any shape."""
    return site.record(x)


def layer_scale(site: Site, x: torch.Tensor) -> torch.Tensor:
    """One learnt factor a channel, on a residual branch; [..., dim] -> [..., dim]."""
    return site.record(site["scale"] * x)


def layer_norm(site: Site, x: torch.Tensor, *, eps: float) -> torch.Tensor:
    """Zero mean and unit biased variance over the last axis, then weight and bias if there are."""
    return site.record(
        functional.layer_norm(x, x.shape[-1:], site.get("weight"), site.get("bias"), eps)
    )


def rms_norm(site: Site, x: torch.Tensor, *, eps: float = 1e-5) -> torch.Tensor:
    """What the reference calls RMSNorm: alpha * x / sqrt(unbiased variance + eps).

    The mean goes into the variance but is not taken off x. Shape [..., dim] -> [..., dim].
    """
    variance = x.var(dim=-1, keepdim=True, unbiased=True)
    return site.record(site["alpha"] * x * torch.rsqrt(variance + eps))
