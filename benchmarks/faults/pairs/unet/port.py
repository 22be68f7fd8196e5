"""The pipeline once more, as plain functions over the reference's weights."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch

import parity
from benchmarks.faults.pairs.unet import sampler
from benchmarks.faults.pairs.unet.ops import (
    Net,
    attention,
    conv2d,
    depth_to_space,
    gelu,
    group_norm,
    layer_norm,
    linear,
    pool,
    record,
    resize,
    silu,
    space_to_depth,
)
from benchmarks.faults.pairs.unet.reference import Program as Reference
from parity.tensors import Case

__all__ = ["VARIANTS", "Port"]

DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
VARIANTS = ("blocked", "online_softmax", "fused_qkv", "folded")
AROUND = (1, 1, 1, 1)
CLASSES = 6
TRANSFORMERS = ("unet.down_blocks.1", "unet.mid_block", "unet.up_blocks.0")


class Port:
    """The port, run over a case."""

    def __init__(self, faults: frozenset[str], precision: str, variant: str) -> None:
        self.name = "unet port"
        self.modules: Mapping[str, torch.nn.Module] = {}
        self.facts = {"precision": precision}
        weights = dict(Reference().pipeline.state_dict())
        if variant == "folded":
            weights = _folded(weights)
        if "keys_not_loaded" in faults:
            name = "unet.up_blocks.0.attention.transformer_blocks.0.attn2.to_k.weight"
            bound = weights[name].shape[1] ** -0.5
            draw = torch.Generator().manual_seed(99)
            weights[name] = (torch.rand(weights[name].shape, generator=draw) * 2 - 1) * bound
        if "projection_transposed" in faults:
            name = "unet.mid_block.attention.proj_in.weight"
            weights[name] = weights[name].mT
        self._dtype = DTYPES[precision]
        cast = {name: tensor.to(self._dtype) for name, tensor in weights.items()}
        self._net = Net(cast, faults, variant)

    def run(self, case: Case) -> dict[str, torch.Tensor]:
        """Sample for `label`, `context` and `mask` at the case's size, steps and guidance."""
        with torch.no_grad():
            return {"image": sample(self._net, case, self._dtype)}


def _folded(weights: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Layer norms' weights and biases into the maps that follow."""
    folded = dict(weights)
    for place in TRANSFORMERS:
        at = f"{place}.attention.transformer_blocks.0"
        for norm, followers in (
            ("norm1", ("attn1.to_q", "attn1.to_k", "attn1.to_v")),
            ("norm2", ("attn2.to_q",)),
            ("norm3", ("ff.net.0.proj",)),
        ):
            for follower in followers:
                weight, bias = weights[f"{at}.{follower}.weight"], f"{at}.{follower}.bias"
                folded[f"{at}.{follower}.weight"] = weight * weights[f"{at}.{norm}.weight"]
                folded[bias] = weight @ weights[f"{at}.{norm}.bias"] + weights.get(bias, 0.0)
    return folded


def sample(net: Net, case: Case, dtype: torch.dtype) -> torch.Tensor:
    """From noise to colours; [batch, 3, height, width]."""
    context = torch.from_numpy(case.arrays["context"]).to(dtype)
    label, mask = torch.from_numpy(case.arrays["label"]), torch.from_numpy(case.arrays["mask"])
    size, steps = (int(case.inputs["height"]), int(case.inputs["width"])), int(case.inputs["steps"])
    nothing = net["null_context"].expand_as(context)
    if net.on("zeros_for_no_context"):
        nothing = torch.zeros_like(context)
    contexts = torch.cat([nothing, context])
    masks = torch.cat([torch.ones_like(mask), mask])
    labels = torch.cat([torch.full_like(label, CLASSES), label])
    draws = sampler.noises(net, case, (len(label), 3, *size))
    x = next(draws).to(dtype)
    times = sampler.timesteps(net, steps)
    for time in times:
        parity.next_step()
        seen = times[0] if net.on("time_of_first_step") else time
        pair = unet(net, torch.cat([x, x]), float(seen), labels, context=contexts, mask=masks)
        velocity = sampler.guide(net, pair, float(case.inputs["guidance"]))
        before = time - sampler.TRAINED // steps
        x = sampler.step(net, velocity, x, next(draws), time=time, before=before)
    return denormalize(net, x)


def denormalize(net: Net, x: torch.Tensor) -> torch.Tensor:
    """From what the model works on to colours; [batch, 3, height, width] -> the same."""
    mean, std = net["denormalize.mean"], net["denormalize.std"]
    if net.on("colours_reversed"):
        x = x.flip(1)
    if net.on("plain_denormalisation"):
        mean, std = torch.full_like(mean, 0.5), torch.full_like(std, 0.5)
    if net.on("normalised_again"):
        return record("denormalize", (x - mean[:, None, None]) / std[:, None, None])
    return record("denormalize", x * std[:, None, None] + mean[:, None, None])


def unet(
    net: Net, image: torch.Tensor, time: float, label: torch.Tensor, *,
    context: torch.Tensor, mask: torch.Tensor,
) -> torch.Tensor:  # fmt: skip
    """The velocity; [batch, 3, height, width] -> the same. `mask`: bool[batch, tokens]."""
    emb = embedding(net, time, label, image.dtype)
    context = layer_norm(net, "unet.context_norm", context)
    at = "unet.down_blocks"
    first = conv2d(net, "unet.conv_in", space_to_depth(net, image), pad=AROUND)
    whole = resnet(net, f"{at}.0.resnet", first, emb)
    pad = AROUND if net.on("symmetric_downsampling") else (0, 1, 0, 1)
    if net.on("downsampling_from_left"):
        pad = (1, 0, 1, 0)
    half = conv2d(net, f"{at}.0.downsampler.conv", whole, stride=2, pad=pad)
    record(f"{at}.0.downsampler", half)
    x = resnet(net, f"{at}.1.resnet", half, emb)
    deep = transformer(net, f"{at}.1.attention", x, context, mask)
    x = pool(net, f"{at}.1.downsampler", deep)
    x = middle(net, x, emb, context, mask)
    x = upsample(net, "unet.up_blocks.0.upsampler", x, smooth=True)
    x = joined(net, "unet.up_blocks.0.resnets.0", x, deep, emb)
    x = joined(net, "unet.up_blocks.0.resnets.1", x, half, emb)
    x = transformer(net, "unet.up_blocks.0.attention", x, context, mask)
    x = record("unet.up_blocks.0", x)
    x = upsample(net, "unet.up_blocks.1.upsampler", x, smooth=False)
    if net.on("skips_first_in_first_out"):
        whole, first = first, whole
    x = joined(net, "unet.up_blocks.1.resnets.0", x, whole, emb)
    x = joined(net, "unet.up_blocks.1.resnets.1", x, first, emb)
    x = group_norm(net, "unet.norm_out", record("unet.up_blocks.1", x))
    x = conv2d(net, "unet.conv_out", silu(net, "unet.act_out", x), pad=AROUND)
    return record("unet", depth_to_space(net, x))


def embedding(net: Net, time: float, label: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Of the time and the class; int64[batch] -> [batch, 64]."""
    at = "unet.time_embedding"
    x = record("unet.time_proj", sinusoids(net, time).to(dtype).repeat(len(label), 1))
    x = linear(net, f"{at}.linear_2", silu(net, f"{at}.act", linear(net, f"{at}.linear_1", x)))
    record(at, x)
    if net.on("label_shifted"):  # row 0 taken for no class
        label = (label + 1) % (CLASSES + 1)
    of_class = record("unet.class_embedding", net["unet.class_embedding.weight"][label])
    if net.on("label_left_out"):
        return x
    return (x + of_class) / 2 if net.on("embeddings_averaged") else x + of_class


def sinusoids(net: Net, time: float) -> torch.Tensor:
    """Of one time; [32]."""
    half = 16
    last = half - 1 if net.on("frequency_shift") else half
    period = 1000.0 if net.on("time_period") else 10000.0
    moment = torch.tensor(time)
    if net.on("time_in_bfloat16"):
        moment = moment.bfloat16().float()
    if net.on("time_from_zero_to_one"):
        moment = moment / sampler.TRAINED
    angles = moment * torch.exp(torch.arange(half) * (-math.log(period) / last))
    if net.on("sine_before_cosine"):
        return torch.cat([angles.sin(), angles.cos()])
    if net.on("sinusoids_interleaved"):
        return torch.stack([angles.cos(), angles.sin()], dim=-1).flatten()
    return torch.cat([angles.cos(), angles.sin()])


def middle(
    net: Net, x: torch.Tensor, emb: torch.Tensor, context: torch.Tensor, mask: torch.Tensor
) -> torch.Tensor:
    """The lowest stage; [batch, dim, h, w] -> the same."""
    at = "unet.mid_block"
    x = resnet(net, f"{at}.resnets.0", x, emb)
    x = transformer(net, f"{at}.attention", x, context, mask)
    return record(at, resnet(net, f"{at}.resnets.1", x, emb))


def upsample(net: Net, path: str, x: torch.Tensor, *, smooth: bool) -> torch.Tensor:
    """Twice the size, and a convolution; [batch, dim, h, w] -> [batch, out, 2h, 2w]."""
    if net.on("enlarged_last", path, "up_blocks.1"):
        return record(
            path, resize(net, path, conv2d(net, f"{path}.conv", x, pad=AROUND), smooth=smooth)
        )
    big = resize(net, path, x, smooth=smooth)
    return record(path, conv2d(net, f"{path}.conv", big, pad=AROUND))


def joined(
    net: Net, path: str, x: torch.Tensor, skip: torch.Tensor, emb: torch.Tensor
) -> torch.Tensor:
    """A residual block over `x` and a skip, side by side; [batch, dim, h, w]."""
    if net.on("skips_scaled"):
        skip = skip * math.sqrt(0.5)
    parts = [skip, x] if net.on("skip_first") else [x, skip]
    return resnet(net, path, torch.cat(parts, dim=1), emb)


def resnet(net: Net, path: str, x: torch.Tensor, emb: torch.Tensor) -> torch.Tensor:
    """Two convolutions beside a skip, steered by the embedding; [batch, dim, h, w]."""
    act = f"{path}.nonlinearity"
    h = silu(net, act, group_norm(net, f"{path}.norm1", x))
    h = conv2d(net, f"{path}.conv1", h, pad=AROUND)
    steer = silu(net, act, emb)
    if net.on("embedding_not_activated"):
        steer = emb
    steer = linear(net, f"{path}.time_emb_proj", steer, source=steering(net, path))[
        :, :, None, None
    ]
    h = silu(net, act, steered(net, path, h, steer))
    h = conv2d(net, f"{path}.conv2", record(f"{path}.dropout", h), pad=AROUND)
    if f"{path}.conv_shortcut.weight" in net.weights:
        x = conv2d(net, f"{path}.conv_shortcut", x, pad=(0, 0, 0, 0))
    if net.on("resnet_skip_dropped", path, "mid_block.resnets.1"):
        x = torch.zeros_like(x)
    factor = 1.0 if net.on("output_scale_lost") else math.sqrt(0.5)
    if net.on("output_halved", path, "down_blocks"):
        factor = 0.5
    return record(path, (h + x) * factor)


def steering(net: Net, path: str) -> str:
    """Where a block's map of the embedding has its weights."""
    shared = net.on("steering_of_sibling", path, "mid_block.resnets.1")
    own = path.replace("resnets.1", "resnets.0") if shared else path
    return f"{own}.time_emb_proj"


def steered(net: Net, path: str, h: torch.Tensor, steer: torch.Tensor) -> torch.Tensor:
    """Norm, then scale and shift, which lie side by side in `steer`; [batch, dim, h, w]."""
    scale, shift = steer.split(h.shape[1], dim=1)
    if net.on("shift_before_scale"):
        scale, shift = shift, scale
    if net.on("scale_and_shift_interleaved", path, "down_blocks.1"):
        scale, shift = steer[:, 0::2], steer[:, 1::2]
    factor = scale if net.on("scale_without_one", path, "mid_block.resnets.0") else 1 + scale
    norm = f"{path}.norm2"
    if net.on("steered_before_norm", path, "up_blocks.1.resnets.1"):
        return group_norm(net, norm, h * factor + shift)
    if net.variant != "folded":
        return group_norm(net, norm, h) * factor + shift
    weight, bias = net[f"{norm}.weight"][:, None, None], net[f"{norm}.bias"][:, None, None]
    return group_norm(net, norm, h, affine=False) * (weight * factor) + (bias * factor + shift)


def transformer(
    net: Net, path: str, x: torch.Tensor, context: torch.Tensor, mask: torch.Tensor
) -> torch.Tensor:
    """A transformer over pixels beside a skip; [batch, dim, h, w] -> the same."""
    height, width = x.shape[2:]
    h = group_norm(net, f"{path}.norm", x, eps=1e-6)
    tokens = linear(net, f"{path}.proj_in", h.flatten(2).mT)
    if not net.on("positions_left_out", path, "mid_block"):
        tokens = tokens + positions(net, x.shape[1], height, width).to(x.dtype)
    tokens = block(net, f"{path}.transformer_blocks.0", tokens, context, mask)
    y = linear(net, f"{path}.proj_out", tokens)
    if net.on("map_without_transpose", path, "down_blocks.1"):
        y = y.reshape(x.shape)
    else:
        y = y.mT.unflatten(2, (height, width))
    if net.on("transformer_skip_dropped", path, "up_blocks.0"):
        return record(path, y.contiguous())
    return record(path, y.contiguous() + x)


def positions(net: Net, dim: int, height: int, width: int) -> torch.Tensor:
    """Sinusoids of rows and columns; [height * width, dim]."""
    quarter = dim // 4
    index = torch.arange(height * width)
    rows, columns = index // width, index % width
    if net.on("rows_and_columns_swapped"):
        rows, columns = columns, rows
    period = 100.0 if net.on("position_period") else 10000.0
    omega = period ** (-torch.arange(quarter) / quarter)
    offset = 1 if net.on("positions_from_one") else 0
    by_row, by_column = ((p[:, None] + offset) * omega for p in (rows, columns))
    parts = [by_row.sin(), by_row.cos(), by_column.sin(), by_column.cos()]
    return torch.cat(parts, dim=1)


def block(
    net: Net, path: str, x: torch.Tensor, context: torch.Tensor, mask: torch.Tensor
) -> torch.Tensor:
    """Self-attention, cross-attention, feed-forward; [batch, n, dim] -> the same."""
    affine = net.variant != "folded"
    h = layer_norm(net, f"{path}.norm1", x, affine=affine)
    x = x + attention(net, f"{path}.attn1", h, None, None)
    h = layer_norm(net, f"{path}.norm2", x, affine=affine)
    x = x + attention(net, f"{path}.attn2", h, context, mask)
    h = layer_norm(net, f"{path}.norm3", x, affine=affine)
    if net.on("skip_from_norm", path, "mid_block"):
        x = h
    value, gate = linear(net, f"{path}.ff.net.0.proj", h).chunk(2, dim=-1)
    if net.on("gate_and_value_swapped"):
        value, gate = gate, value
    h = record(f"{path}.ff.net.0", gelu(net, gate) * value)
    h = linear(net, f"{path}.ff.net.2", record(f"{path}.ff.net.1", h))
    h = record(f"{path}.ff", record(f"{path}.ff.net", h))
    return record(path, h if net.on("feed_forward_skip_dropped", path, "down_blocks") else h + x)
