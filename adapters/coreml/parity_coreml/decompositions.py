"""What torch takes apart before the converter sees it, because the converter knows it only so."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

__all__ = ["decompositions"]

# coremltools 9.0 refuses these by the path of `torch.export`, and knows all that they are made of.
# A recurrent layer comes out as its steps.
_APART = (
    "lstm.input", "gru.input", "rnn_tanh.input", "rnn_relu.input",
    "lstm_cell", "gru_cell", "rnn_tanh_cell", "rnn_relu_cell", "unsafe_split.Tensor",
    "rms_norm", "_fused_rms_norm", "index_add", "mish", "celu", "addcmul", "__and__.Tensor",
    "upsample_bicubic2d.vec", "_upsample_nearest_exact2d.vec",
    "addcdiv", "channel_shuffle", "cosine_similarity", "diff", "heaviside", "linalg_cross",
    "logit", "rot90",
)  # fmt: skip


def decompositions() -> dict[Any, Callable[..., Any]]:
    """By operation of torch, torch's own function that takes it apart."""
    known = torch.export.default_decompositions()
    wanted = {_operation(name) for name in _APART}
    return {operation: known[operation] for operation in wanted if operation in known}


def _operation(name: str) -> Any:
    kind, _, overload = name.partition(".")
    return getattr(getattr(torch.ops.aten, kind), overload or "default")
