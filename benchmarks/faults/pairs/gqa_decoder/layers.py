"""What the port is made of: weights by name, switches, and the layers without state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache as remembered

import torch

from parity.capture import tap
from parity.tensors import Role

__all__ = ["Context", "linear", "rms_norm", "silu"]

ROOT = "model"
BLOCK = 16
TABLE_REACH, TABLE_STEPS = 24.0, 1 << 17


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
    if "key_bias_lost" in c.faults and path.endswith("k_proj"):
        bias = None
    if "value_transposed" in c.faults and path == "layers.1.self_attn.v_proj":
        weight = weight.T
    if "down_of_layer_before" in c.faults and path == "layers.2.mlp.down_proj":
        weight = c.weights["layers.1.mlp.down_proj.weight"]
    if "nibbles_swapped" in c.faults and path == "layers.1.mlp.up_proj":
        weight = weight.unflatten(1, (-1, 2)).flip(-1).flatten(1)
    if "head_tied" in c.faults and path == "lm_head":
        weight = c.weights["embed_tokens.weight"]
    if "scales_shifted" in c.faults and path == "layers.0.mlp.gate_proj":
        # Stored as int8 with a scale a row, and read with that of the row before.
        scales = weight.abs().amax(dim=1, keepdim=True)
        weight = weight / scales * scales.roll(1, dims=0)
    y = _blocked(x, weight) if c.variant == "blocked" else torch.matmul(x, weight.mT)
    return c.tap(path, y if bias is None else y + bias)


def _blocked(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """The matmul in pieces of the inner axis, the last piece first."""
    pieces = zip(x.split(BLOCK, dim=-1), weight.split(BLOCK, dim=-1), strict=True)
    parts = [torch.einsum("...i,oi->...o", a, b) for a, b in pieces]
    y = parts.pop()
    while parts:
        y = y + parts.pop()
    return y


def rms_norm(c: Context, path: str, x: torch.Tensor, eps: float, weight: str = "") -> torch.Tensor:
    """Over rms(x), times 1 + weight, over the last axis, in float32; any shape."""
    gain = c.weights[f"{weight or path}.weight"].float() + 1
    if c.variant == "folded" and not path.endswith(("q_norm", "k_norm")):
        gain = torch.ones_like(gain)  # the next layers hold it
    h = x.float()
    if "norm_in_half" in c.faults and not path.endswith(("q_norm", "k_norm")):
        h, gain = x.half(), gain.half()
    if "layer_norm_for_rms" in c.faults and path == "layers.1.post_attention_layernorm":
        h = h - h.mean(dim=-1, keepdim=True)
    if "final_norm_without_one" in c.faults and path == "norm":
        gain = gain - 1
    if "head_norms_without_one" in c.faults and path.endswith(("q_norm", "k_norm")):
        gain = gain - 1
    if "second_norm_left_out" in c.faults and path == "layers.2.post_attention_layernorm":
        return c.tap(path, x)
    h = h / (h.square().mean(dim=-1, keepdim=True) + eps).sqrt()
    return c.tap(path, (h * gain).to(x.dtype))


def silu(c: Context, path: str, layer: int, x: torch.Tensor) -> torch.Tensor:
    """SiLU, x * sigmoid(x); any shape."""
    if "gelu_for_silu" in c.faults:
        y = 0.5 * x * (1 + torch.tanh(0.7978845608 * (x + 0.044715 * x**3)))
    elif "quick_gelu_in_first" in c.faults and layer == 0:
        y = x / (1 + torch.exp(-1.702 * x))
    elif "gate_clamped" in c.faults:
        y = x.clamp(max=2.0) * torch.sigmoid(x.clamp(max=2.0))
    elif c.variant == "table_silu":
        y = _looked_up(x)
    else:
        y = x / (1 + torch.exp(-x))
    return c.tap(path, y)


@remembered
def _table() -> torch.Tensor:
    x = torch.linspace(-TABLE_REACH, TABLE_REACH, TABLE_STEPS + 1, dtype=torch.float64)
    return x * torch.sigmoid(x)


def _looked_up(x: torch.Tensor) -> torch.Tensor:
    """SiLU by linear interpolation in a table that reaches beyond all that occurs."""
    place = (x.double() + TABLE_REACH) * (TABLE_STEPS / (2 * TABLE_REACH))
    low = place.floor().clamp(0, TABLE_STEPS - 1)
    index, part = low.long(), place - low
    return torch.lerp(_table()[index], _table()[index + 1], part).to(x.dtype)
