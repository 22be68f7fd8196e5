"""Normalisations."""

from __future__ import annotations

import torch
from torch.nn import functional

from parity_coreml.mil.args import Args
from parity_coreml.mil.handlers import handles

__all__: list[str] = []


@handles("layer_norm")
def _layer_norm(a: Args) -> torch.Tensor:
    """Over any axes, with the biased variance."""
    x = a.tensor("x")
    axes = sorted(axis % x.ndim for axis in a.ints("axes", list(range(x.ndim))))
    if axes == list(range(x.ndim - len(axes), x.ndim)):
        shape = x.shape[-len(axes) :]
        gamma, beta = a.optional("gamma"), a.optional("beta")
        return functional.layer_norm(x, shape, gamma, beta, a.number("epsilon"))
    mean = x.mean(axes, keepdim=True)
    spread = x.var(axes, unbiased=False, keepdim=True) + a.number("epsilon")
    scaled = (x - mean) / spread.sqrt()
    shape = torch.Size([size if axis in axes else 1 for axis, size in enumerate(x.shape)])
    if a.has("gamma"):
        scaled = scaled * a.tensor("gamma").reshape(shape)
    return scaled + a.tensor("beta").reshape(shape) if a.has("beta") else scaled


@handles("batch_norm")
def _batch_norm(a: Args) -> torch.Tensor:
    return functional.batch_norm(
        a.tensor("x"),
        a.tensor("mean"),
        a.tensor("variance"),
        a.optional("gamma"),
        a.optional("beta"),
        eps=a.number("epsilon"),
    )


@handles("instance_norm")
def _instance_norm(a: Args) -> torch.Tensor:
    weight, bias = a.optional("gamma"), a.optional("beta")
    return functional.instance_norm(
        a.tensor("x"), weight=weight, bias=bias, eps=a.number("epsilon")
    )


@handles("l2_norm")
def _l2_norm(a: Args) -> torch.Tensor:
    x = a.tensor("x")
    squares = x.square().sum(tuple(range(-3, 0)), keepdim=True)
    return x / (squares + a.number("epsilon")).sqrt()


@handles("local_response_norm")
def _local_response_norm(a: Args) -> torch.Tensor:
    size = a.whole("size")
    return functional.local_response_norm(
        a.tensor("x"), size, a.number("alpha"), a.number("beta"), a.number("k")
    )
