"""The codec once more, as plain functions over the reference's weights."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch

import parity
from benchmarks.faults.pairs.codec.ops import (
    Net,
    conv,
    effective_weights,
    lstm_stack,
    record,
    transposed_conv,
)
from benchmarks.faults.pairs.codec.reference import Program as Reference
from parity.tensors import Case

__all__ = ["VARIANTS", "Port"]

DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
VARIANTS = ("blocked", "fused_lstm", "late_bias", "folded", "table_gelu", "expanded_distance")
BYPASS = 0.35
TABLE_STEP = 1 / 1024


class Port:
    """The port, run over all frames of a case."""

    def __init__(self, faults: frozenset[str], precision: str, variant: str) -> None:
        self.name = "codec port"
        self.modules: Mapping[str, torch.nn.Module] = {}
        self.facts = {"precision": precision}
        dtype = DTYPES[precision]
        weights = effective_weights(Reference().codec.state_dict(), faults)
        if variant == "folded":
            weights = _folded(weights)
        self._weights = {name: tensor.to(dtype) for name, tensor in weights.items()}
        self._faults, self._variant, self._dtype = faults, variant, dtype

    def run(self, case: Case) -> dict[str, torch.Tensor]:
        """Code `pcm`, int16[batch, 1, samples], in frames of `frame` samples."""
        net = Net(self._weights, self._faults, self._variant)
        size = int(case.inputs["frame"])
        pcm = torch.from_numpy(case.arrays["pcm"])
        frames = []
        with torch.no_grad():
            for first in range(0, pcm.shape[-1], size):
                parity.next_step()
                frames.append(codec(net, pcm[..., first : first + size], self._dtype))
        return {"audio": torch.cat(frames, dim=-1)}


def _folded(weights: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Norm's weight and bias into the map after it, layer scale into the map before it."""
    folded, at = dict(weights), "decoder.model.1"
    first, second = weights[f"{at}.pwconv1.weight"], weights[f"{at}.pwconv2.weight"]
    gamma = weights[f"{at}.gamma"]
    folded[f"{at}.pwconv1.weight"] = first * weights[f"{at}.norm.weight"]
    folded[f"{at}.pwconv1.bias"] = (
        weights[f"{at}.pwconv1.bias"] + first @ weights[f"{at}.norm.bias"]
    )
    folded[f"{at}.pwconv2.weight"] = second * gamma[:, None]
    folded[f"{at}.pwconv2.bias"] = weights[f"{at}.pwconv2.bias"] * gamma
    return folded


def codec(net: Net, pcm: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """One frame; int16[batch, 1, samples] -> [batch, 1, samples]."""
    full = 32767.0 if net.on("int16_scale") else 32768.0
    audio = pcm.to(torch.float32) / full
    scale = (audio.square().sum(-1, keepdim=True) / audio.shape[-1] + 1e-8).sqrt()
    if net.on("volume_by_mean_magnitude"):
        scale = audio.abs().mean(-1, keepdim=True) + 1e-8
    if net.on("volume_by_peak"):
        scale = audio.abs().amax(-1, keepdim=True) + 1e-8
    if net.on("volume_of_batch"):
        scale = (audio.square().mean() + 1e-8).sqrt().expand_as(scale)
    latent = encoder(net, (audio / scale).to(dtype))
    y = decoder(net, quantizer(net, latent))
    if net.on("volume_of_frame_before"):
        now, scale = scale, net.state.get("volume", scale)
        net.state["volume"] = now
    if net.on("volume_not_restored"):
        scale = torch.ones_like(scale)
    return record("", y * scale.to(dtype))


def encoder(net: Net, x: torch.Tensor) -> torch.Tensor:
    """[batch, 1, length] -> [batch, 32, length / 12]."""
    at = "encoder.model"
    x = conv(net, f"{at}.0", x)
    x = unit(net, f"{at}.1", x, dilation=1)
    x = elu(net, f"{at}.2", x)
    x = conv(net, f"{at}.3", x, stride=2)
    x = unit(net, f"{at}.4", x, dilation=3)
    x = elu(net, f"{at}.5", x)
    x = conv(net, f"{at}.6", x, stride=3)
    if net.on("norm_behind_recurrent"):
        x = group_norm(net, f"{at}.7", recurrent(net, f"{at}.8", x))
    else:
        x = recurrent(net, f"{at}.8", group_norm(net, f"{at}.7", x))
    x = elu(net, f"{at}.9", x)
    x = record(at, conv(net, f"{at}.10", x))
    x = conv(net, "encoder.downsample", x, stride=2, replicate=True)
    return record("encoder", x)


def decoder(net: Net, x: torch.Tensor) -> torch.Tensor:
    """[batch, 32, length] -> [batch, 1, 12 * length]."""
    at = "decoder.model"
    x = transposed_conv(net, "decoder.upsample", x, stride=2)
    x = conv(net, f"{at}.0", x)
    x = convnext(net, f"{at}.1", x)
    x = snake(net, f"{at}.2", x)
    x = transposed_conv(net, f"{at}.3", x, stride=3)
    x = unit(net, f"{at}.4", x, dilation=1)
    x = snake(net, f"{at}.5", x)
    x = transposed_conv(net, f"{at}.6", x, stride=2)
    x = unit(net, f"{at}.7", x, dilation=3)
    x = snake(net, f"{at}.8", x)
    x = conv(net, f"{at}.9", x)
    y = x.clamp(-1, 1) if net.on("clamp_for_tanh") else 1 - 2 / ((2 * x).exp() + 1)
    return record("decoder", record(at, record(f"{at}.10", y)))


def elu(net: Net, path: str, x: torch.Tensor) -> torch.Tensor:
    """Exponential below zero; any shape."""
    slope = 0.7 if net.on("elu_alpha", path, "encoder") else 1.0
    below = slope * torch.expm1(x.clamp(max=0))
    if net.on("leaky_relu_for_elu", path, "encoder.model.2"):
        below = 0.2 * x
    return record(path, torch.where(x > 0, x, below))


def snake(net: Net, path: str, x: torch.Tensor) -> torch.Tensor:
    """A line with ripples; [batch, dim, length] -> the same."""
    if net.on("elu_for_snake", path, "decoder.model.5"):
        return record(path, torch.where(x > 0, x, torch.expm1(x)))
    alpha, beta = net[f"{path}.alpha"].exp(), net[f"{path}.beta"].exp()
    if net.on("snake_alpha_not_exponentiated"):
        alpha, beta = net[f"{path}.alpha"], net[f"{path}.beta"]
    if net.on("snake_one_parameter", path, "decoder.model.4"):
        beta = alpha
    ripple = (x * alpha).sin().square()
    if net.on("snake_without_square", path, "decoder.model.8"):
        ripple = (x * alpha).sin()
    return record(path, x + ripple / beta)


def unit(net: Net, path: str, x: torch.Tensor, *, dilation: int) -> torch.Tensor:
    """Two activated convolutions beside a skip; [batch, dim, length] -> the same."""
    act = snake if f"{path}.block.0.alpha" in net.weights else elu
    h = act(net, f"{path}.block.0", x)
    if net.on("inplace_activation", path, "encoder"):
        x = h
    h = conv(net, f"{path}.block.1", h, dilation=dilation)
    if net.on("activation_left_out", path, "decoder.model.7"):
        h = record(f"{path}.block.2", h)
    else:
        h = act(net, f"{path}.block.2", h)
    h = record(f"{path}.block", conv(net, f"{path}.block.3", h))
    if net.on("unit_skip_dropped", path, "encoder.model.4"):
        return record(path, h)
    if net.on("unit_skip_halved", path, "decoder"):
        return record(path, (x + h) * math.sqrt(0.5))
    return record(path, x + h)


def group_norm(net: Net, path: str, x: torch.Tensor) -> torch.Tensor:
    """Over the channels of a group and the time of a frame; [batch, dim, length] -> the same."""
    groups = 8 if net.on("group_count") else 4
    h = x.unflatten(1, (groups, -1)).float()
    axes = (2,) if net.on("group_norm_each_step") else (2, 3)
    mean = h.mean(dim=axes, keepdim=True)
    variance = h.var(dim=axes, keepdim=True, unbiased=net.on("group_norm_unbiased"))
    eps = 1e-3 if net.on("group_norm_eps") else 1e-5
    h = ((h - mean) / (variance + eps).sqrt()).flatten(1, 2).to(x.dtype)
    return record(path, h * net[f"{path}.weight"][:, None] + net[f"{path}.bias"][:, None])


def recurrent(net: Net, path: str, x: torch.Tensor) -> torch.Tensor:
    """LSTM beside a skip; [batch, dim, length] -> the same."""
    rows = x.permute(2, 0, 1)
    if net.on("lstm_over_batch"):  # rows taken batch first by a layer that has time first
        y = lstm_stack(net, f"{path}.lstm", x.permute(0, 2, 1)).permute(1, 0, 2)
    else:
        y = lstm_stack(net, f"{path}.lstm", rows)
    if not net.on("lstm_skip_dropped"):
        y = y + rows
    return record(path, y.permute(1, 2, 0))


def convnext(net: Net, path: str, x: torch.Tensor) -> torch.Tensor:
    """Depthwise convolution and an MLP over channels; [batch, dim, length] -> the same."""
    folded = net.variant == "folded"
    h = conv(net, f"{path}.dwconv", x, groups=x.shape[1]).transpose(1, 2)
    axis = 1 if net.on("layer_norm_over_time") else -1
    centred = h.float() - h.float().mean(axis, keepdim=True)
    if net.on("rms_for_layer_norm"):
        centred = h.float()
    eps = 1e-3 if net.on("layer_norm_eps") else 1e-6
    normed = (centred * (centred.square().mean(axis, keepdim=True) + eps).rsqrt()).to(h.dtype)
    if not folded:
        normed = normed * net[f"{path}.norm.weight"] + net[f"{path}.norm.bias"]
    record(f"{path}.norm", normed)
    h = linear(net, f"{path}.pwconv1", normed)
    h = linear(net, f"{path}.pwconv2", record(f"{path}.act", gelu(net, h)))
    if not folded and not net.on("layer_scale_lost"):
        h = h * net[f"{path}.gamma"]
    if net.on("convnext_skip_dropped"):
        return record(path, h.transpose(1, 2))
    return record(path, x + h.transpose(1, 2))


def linear(net: Net, path: str, x: torch.Tensor) -> torch.Tensor:
    """[..., in] -> [..., out]."""
    return record(path, x @ net[f"{path}.weight"].T + net[f"{path}.bias"])


def gelu(net: Net, x: torch.Tensor) -> torch.Tensor:
    """Exact, or from a table of the exact one; any shape."""
    if net.on("gelu_by_tanh"):
        inner = math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)
        return 0.5 * x * (1 + inner.tanh())
    if net.variant == "table_gelu":
        grid = torch.arange(-10, 10 + TABLE_STEP, TABLE_STEP, dtype=torch.float64)
        table = 0.5 * (1 + (grid * math.sqrt(0.5)).erf())
        place = (x.double().clamp(-9.99, 9.99) + 10) / TABLE_STEP
        low = place.floor().long()
        share = place - low
        return (x * (table[low] * (1 - share) + table[low + 1] * share)).to(x.dtype)
    return x * 0.5 * (1 + (x * math.sqrt(0.5)).erf())


def quantizer(net: Net, x: torch.Tensor) -> torch.Tensor:
    """Residual vector quantisation; [batch, dim, length] -> the same."""
    at = "quantizer"
    z = torch.einsum("bit,oi->bot", x, net[f"{at}.input_proj.weight"][..., 0])
    z = record(f"{at}.input_proj", z).transpose(1, 2)
    rest, total = z, torch.zeros_like(z)
    for index in range(3):
        table = _table(net, index)
        chosen = record(f"{at}.layers.{index}", table[_nearest(net, rest, table)])
        rest = z - chosen if net.on("residual_not_accumulated") else rest - chosen
        if not (net.on("last_codebook_left_out") and index == 2):
            total = total + chosen
    share = 0.0 if net.on("bypass_left_out") else BYPASS
    if net.on("bypass_whole"):
        share = 1.0
    y = torch.einsum("bti,oi->bot", total + share * rest, net[f"{at}.output_proj.weight"][..., 0])
    return record(at, record(f"{at}.output_proj", y + net[f"{at}.output_proj.bias"][:, None]))


def _table(net: Net, index: int) -> torch.Tensor:
    """The vectors of a codebook; [size, dim]."""
    index = 0 if net.on("codebook_shared") else index
    index = 2 - index if net.on("codebooks_reversed") else index
    at = f"quantizer.layers.{index}"
    if net.on("codebook_sums_as_vectors"):
        return net[f"{at}.embedding_sum"]
    return net[f"{at}.embedding_sum"] / net[f"{at}.cluster_usage"].clamp(min=1e-5)[:, None]


def _nearest(net: Net, x: torch.Tensor, table: torch.Tensor) -> torch.Tensor:
    """Indices of the nearest vectors; [batch, length, dim] -> int64[batch, length]."""
    x, table = x.float(), table.float()
    if net.on("nearest_by_dot_product"):
        codes = (x @ table.T).argmax(-1)
    elif net.on("nearest_by_cosine"):
        codes = (x @ (table / table.norm(dim=-1, keepdim=True)).T).argmax(-1)
    elif net.variant == "expanded_distance":
        codes = (table.square().sum(-1) - 2 * x @ table.T).argmin(-1)
    else:
        codes = (x[..., None, :] - table).square().sum(-1).argmin(-1)
    if net.on("codes_shifted"):  # an entry for padding stands before the others
        codes = (codes + 1).clamp(max=table.shape[0] - 1)
    return codes
