"""The port's layers: norms, convolutions, attention, changes of size."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch.nn import functional

import parity
from parity.tensors import Role

__all__ = [
    "Net", "attention", "conv2d", "depth_to_space", "gelu", "group_norm", "layer_norm", "linear",
    "pool", "record", "resize", "silu", "space_to_depth",
]  # fmt: skip

HEADS = 4


@dataclass(frozen=True)
class Net:
    """What every function of the port needs.

    Attributes:
        weights: by the reference's names.
        faults: the switches that are on.
        variant: the clean way to compute, empty for the plain one.
    """

    weights: Mapping[str, torch.Tensor]
    faults: frozenset[str] = frozenset()
    variant: str = ""

    def __getitem__(self, name: str) -> torch.Tensor:
        return self.weights[name]

    def on(self, fault: str, path: str = "", at: str = "") -> bool:
        """Whether `fault` acts here: at paths that contain `at`."""
        return fault in self.faults and at in path


def record(path: str, value: torch.Tensor) -> torch.Tensor:
    """Record what came out at `path` below the pipeline, of any shape, and hand it on."""
    return parity.tap(f"pipeline.{path}", value, role=Role.OUTPUT)


def linear(net: Net, path: str, x: torch.Tensor, *, source: str = "") -> torch.Tensor:
    """[..., in] -> [..., out], by the weights at `source` if there is one."""
    source = source or path
    y = x @ net[f"{source}.weight"].mT
    lost = net.on("attention_out_bias_lost", path, "up_blocks.0.attention") and ".to_out." in path
    bias = net.weights.get(f"{source}.bias")
    return record(path, y if bias is None or lost else y + bias)


def silu(net: Net, path: str, x: torch.Tensor) -> torch.Tensor:
    """Sigmoid-weighted; any shape."""
    slope = 1.702 if net.on("quick_silu", path, "nonlinearity") else 1.0
    if net.on("time_mlp_relu", path, "time_embedding.act"):
        return record(path, x.clamp(min=0))
    if net.on("gelu_for_silu", path, "act_out"):
        return record(path, gelu(net, x))
    return record(path, x / (1 + (-slope * x).exp()))


def gelu(net: Net, x: torch.Tensor) -> torch.Tensor:
    """Exact; any shape."""
    if net.on("gelu_by_tanh"):
        return 0.5 * x * (1 + (math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)).tanh())
    if net.on("gelu_by_sigmoid"):
        return x * (1.702 * x).sigmoid()
    return x * 0.5 * (1 + (x * math.sqrt(0.5)).erf())


def group_norm(
    net: Net, path: str, x: torch.Tensor, *, eps: float = 1e-5, affine: bool = True
) -> torch.Tensor:
    """Over the pixels and channels of each of 8 groups; [batch, dim, h, w] -> the same."""
    groups = 8
    if net.on("group_count", path, "norm_out"):
        groups = 4
    if net.on("one_eps_for_all", path, "attention.norm"):
        eps = 1e-3
    if net.on("resnet_group_eps", path, "resnet"):
        eps = 1e-6
    if net.on("group_norm_strided", path, "mid_block.attention"):  # channel c in group c mod 8
        h = x.float().unflatten(1, (-1, groups)).transpose(1, 2)
    else:
        h = x.float().unflatten(1, (groups, -1))
    mean = h.mean((2, 3, 4), keepdim=True)
    spread = (h - mean).square().mean((2, 3, 4), keepdim=True)
    if net.on("group_norm_unbiased", path, "mid_block.resnets.1.norm1"):
        spread = spread * (h[0, 0].numel() / (h[0, 0].numel() - 1))
    h = (h - mean) / (spread + eps).sqrt()
    if net.on("group_norm_strided", path, "mid_block.attention"):
        h = h.transpose(1, 2)
    h = h.flatten(1, 2).to(x.dtype)
    if not affine:
        return record(path, h)
    bias = net[f"{path}.bias"][:, None, None]
    if net.on("group_norm_bias_lost", path, "up_blocks.1.resnets.0.norm1"):
        bias = torch.zeros_like(bias)
    return record(path, h * net[f"{path}.weight"][:, None, None] + bias)


def layer_norm(net: Net, path: str, x: torch.Tensor, *, affine: bool = True) -> torch.Tensor:
    """Over the last axis; [..., dim] -> the same."""
    if net.on("context_norm_left_out", path, "context_norm"):
        return record(path, x)
    eps = 1e-3 if net.on("layer_norm_eps", path, "transformer_blocks") else 1e-5
    h = x.float()
    axis = 1 if net.on("context_norm_over_tokens", path, "context_norm") else -1
    centred = h - h.mean(axis, keepdim=True)
    if net.on("rms_for_layer_norm", path, "down_blocks.1.attention.transformer_blocks.0.norm3"):
        centred = h
    h = (centred / (centred.square().mean(axis, keepdim=True) + eps).sqrt()).to(x.dtype)
    if not affine:
        return record(path, h)
    source = path
    if net.on("norm_weights_of_sibling", path, "mid_block.attention"):
        source = path.replace("norm3", "norm2")
    return record(path, h * net[f"{source}.weight"] + net[f"{source}.bias"])


def conv2d(
    net: Net, path: str, x: torch.Tensor, *, stride: int = 1, pad: tuple[int, int, int, int]
) -> torch.Tensor:
    """Convolution by columns; [batch, in, h, w] -> [batch, out, h', w']. `pad`: as torch's."""
    weight = net[f"{path}.weight"]
    if net.on("kernel_axes_swapped", path, "down_blocks.1.resnet.conv2"):
        weight = weight.mT
    if net.on("kernel_rotated", path, "up_blocks.1.upsampler.conv"):
        weight = weight.flip(-1, -2)
    mode = "replicate" if net.on("replicate_padding", path, "conv_out") else "constant"
    x = functional.pad(x, pad, mode=mode)
    rows, columns = (
        (n - k) // stride + 1 for n, k in zip(x.shape[2:], weight.shape[2:], strict=True)
    )
    if net.variant == "blocked":
        y = _by_shifts(x, weight, stride, rows, columns)
    else:
        unfolded = functional.unfold(x, weight.shape[2:], stride=stride)
        y = (weight.flatten(1) @ unfolded).unflatten(-1, (rows, columns))
    if net.on("conv_bias_lost", path, "up_blocks.0.resnets.1.conv1"):
        return record(path, y)
    return record(path, y + net[f"{path}.bias"][:, None, None])


def _by_shifts(
    x: torch.Tensor, weight: torch.Tensor, stride: int, rows: int, columns: int
) -> torch.Tensor:
    """One product for each place in the kernel, the last first."""
    total = torch.zeros(x.shape[0], weight.shape[0], rows, columns, dtype=x.dtype)
    for dy in reversed(range(weight.shape[2])):
        for dx in reversed(range(weight.shape[3])):
            seen = x[:, :, dy:, dx:][:, :, ::stride, ::stride][:, :, :rows, :columns]
            total = total + torch.einsum("bihw,oi->bohw", seen, weight[:, :, dy, dx])
    return total


def pool(net: Net, path: str, x: torch.Tensor) -> torch.Tensor:
    """Means of 3 by 3 pixels, of those that there are; [batch, dim, h, w] -> halves."""
    if net.on("pool_maximum"):
        return record(path, functional.max_pool2d(x, 3, stride=2, padding=1))
    total, count = _sums_of_nine(x), _sums_of_nine(torch.ones_like(x[:1, :1]))
    return record(path, total / (9 if net.on("pool_counts_padding") else count))


def _sums_of_nine(x: torch.Tensor) -> torch.Tensor:
    """Around every second pixel of every second row; [batch, dim, h, w] -> halves."""
    height, width = x.shape[2:]
    wide = functional.pad(x, (1, 1, 1, 1))
    by_row = sum(wide[:, :, dy : dy + height : 2] for dy in range(3))
    return torch.stack([by_row[..., dx : dx + width : 2] for dx in range(3)]).sum(0)


def resize(net: Net, path: str, x: torch.Tensor, *, smooth: bool) -> torch.Tensor:
    """Twice the size, bilinear or nearest; [batch, dim, h, w] -> [batch, dim, 2h, 2w]."""
    if net.on("nearest_for_bilinear", path, "up_blocks.0"):
        smooth = False
    if net.on("bilinear_for_nearest", path, "up_blocks.1"):
        smooth = True
    aligned = net.on("corners_aligned", path, "up_blocks.0")
    by_row, by_column = (_interpolation(n, smooth, aligned).to(x.dtype) for n in x.shape[2:])
    return torch.einsum("yh,bchw,xw->bcyx", by_row, x, by_column)


def _interpolation(size: int, smooth: bool, aligned: bool) -> torch.Tensor:
    """The matrix that doubles an axis; [2 * size, size]."""
    target = torch.arange(2 * size)
    if not smooth:
        return functional.one_hot(target // 2, size).float()
    place = target * (size - 1) / (2 * size - 1) if aligned else (target + 0.5) / 2 - 0.5
    distance = (place.clamp(0, size - 1)[:, None] - torch.arange(size)).abs()
    return (1 - distance).clamp(min=0)


def space_to_depth(net: Net, x: torch.Tensor) -> torch.Tensor:
    """Blocks of 2 by 2 pixels become channels; [batch, c, h, w] -> [batch, 4c, h / 2, w / 2]."""
    blocks = x.unflatten(3, (-1, 2)).unflatten(2, (-1, 2))  # b c h dy w dx
    order = (0, 3, 5, 1, 2, 4) if net.on("unshuffle_block_first") else (0, 1, 3, 5, 2, 4)
    return blocks.permute(order).flatten(1, 3)


def depth_to_space(net: Net, x: torch.Tensor) -> torch.Tensor:
    """The way back; [batch, 4c, h, w] -> [batch, c, 2h, 2w]."""
    if net.on("shuffle_block_first"):
        blocks = x.unflatten(1, (2, 2, -1)).permute(0, 3, 4, 1, 5, 2)
    elif net.on("shuffle_rows_and_columns_swapped"):
        blocks = x.unflatten(1, (-1, 2, 2)).permute(0, 1, 4, 3, 5, 2)
    else:
        blocks = x.unflatten(1, (-1, 2, 2)).permute(0, 1, 4, 2, 5, 3)
    return blocks.flatten(4, 5).flatten(2, 3)


def attention(
    net: Net, path: str, x: torch.Tensor, context: torch.Tensor | None, mask: torch.Tensor | None
) -> torch.Tensor:
    """To the tokens themselves, or to a context under bool[batch, context]; [batch, n, dim]."""
    if net.on("context_pooled", path, "up_blocks.0.attention") and context is not None:
        context = context.mean(1, keepdim=True).expand_as(context)
    q, k, v = _projections(net, path, x, x if context is None else context)
    if net.on("keys_values_swapped", path, "up_blocks.0.attention") and context is not None:
        k, v = v, k
    q, k, v = (t.unflatten(-1, (HEADS, -1)).transpose(1, 2) for t in (q, k, v))
    if net.on("heads_interleaved", path, "up_blocks.0.attention") and context is None:
        q, k, v = (
            t.transpose(1, 2).flatten(2).unflatten(-1, (-1, HEADS)).permute(0, 3, 1, 2)
            for t in (q, k, v)
        )
    if context is None:
        q, k = _rms(net, f"{path}.norm_q", q), _rms(net, f"{path}.norm_k", k)
    scale = q.shape[-1] ** -0.5
    if net.on("attention_scale_of_model", path, "attn1"):
        scale = x.shape[-1] ** -0.5
    if net.on("attention_scale_missing", path, "down_blocks.1.attention"):
        scale = 1.0
    if net.on("mask_ignored"):
        mask = None
    y = _mix(net, path, q * scale, k, v, mask=mask)
    if net.on("heads_merged_without_transpose", path, "mid_block") and context is None:
        y = y.reshape(*x.shape[:2], -1)
    else:
        y = y.transpose(1, 2).flatten(2)
    y = linear(net, f"{path}.to_out.0", y)
    return record(path, record(f"{path}.to_out", record(f"{path}.to_out.1", y)))


def _projections(
    net: Net, path: str, x: torch.Tensor, source: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Queries, keys and values; [batch, n, dim] each."""
    names = [f"{path}.to_{letter}" for letter in "qkv"]
    if net.variant == "fused_qkv" and source is x:
        joint = torch.cat([net[f"{name}.weight"] for name in names])
        parts = (x @ joint.mT).chunk(3, dim=-1)
        q, k, v = (record(name, part) for name, part in zip(names, parts, strict=True))
        return q, k, v
    return (
        linear(net, names[0], x), linear(net, names[1], source), linear(net, names[2], source)
    )  # fmt: skip


def _rms(net: Net, path: str, x: torch.Tensor) -> torch.Tensor:
    """Root mean square of a head's queries or keys set to the weight; [..., head] -> the same."""
    if net.on("query_norm_left_out", path, "mid_block"):
        return record(path, x)
    eps = 1e-2 if net.on("query_norm_eps") else 1e-6
    axes = (1, 3) if net.on("query_norm_over_heads", path, "down_blocks") else (3,)
    h = x.float()
    h = (h / (h.square().mean(axes, keepdim=True) + eps).sqrt()).to(x.dtype)
    source = path.replace("norm_k", "norm_q") if net.on("key_norm_by_query_weight") else path
    return record(path, h * net[f"{source}.weight"])


def _mix(
    net: Net, path: str, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, *,
    mask: torch.Tensor | None,
) -> torch.Tensor:  # fmt: skip
    """Softmax-weighted values; [batch, heads, n, head], of queries that are scaled already."""
    scores = (q @ k.mT).float()
    if net.on("causal_mask_added", path, "attn1"):
        scores = scores + torch.full(scores.shape[-2:], -math.inf).triu(1)
    if mask is not None:
        masked_out = ~mask[:, None, None, :]
        lowest = -1.0 if net.on("mask_added_as_number") else -math.inf
        scores = scores + torch.zeros(masked_out.shape).masked_fill(masked_out, lowest)
    if net.variant == "online_softmax":
        return _online(scores, v)
    axis = -2 if net.on("softmax_over_queries", path, "mid_block") and mask is None else -1
    weights = (scores - scores.amax(axis, keepdim=True)).exp()
    return (weights / weights.sum(axis, keepdim=True)).to(v.dtype) @ v


def _online(scores: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """Keys in blocks of four, with a running maximum and a running sum."""
    highest = torch.full((*scores.shape[:-1], 1), -1e30)
    total = torch.zeros_like(highest)
    y = torch.zeros(*scores.shape[:-1], v.shape[-1])
    for some, values in zip(scores.split(4, dim=-1), v.split(4, dim=-2), strict=True):
        higher = torch.maximum(highest, some.amax(-1, keepdim=True))
        weights, keep = (some - higher).exp(), (highest - higher).exp()
        total = total * keep + weights.sum(-1, keepdim=True)
        y, highest = y * keep + weights @ values.float(), higher
    return (y / total).to(v.dtype)
