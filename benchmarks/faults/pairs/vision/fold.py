"""What a deployed port does to the weights once, before the first run."""

from __future__ import annotations

import torch

from benchmarks.faults.pairs.vision.reference import DEPTH, DIM, HEADS

__all__ = ["prepared"]


def prepared(weights: dict[str, torch.Tensor], variant: str) -> dict[str, torch.Tensor]:
    """The weights as `variant` keeps them; what was folded away is missing."""
    if variant == "folded_preprocess":
        _fold_preprocess(weights)
    for layer in range(DEPTH):
        block = f"visual.layers.{layer}"
        if variant == "folded_norm":
            _fold_norm(weights, f"{block}.norm1", f"{block}.attn.qkv")
            _fold_norm(weights, f"{block}.norm2", f"{block}.mlp.fc1")
        if variant == "folded_layer_scale":
            _fold_scale(weights, f"{block}.attn.proj", f"{block}.ls1")
            _fold_scale(weights, f"{block}.mlp.fc2", f"{block}.ls2")
        if variant == "permuted_heads":
            _permute_heads(weights, f"{block}.attn")
    return weights


def _fold_norm(weights: dict[str, torch.Tensor], norm: str, after: str) -> None:
    """Move weight and bias of a norm into the linear layer after it."""
    scale, shift = weights.pop(f"{norm}.weight"), weights.pop(f"{norm}.bias")
    matrix = weights[f"{after}.weight"]
    weights[f"{after}.bias"] = weights[f"{after}.bias"] + matrix @ shift
    weights[f"{after}.weight"] = matrix * scale


def _fold_scale(weights: dict[str, torch.Tensor], before: str, scale: str) -> None:
    """Move a layer scale into the linear layer before it."""
    gamma = weights.pop(f"{scale}.gamma")
    weights[f"{before}.weight"] = weights[f"{before}.weight"] * gamma[:, None]
    weights[f"{before}.bias"] = weights[f"{before}.bias"] * gamma


def _fold_preprocess(weights: dict[str, torch.Tensor]) -> None:
    """Move mean and deviation of the pixels into the patch convolution."""
    mean, std = weights.pop("preprocess.mean"), weights.pop("preprocess.std")
    name = "visual.embeddings.patch_embedding"
    kernel = weights[f"{name}.weight"] / std
    weights[f"{name}.weight"] = kernel
    weights[f"{name}.bias"] = -(kernel * mean).sum(dim=(1, 2, 3))


def _permute_heads(weights: dict[str, torch.Tensor], name: str) -> None:
    """Keep the heads in another order, in the projections before and after attention alike."""
    order = [2, 0, 3, 1]
    for kind in ("weight", "bias"):
        old = weights[f"{name}.qkv.{kind}"]
        heads = old.unflatten(0, (3, HEADS, DIM // HEADS))[:, order]
        weights[f"{name}.qkv.{kind}"] = heads.flatten(0, 2)
    old = weights[f"{name}.proj.weight"]
    weights[f"{name}.proj.weight"] = old.unflatten(1, (HEADS, DIM // HEADS))[:, order].flatten(1)
