"""What a deployed port does to the weights once, before the first run."""

from __future__ import annotations

import torch

from benchmarks.faults.pairs.vocoder.reference import UNITS

__all__ = ["prepared"]

ENCODER_CONVS = tuple(f"encoder.convs.{index}" for index in range(3))


def prepared(
    weights: dict[str, torch.Tensor], faults: frozenset[str], variant: str
) -> dict[str, torch.Tensor]:
    """Kernels without weight norm; then what `variant` keeps. What was folded away is missing."""
    for name in ("postnet.conv1", "postnet.conv2"):
        _unite(weights, name, faults)
    if variant == "folded_bn":
        for block in ENCODER_CONVS:
            _fold_bn(weights, f"{block}.conv", f"{block}.bn")
        _fold_bn(weights, "postnet.conv1", "postnet.bn")
    if variant == "permuted_units":
        _permute_units(weights)
    return weights


def _unite(weights: dict[str, torch.Tensor], name: str, faults: frozenset[str]) -> None:
    """Length times direction -> a plain kernel."""
    direction, length = weights.pop(f"{name}.weight_v"), weights.pop(f"{name}.weight_g")
    first = name.endswith("conv1")
    if first and "weight_norm_over_all" in faults:
        norm = direction.square().sum().sqrt()
    elif first and "weight_norm_over_inputs" in faults:
        norm = direction.square().sum(dim=(0, 1), keepdim=True).sqrt()
    else:
        norm = direction.square().sum(dim=(1, 2), keepdim=True).sqrt()
    lost = not first and "weight_norm_length_lost" in faults
    weights[f"{name}.weight"] = direction / norm * (1.0 if lost else length)


def _fold_bn(weights: dict[str, torch.Tensor], conv: str, norm: str) -> None:
    """Move a batch norm into the convolution before it."""
    names = ("weight", "bias", "running_mean", "running_var")
    scale, shift, mean, variance = (weights.pop(f"{norm}.{name}") for name in names)
    scale = scale / torch.sqrt(variance + 1e-5)
    weights[f"{conv}.weight"] = weights[f"{conv}.weight"] * scale[:, None, None]
    weights[f"{conv}.bias"] = (weights[f"{conv}.bias"] - mean) * scale + shift


def _permute_units(weights: dict[str, torch.Tensor]) -> None:
    """Keep the units of each LSTM layer in another order, and all that read them."""
    order = torch.tensor([(7 * unit + 3) % UNITS for unit in range(UNITS)])
    both = torch.cat([order, order + UNITS])
    gates = torch.cat([order + gate * UNITS for gate in range(4)])
    for name in ("l0", "l0_reverse", "l1", "l1_reverse"):
        for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
            key = f"encoder.lstm.{kind}_{name}"
            weights[key] = weights[key][gates]
        key = f"encoder.lstm.weight_hh_{name}"
        weights[key] = weights[key][:, order]
        if name.startswith("l1"):
            key = f"encoder.lstm.weight_ih_{name}"
            weights[key] = weights[key][:, both]
    weights["encoder.bridge.weight"] = weights["encoder.bridge.weight"][:, both]
    weights["upsample.weight"] = weights["upsample.weight"][both]
