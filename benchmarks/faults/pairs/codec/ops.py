"""The layers of the port that remember: convolutions over windows, overlap-add, the LSTM."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch.nn import functional

import parity
from parity.tensors import Role

__all__ = ["Net", "conv", "effective_weights", "lstm_stack", "record", "transposed_conv"]


@dataclass
class Net:
    """What every function of the port needs.

    Attributes:
        weights: by the reference's names, with weight norm folded.
        faults: the switches that are on.
        variant: the clean way to compute, empty for the plain one.
        state: what is carried from frame to frame, by path.
    """

    weights: Mapping[str, torch.Tensor]
    faults: frozenset[str] = frozenset()
    variant: str = ""
    state: dict[str, torch.Tensor] = field(default_factory=dict)

    def __getitem__(self, name: str) -> torch.Tensor:
        return self.weights[name]

    def on(self, fault: str, path: str = "", at: str = "") -> bool:
        """Whether `fault` acts here: at paths that contain `at`."""
        return fault in self.faults and at in path


def record(path: str, value: torch.Tensor, slot: str = "") -> torch.Tensor:
    """Record what came out at `path` below the codec, of any shape, and hand it on."""
    return parity.tap(f"codec.{path}".rstrip("."), value, role=Role.OUTPUT, slot=slot)


def effective_weights(
    raw: Mapping[str, torch.Tensor], faults: frozenset[str]
) -> dict[str, torch.Tensor]:
    """Fold weight norm: gain times direction, for each index of the first axis."""
    weights = {n: t for n, t in raw.items() if not n.endswith(("weight_g", "weight_v"))}
    for name in (n for n in raw if n.endswith("weight_v")):
        base = name.removesuffix("_v")
        direction, gain = raw[name], raw[base + "_g"]
        norm = direction.flatten(1).square().sum(1).sqrt()[:, None, None]
        if "convtr_weight_norm_not_folded" in faults and ".convtr." in name:
            weights[base] = direction
        elif "weight_norm_without_norm" in faults and "encoder.model.3.conv" in name:
            weights[base] = direction * gain
        elif "weight_norm_whole_tensor" in faults and "decoder.model.0.conv" in name:
            weights[base] = direction / direction.square().sum().sqrt() * gain
        else:
            weights[base] = direction / norm * gain
    return weights


def conv(
    net: Net, path: str, x: torch.Tensor, *, stride: int = 1, dilation: int = 1, groups: int = 1,
    replicate: bool = False,
) -> torch.Tensor:  # fmt: skip
    """Causal convolution over windows; [batch, in, length] -> [batch, out, length / stride]."""
    weight, bias = net[f"{path}.conv.weight"], net[f"{path}.conv.bias"]
    if net.on("dilation_ignored", path, "encoder.model.4.block.1"):
        dilation = 1
    if net.on("dilation_two", path, "decoder.model.7.block.1"):
        dilation = 2
    if net.on("kernel_flipped", path, "decoder.model.0"):
        weight = weight.flip(-1)
    kernel = weight.shape[-1]
    x = _with_history(net, path, x, (kernel - 1) * dilation + 1 - stride, replicate)
    count = (x.shape[-1] - (kernel - 1) * dilation - 1) // stride + 1
    at = torch.arange(count)[:, None] * stride + torch.arange(kernel) * dilation
    y = _contract(net, x[..., at], weight, groups)
    lost = net.on("unit_bias_lost", path, "decoder.model.4.block.3")
    if not (lost or net.on("conv_bias_lost", path, "encoder.model.10")):
        y = y + bias[:, None]
    return record(path, record(f"{path}.conv", y))


def _contract(net: Net, windows: torch.Tensor, weight: torch.Tensor, groups: int) -> torch.Tensor:
    """Windows [batch, in, count, kernel] with the kernels; [batch, out, count]."""
    out, _, kernel = weight.shape
    windows = windows.unflatten(1, (groups, -1))
    weight = weight.unflatten(0, (groups, -1))
    if net.variant != "blocked":
        return torch.einsum("bgitk,goik->bgot", windows, weight).flatten(1, 2)
    batch, count = windows.shape[0], windows.shape[3]
    y = torch.zeros(batch, groups, out // groups, count, dtype=windows.dtype)
    for tap in reversed(range(kernel)):
        for few in reversed(torch.arange(windows.shape[2]).split(8)):
            y = y + weight[:, :, few, tap] @ windows[:, :, few, :, tap]
    return y.flatten(1, 2)


def _with_history(
    net: Net, path: str, x: torch.Tensor, reach: int, replicate: bool
) -> torch.Tensor:
    """The last `reach` samples before `x`, then `x`."""
    if not reach:
        return x
    if net.on("symmetric_padding_each_frame", path, "encoder.model.0"):
        return functional.pad(x, (reach // 2, reach - reach // 2))
    fresh = path not in net.state
    if net.on("history_lost_dilated", path, "model.4.block.1"):
        fresh = True
    if net.on("downsample_history_copied", path, "encoder.downsample"):
        fresh = True
    if net.on("history_lost_decoder", path, "decoder."):
        fresh = True
    if fresh:
        keep = replicate and not net.on("zeros_before_first_frame")
        past = (x[..., :1] if keep else torch.zeros_like(x[..., :1])).expand(-1, -1, reach)
    else:
        past = net.state[path]
    both = torch.cat([past, x], dim=-1)
    kept = both[..., both.shape[-1] - reach :]
    if net.on("history_one_early", path, "decoder.model.9"):
        kept = both[..., both.shape[-1] - reach - 1 : -1]
    if net.on("history_in_half"):
        kept = kept.half().to(x.dtype)
    net.state[path] = kept
    if net.on("stride_phase", path, "encoder.model.6"):
        # One sample more of the past, so that each window begins one sample early.
        early = torch.zeros_like(x[..., :1]) if fresh else net.state[path + ".early"]
        net.state[path + ".early"] = both[..., -reach - 1 : -reach]
        both = torch.cat([early, both[..., :-1]], dim=-1)
    return both


def transposed_conv(net: Net, path: str, x: torch.Tensor, *, stride: int) -> torch.Tensor:
    """Overlap-add of scaled kernels; [batch, in, length] -> [batch, out, length * stride]."""
    weight, bias = net[f"{path}.convtr.weight"], net.weights.get(f"{path}.convtr.bias")
    if net.on("upsample_kernel_flipped", path, "upsample"):
        weight = weight.flip(-1)
    depthwise = weight.shape[1] == 1
    subscripts = "bit,iok->bitk" if depthwise else "bit,iok->botk"
    pieces = torch.einsum(subscripts, x, weight)
    length, kernel = pieces.shape[-2:]
    y = torch.zeros(*pieces.shape[:2], (length - 1) * stride + kernel, dtype=x.dtype)
    for tap in range(kernel):
        y[..., tap : tap + (length - 1) * stride + 1 : stride] += pieces[..., tap]
    overlap = kernel - stride
    late = net.variant == "late_bias"
    whole = y if bias is None or late else y + bias[:, None]
    record(f"{path}.convtr", whole)
    if net.on("transposed_trim_both_sides", path, "decoder.model.6"):
        return record(path, whole[..., overlap // 2 : overlap // 2 - overlap])
    done = _overlap(net, path, whole, y[..., -overlap:])
    if net.on("transposed_trim_left", path, "decoder.model.3"):
        done = whole[..., overlap:]
    return record(path, done + bias[:, None] if late and bias is not None else done)


def _overlap(net: Net, path: str, y: torch.Tensor, bare_tail: torch.Tensor) -> torch.Tensor:
    """Add the tail of the frame before, and keep this frame's, which has no bias."""
    overlap = bare_tail.shape[-1]
    past = net.state.get(path)
    tail = y[..., -overlap:] if net.on("bias_in_tail") else bare_tail
    net.state[path] = tail.clone()
    if past is not None and net.on("tail_halved", path, "decoder.model.3"):
        past = 0.5 * past
    if past is None or net.on("tail_dropped", path, "decoder.model.6"):
        return y[..., :-overlap]
    if net.on("tail_overwrites", path, "upsample"):
        return torch.cat([past, y[..., overlap:-overlap]], dim=-1)
    return torch.cat([y[..., :overlap] + past, y[..., overlap:-overlap]], dim=-1)


def lstm_stack(net: Net, path: str, x: torch.Tensor) -> torch.Tensor:
    """Two layers of LSTM; [length, batch, dim] -> the same."""
    hidden, cell = [], []
    for layer in range(2):
        h, c = _lstm_state(net, f"{path}.{layer}", x)
        rows = []
        for row in x:
            h, c = _lstm_step(net, path, layer, row, (h, c))
            rows.append(h)
        x = torch.stack(rows)
        net.state[f"{path}.{layer}.h"], net.state[f"{path}.{layer}.c"] = h, c
        hidden.append(h)
        cell.append(c)
    record(path, x)
    record(path, torch.stack(hidden), "1.0")
    record(path, torch.stack(cell), "1.1")
    return x


def _lstm_state(net: Net, path: str, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    zeros = torch.zeros_like(x[0])
    if net.on("lstm_state_reset"):
        return zeros, zeros
    cell = zeros if net.on("lstm_cell_reset") else net.state.get(f"{path}.c", zeros)
    hidden = zeros if net.on("lstm_hidden_reset") else net.state.get(f"{path}.h", zeros)
    return hidden, cell


def _lstm_step(
    net: Net, path: str, layer: int, x: torch.Tensor, state: tuple[torch.Tensor, torch.Tensor]
) -> tuple[torch.Tensor, torch.Tensor]:
    """One step of one layer, from output and cell to output and cell; each [batch, dim]."""
    h, c = state
    of_input, of_hidden = net[f"{path}.weight_ih_l{layer}"], net[f"{path}.weight_hh_l{layer}"]
    bias_input, bias_hidden = net[f"{path}.bias_ih_l{layer}"], net[f"{path}.bias_hh_l{layer}"]
    if net.on("lstm_weights_swapped") and layer == 1:
        of_input, of_hidden = of_hidden, of_input
    if net.variant == "fused_lstm":
        joint = torch.cat([of_input, of_hidden], dim=1)
        sums = torch.cat([x, h], dim=1) @ joint.T + (bias_input + bias_hidden)
    else:
        sums = x @ of_input.T + bias_input + h @ of_hidden.T
        if not net.on("lstm_hidden_bias_lost"):
            sums = sums + bias_hidden
    keep_in, forget, new, out = sums.split(h.shape[-1], dim=-1)
    if net.on("lstm_gate_order"):  # input, forget, output, new: ONNX's and others' order
        new, out = out, new
    if net.on("lstm_forget_bias"):
        forget = forget + 1
    c = torch.sigmoid(forget) * c + torch.sigmoid(keep_in) * torch.tanh(new)
    return torch.sigmoid(out) * torch.tanh(c), c
