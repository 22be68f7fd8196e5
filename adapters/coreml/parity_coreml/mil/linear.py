"""Matrix products and attention."""

from __future__ import annotations

import torch
from torch.nn import functional

from parity_coreml.mil.args import Args
from parity_coreml.mil.handlers import handles

__all__: list[str] = []


@handles("linear")
def _linear(a: Args) -> torch.Tensor:
    return functional.linear(a.tensor("x"), a.tensor("weight"), a.optional("bias"))


@handles("matmul")
def _matmul(a: Args) -> torch.Tensor:
    x, y = a.tensor("x"), a.tensor("y")
    x = x.mT if a.flag("transpose_x") else x
    return x @ (y.mT if a.flag("transpose_y") else y)


@handles("einsum")
def _einsum(a: Args) -> torch.Tensor:
    return torch.einsum(a.text("equation"), *a.tensors("values"))


@handles("scaled_dot_product_attention")
def _attention(a: Args) -> torch.Tensor:
    query, key, value = a.tensor("query"), a.tensor("key"), a.tensor("value")
    return functional.scaled_dot_product_attention(query, key, value, a.optional("attn_mask"))
