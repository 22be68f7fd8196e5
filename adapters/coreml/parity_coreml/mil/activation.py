"""Activation functions."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch.nn import functional

from parity_coreml.mil.args import Args
from parity_coreml.mil.handlers import HANDLERS, handles

__all__ = ["by_name"]


def _softplus(x: torch.Tensor) -> torch.Tensor:
    """`log(1 + exp(x))`, which is x where `exp(x)` is beyond all numbers."""
    return torch.logaddexp(x, torch.zeros_like(x))


HANDLERS.update(
    relu=lambda a: torch.relu(a.tensor("x")),
    relu6=lambda a: functional.relu6(a.tensor("x")),
    sigmoid=lambda a: torch.sigmoid(a.tensor("x")),
    silu=lambda a: functional.silu(a.tensor("x")),
    softplus=lambda a: _softplus(a.tensor("x")),
    softsign=lambda a: functional.softsign(a.tensor("x")),
)


@handles("gelu")
def _gelu(a: Args) -> torch.Tensor:
    x, mode = a.tensor("x"), a.text("mode", "EXACT")
    if mode == "SIGMOID_APPROXIMATION":
        return x * torch.sigmoid(1.702 * x)
    return functional.gelu(x, approximate="tanh" if mode == "TANH_APPROXIMATION" else "none")


@handles("elu")
def _elu(a: Args) -> torch.Tensor:
    return functional.elu(a.tensor("x"), a.number("alpha"))


@handles("leaky_relu")
def _leaky_relu(a: Args) -> torch.Tensor:
    return functional.leaky_relu(a.tensor("x"), a.number("alpha"))


@handles("prelu")
def _prelu(a: Args) -> torch.Tensor:
    return functional.prelu(a.tensor("x"), a.tensor("alpha"))


@handles("linear_activation")
def _linear_activation(a: Args) -> torch.Tensor:
    return a.number("alpha") * a.tensor("x") + a.number("beta")


@handles("clamped_relu")
def _clamped_relu(a: Args) -> torch.Tensor:
    leaky = functional.leaky_relu(a.tensor("x"), a.number("alpha"))
    return leaky.clamp(max=a.number("beta"))


@handles("scaled_tanh")
def _scaled_tanh(a: Args) -> torch.Tensor:
    return a.number("alpha") * torch.tanh(a.number("beta") * a.tensor("x"))


@handles("sigmoid_hard")
def _sigmoid_hard(a: Args) -> torch.Tensor:
    return (a.number("alpha") * a.tensor("x") + a.number("beta")).clamp(0, 1)


@handles("softplus_parametric")
def _softplus_parametric(a: Args) -> torch.Tensor:
    """Of x [batch, channels, ...] and one alpha and beta a channel."""
    x = a.tensor("x")
    shape = (-1,) + (1,) * (x.ndim - 2)
    alpha, beta = a.tensor("alpha").reshape(shape), a.tensor("beta").reshape(shape)
    return alpha * _softplus(beta * x)


@handles("thresholded_relu")
def _thresholded_relu(a: Args) -> torch.Tensor:
    x = a.tensor("x")
    return torch.where(x < a.number("alpha"), torch.zeros_like(x), x)


@handles("softmax")
def _softmax(a: Args) -> torch.Tensor:
    return torch.softmax(a.tensor("x"), a.whole("axis", -1))


_NAMED: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "relu": torch.relu,
    "linear": lambda x: x,
    "hard_sigmoid": lambda x: (0.2 * x + 0.5).clamp(0, 1),
    "sigmoid_hard": lambda x: (0.2 * x + 0.5).clamp(0, 1),
    "scaled_tanh": lambda x: 1.7159 * torch.tanh(2 / 3 * x),
}


def by_name(name: str, x: torch.Tensor) -> torch.Tensor:
    """One of the activations that a recurrent operation names."""
    return _NAMED[name](x)
