"""What the port is made of: weights by name, switches, and the layers without state."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import torch

from parity.capture import tap
from parity.tensors import Role

__all__ = ["FOLDED", "Context", "gelu", "layer_norm", "linear", "position_bias", "rms_norm"]

ROOT = "encoder"
EPS = 1e-6
# Norms that the variant `folded` puts into the layer behind them; a mixture has no bias to take it.
FOLDED = {f"layers.{layer}.norm1": f"layers.{layer}.attn.qkv" for layer in range(3)}
FOLDED["layers.0.norm2"] = "layers.0.mlp.fc1"
TABLE_REACH, TABLE_STEPS = 16.0, 1 << 17


@dataclass(frozen=True, slots=True)
class Context:
    """Weights by name, the switches that are on, and the variant."""

    weights: Mapping[str, torch.Tensor]
    faults: frozenset[str]
    variant: str
    dtype: torch.dtype

    def tap(self, path: str, value: torch.Tensor, slot: str = "") -> torch.Tensor:
        """Record what came out at `path`, of any shape, and hand it on."""
        return tap(f"{ROOT}.{path}" if path else ROOT, value, role=Role.OUTPUT, slot=slot)


def linear(c: Context, path: str, x: torch.Tensor) -> torch.Tensor:
    """Affine map of the last axis; [..., in] -> [..., out]."""
    weight, bias = c.weights[f"{path}.weight"], c.weights.get(f"{path}.bias")
    if "out_bias_lost" in c.faults and path == "layers.2.attn.out":
        bias = None
    if "widening_bias_lost" in c.faults and path == "layers.0.mlp.fc1":
        bias = None
    if bias is not None and "value_bias_lost" in c.faults and path == "layers.1.attn.qkv":
        bias = torch.cat([bias[: 2 * len(bias) // 3], torch.zeros_like(bias[: len(bias) // 3])])
    if c.variant == "blocked":
        # From the far end of the inner axis, eight at a time.
        y = x.new_zeros(*x.shape[:-1], weight.shape[0])
        for start in reversed(range(0, x.shape[-1], 8)):
            block = slice(start, start + 8)
            y = y + torch.einsum("...i,oi->...o", x[..., block], weight[:, block])
    else:
        y = torch.einsum("...i,oi->...o", x, weight)
    return c.tap(path, y if bias is None else y + bias)


def layer_norm(c: Context, path: str, x: torch.Tensor) -> torch.Tensor:
    """Zero mean and unit variance over the last axis, then weight and bias; any shape."""
    source = path
    if "norms_exchanged" in c.faults and path.startswith("layers.0"):
        source = {"layers.0.norm1": "layers.0.norm2", "layers.0.norm2": "layers.0.norm1"}[path]
    weight, bias = c.weights[f"{source}.weight"].float(), c.weights[f"{source}.bias"].float()
    if c.variant == "folded" and path in FOLDED:
        weight, bias = torch.ones_like(weight), torch.zeros_like(bias)  # later layers hold them
    if "norm_bias_lost" in c.faults and path == "layers.1.norm1":
        bias = torch.zeros_like(bias)
    axis = 1 if "norm_over_tokens" in c.faults and path == "layers.0.norm2" else -1
    eps = 1e-5 if "norm_eps" in c.faults else EPS
    h = x.float()
    centred = h - h.mean(dim=axis, keepdim=True)
    power = centred.square().mean(dim=axis, keepdim=True)
    if "variance_unbiased" in c.faults:
        power = power * h.shape[axis] / (h.shape[axis] - 1)
    if "norm_scale_only" in c.faults and path.startswith("layers.2"):
        centred = h  # the variance is still taken about the mean
    return c.tap(path, (centred / (power + eps).sqrt() * weight + bias).to(x.dtype))


def rms_norm(c: Context, path: str, x: torch.Tensor) -> torch.Tensor:
    """Over rms(x), times weight, over the last axis; any shape."""
    h = x.float()
    if "layer_norm_for_rms" in c.faults:
        h = h - h.mean(dim=-1, keepdim=True)
    h = h / (h.square().mean(dim=-1, keepdim=True) + EPS).sqrt()
    return c.tap(path, (h * c.weights[f"{path}.weight"].float()).to(x.dtype))


def gelu(c: Context, path: str, x: torch.Tensor) -> torch.Tensor:
    """GELU by the error function; any shape."""
    if "gelu_tanh" in c.faults:
        y = x * torch.sigmoid(2 * math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x))
    elif "gelu_left_out" in c.faults:
        y = x
    elif "gelu_quick" in c.faults:
        y = x * torch.sigmoid(1.702 * x)
    elif c.variant == "table_gelu":
        place = (x.double() + TABLE_REACH) * (TABLE_STEPS / (2 * TABLE_REACH))
        low = place.floor().clamp(0, TABLE_STEPS - 1)
        table, index = _gelu_table(), low.long()
        y = torch.lerp(table[index], table[index + 1], place - low).to(x.dtype)
    else:
        y = x * (0.5 + 0.5 * torch.erf(x / math.sqrt(2)))
    return c.tap(path, y)


@cache
def _gelu_table() -> torch.Tensor:
    x = torch.linspace(-TABLE_REACH, TABLE_REACH, TABLE_STEPS + 1, dtype=torch.float64)
    return x * (0.5 + 0.5 * torch.erf(x / math.sqrt(2)))


def position_bias(c: Context, length: int) -> torch.Tensor:
    """A number a head for each pair of query and key; [heads, length, length]."""
    table = c.weights["position_bias.table.weight"]
    sign = -1 if "bias_direction" in c.faults else 1
    buckets = torch.tensor(
        [[_bucket(c, sign * (key - query)) for key in range(length)] for query in range(length)]
    )
    bias = c.tap("position_bias.table", table[buckets])
    if "bias_reshaped" in c.faults:
        bias = bias.reshape(bias.shape[2], length, length)
    else:
        bias = torch.einsum("qkh->hqk", bias).contiguous()
    return c.tap("position_bias", bias[None])[0]


def _bucket(c: Context, ahead: int) -> int:
    """Bucket of a key that stands `ahead` of its query."""
    if "bias_of_decoder" in c.faults:
        count, first, distance = 16, 0, max(0, -ahead)
    else:
        count, first, distance = 8, 8 if ahead > 0 else 0, abs(ahead)
    if distance < count // 2:
        return first + distance
    reach = 128 if "bias_max_distance" in c.faults else 20
    ratio = math.log(distance / (count // 2)) / math.log(reach / (count // 2))
    if "bias_linear_buckets" in c.faults:
        ratio = (distance - count // 2) / (reach - count // 2)
    return first + min(count - 1, count // 2 + int(ratio * (count // 2)))
