"""An independent port of the Conformer: functions over a dictionary of weights."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import nn
from torch.nn import functional

from benchmarks.faults.pairs.conformer.attention import attention, positions
from benchmarks.faults.pairs.conformer.ops import Place, conv2d, layer_norm, linear, silu
from benchmarks.faults.pairs.conformer.reference import DIM, LAYERS, build
from parity.tensors import Case

__all__ = ["VARIANTS", "Port"]

DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
VARIANTS = (
    "blocked_matmul",
    "fused_qkv",
    "strided_shift",
    "folded_batch_norm",
    "folded_half_step",
)
BATCH_EPS = 1e-5


class Port:
    """The port, with some faults on, in one precision and one variant."""

    name = "conformer port"

    def __init__(self, faults: frozenset[str], precision: str, variant: str) -> None:
        self.modules: Mapping[str, nn.Module] = {}
        dtype = DTYPES[precision]
        weights = {name: value.clone() for name, value in build().state_dict().items()}
        if variant == "folded_batch_norm":
            _fold_batch_norm(weights)
        if variant == "folded_half_step":
            for name in [name for name in weights if ".down." in name]:
                weights[name] *= 0.5
        cast = {name: value.to(dtype) for name, value in weights.items()}
        self.root = Place(cast, "", faults, variant, dtype)

    @torch.no_grad()
    def run(self, case: Case) -> dict[str, torch.Tensor]:
        """Log probabilities, [batch, time, words]."""
        features, lengths = (torch.from_numpy(case.arrays[n]) for n in ("features", "lengths"))
        return {"log_probs": conformer(self.root, features, lengths)}


def _fold_batch_norm(weights: dict[str, torch.Tensor]) -> None:
    """Move each batch norm into the depthwise convolution before it."""
    for layer in range(LAYERS):
        norm, conv = f"layers.{layer}.conv.batch_norm", f"layers.{layer}.conv.depthwise"
        scale = weights[f"{norm}.weight"]
        scale = scale / (weights.pop(f"{norm}.running_var") + BATCH_EPS).sqrt()
        shift = weights[f"{norm}.bias"] - weights.pop(f"{norm}.running_mean") * scale
        weights[f"{conv}.weight"] *= scale[:, None, None]
        weights[f"{conv}.bias"] = weights[f"{conv}.bias"] * scale + shift


def conformer(place: Place, features: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    """[batch, frames, bands], int64[batch] -> [batch, time, words]."""
    x = subsampled(place / "subsampling", normed(place / "feature_norm", features))
    if not place.has("lengths_of_frames"):
        lengths = torch.div(lengths - 3, 4, rounding_mode="floor")
    (place / "subsampling").tap(lengths, "1")
    if place.has("padding_one_late"):
        lengths = lengths + 1
    padding = torch.arange(x.shape[1])[None] >= lengths[:, None]
    table = positions(place / "positions", x.shape[1])
    for index in range(LAYERS):
        x = layer(place / "layers" / index, x, table, padding)
        if index < LAYERS - 1:
            x = conditioned(place, x)
    logits = linear(place / "head", x)
    if place.has("probabilities_for_logarithms"):
        return place.tap(logits.softmax(dim=-1))
    axis = 1 if place.has("normalised_over_time") else -1
    return place.tap(logits - logits.logsumexp(dim=axis, keepdim=True))


def normed(place: Place, x: torch.Tensor) -> torch.Tensor:
    """Features by the statistics of the training data; [batch, frames, bands] -> the same."""
    mean, istd = place["mean"].float(), place["istd"].float()
    if place.has("inverse_deviation_divides"):
        istd = 1 / istd
    if place.has("mean_behind_scale"):
        return place.tap((x * istd - mean).to(place.dtype))
    return place.tap(((x - mean) * istd).to(place.dtype))


def subsampled(place: Place, x: torch.Tensor) -> torch.Tensor:
    """[batch, frames, bands] -> [batch, time, dim]."""
    x = conv2d(place / "conv1", x[:, None]).clamp(min=0)
    x = conv2d(place / "conv2", x)
    if not place.has("second_relu_omitted"):
        x = x.clamp(min=0)
    order = (0, 2, 3, 1) if place.has("bands_before_channels") else (0, 2, 1, 3)
    y = linear(place / "out", x.permute(order).flatten(2))
    return place.tap(y if place.has("input_unscaled") else y * math.sqrt(DIM))


def conditioned(place: Place, x: torch.Tensor) -> torch.Tensor:
    """Tell the next layers what was found; [batch, time, dim] -> the same."""
    found = linear(place / "head", x)
    if not place.has("condition_by_logits"):
        found = found.softmax(dim=-1)
    told = linear(place / "condition", found)
    return x if place.has("condition_not_added") else x + told


def layer(
    place: Place, x: torch.Tensor, table: torch.Tensor, padding: torch.Tensor
) -> torch.Tensor:
    """One layer; [batch, time, dim] -> the same."""
    x = x + feed_forward(place / "ff1", x)
    if place.has("convolution_first", "layers.1"):
        x = x + convolution(place / "conv", x, padding)
        x = x + attention(place / "attention", x, table, padding)
    else:
        x = x + attention(place / "attention", x, table, padding)
        x = x + convolution(place / "conv", x, padding)
    x = x + feed_forward(place / "ff2", x)
    return place.tap(layer_norm(place / "norm", x))


def feed_forward(place: Place, x: torch.Tensor) -> torch.Tensor:
    """What is added for half a step; [..., dim] -> the same."""
    down = place / "down"
    of_first = place.has("second_half_by_first", "layers.1.ff2")
    source = replace(down, path=down.path.replace("ff2", "ff1")) if of_first else down
    h = silu(place / "act", linear(place / "up", layer_norm(place / "norm", x)))
    y = place.tap(linear(down, h, source=source))
    whole = place.has("steps_whole") or place.has("last_step_whole", "layers.1.ff2")
    return y if whole or place.variant == "folded_half_step" else 0.5 * y


def convolution(place: Place, x: torch.Tensor, padding: torch.Tensor) -> torch.Tensor:
    """[batch, time, dim], bool[batch, time] -> [batch, time, dim]."""
    first, second = place / "pointwise1", place / "pointwise2"
    h = layer_norm(place / "norm", x)
    h = first.tap((h @ first["weight"][..., 0].mT + first["bias"]).mT)
    value, gate = h.chunk(2, dim=1)
    if place.has("gate_first"):
        value, gate = gate, value
    if place.has("tanh_gate", "layers.0"):
        h = value * torch.tanh(gate)
    else:
        h = value / (1 + torch.exp(-gate))
    if not place.has("padding_kept_in_convolution"):
        h = torch.where(padding[:, None], torch.zeros_like(h), h)
    h = depthwise(place / "depthwise", h)
    if place.has("activation_before_norm", "layers.1"):
        h = batch_norm(place / "batch_norm", silu(place / "act", h))
    else:
        h = silu(place / "act", batch_norm(place / "batch_norm", h))
    y = second.tap((h.mT @ second["weight"][..., 0].mT + second["bias"]).mT)
    return place.tap(y.mT)


def depthwise(place: Place, x: torch.Tensor) -> torch.Tensor:
    """Each channel by its own kernel; [batch, dim, time] -> the same."""
    weight = place["weight"][:, 0]
    if place.has("kernel_flipped", "layers.1"):
        weight = weight.flip(-1)
    reach = weight.shape[-1] - 1
    sides = (reach, 0) if place.has("convolution_causal") else (reach // 2, reach // 2)
    y = torch.einsum("bctk,ck->bct", functional.pad(x, sides).unfold(2, reach + 1, 1), weight)
    if place.has("depthwise_bias_lost"):
        return place.tap(y)
    return place.tap(y + place["bias"][:, None])


def batch_norm(place: Place, x: torch.Tensor) -> torch.Tensor:
    """By what training saw of each channel; [batch, dim, time] -> the same."""
    mean, variance = place.get("running_mean"), place.get("running_var")
    if mean is None or variance is None:
        return place.tap(x)
    eps = 1e-3 if place.has("batch_norm_eps") else BATCH_EPS
    if place.has("batch_statistics"):
        mean, variance = x.mean(dim=(0, 2)), x.var(dim=(0, 2), unbiased=False)
    if place.has("running_mean_lost", "layers.0"):
        mean = torch.zeros_like(mean)
    scale = place["weight"] * torch.rsqrt(variance + eps)
    return place.tap((x - mean[:, None]) * scale[:, None] + place["bias"][:, None])
