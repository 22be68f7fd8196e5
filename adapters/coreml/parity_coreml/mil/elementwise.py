"""Arithmetic, comparison and logic, element by element."""

from __future__ import annotations

from collections.abc import Callable

import torch

from parity_coreml.mil.args import Args
from parity_coreml.mil.handlers import HANDLERS, handles

__all__: list[str] = []

Unary = Callable[[torch.Tensor], torch.Tensor]
Binary = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def _real_div(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    # Of integers the quotient is cut off towards zero.
    whole = not (x.is_floating_point() or y.is_floating_point())
    return torch.div(x, y, rounding_mode="trunc") if whole else torch.div(x, y)


_UNARY: dict[str, Unary] = {
    "abs": torch.abs,
    "acos": torch.acos,
    "asin": torch.asin,
    "atan": torch.atan,
    "atanh": torch.atanh,
    "ceil": torch.ceil,
    "cos": torch.cos,
    "cosh": torch.cosh,
    "erf": torch.erf,
    "exp": torch.exp,
    "exp2": torch.exp2,
    "floor": torch.floor,
    "identity": lambda x: x,
    "logical_not": lambda x: ~x.bool(),
    "round": torch.round,
    "sign": torch.sign,
    "sin": torch.sin,
    "sinh": torch.sinh,
    "sqrt": torch.sqrt,
    "square": torch.square,
    "tan": torch.tan,
    "tanh": torch.tanh,
}

_BINARY: dict[str, Binary] = {
    "add": torch.add,
    "equal": torch.eq,
    "floor_div": torch.floor_divide,
    "greater": torch.gt,
    "greater_equal": torch.ge,
    "less": torch.lt,
    "less_equal": torch.le,
    "logical_and": torch.logical_and,
    "logical_or": torch.logical_or,
    "logical_xor": torch.logical_xor,
    "maximum": torch.maximum,
    "minimum": torch.minimum,
    "mod": torch.remainder,
    "mul": torch.mul,
    "not_equal": torch.ne,
    "pow": torch.pow,
    "real_div": _real_div,
    "sub": torch.sub,
}

# The name of the type in the program -> what it is computed in.
_TYPES = {
    "fp16": torch.float16,
    "fp32": torch.float32,
    "int8": torch.int8,
    "int16": torch.int16,
    "int32": torch.int32,
    "int64": torch.int64,
    "uint8": torch.uint8,
    "uint16": torch.int32,
    "uint32": torch.int64,
    "bool": torch.bool,
}


def _of_one(function: Unary) -> Callable[[Args], torch.Tensor]:
    return lambda a: function(a.tensor("x"))


def _of_two(function: Binary) -> Callable[[Args], torch.Tensor]:
    return lambda a: function(a.tensor("x"), a.tensor("y"))


HANDLERS.update({name: _of_one(function) for name, function in _UNARY.items()})
HANDLERS.update({name: _of_two(function) for name, function in _BINARY.items()})


@handles("rsqrt")
def _rsqrt(a: Args) -> torch.Tensor:
    return torch.rsqrt(a.tensor("x") + a.number("epsilon"))


@handles("inverse")
def _inverse(a: Args) -> torch.Tensor:
    return 1 / (a.tensor("x") + a.number("epsilon"))


@handles("log")
def _log(a: Args) -> torch.Tensor:
    return torch.log(a.tensor("x") + a.number("epsilon"))


@handles("clip")
def _clip(a: Args) -> torch.Tensor:
    return a.tensor("x").clamp(a.number("alpha"), a.number("beta"))


@handles("threshold")
def _threshold(a: Args) -> torch.Tensor:
    return a.tensor("x").clamp(min=a.number("alpha"))


@handles("select")
def _select(a: Args) -> torch.Tensor:
    return torch.where(a.tensor("cond").bool(), a.tensor("a"), a.tensor("b"))


@handles("cast")
def _cast(a: Args) -> torch.Tensor:
    """Towards zero into integers. What is cast to float16 is rounded as the precision has it."""
    x, wanted = a.tensor("x"), _TYPES[a.text("dtype")]
    if wanted is torch.float16:
        return x.float()
    whole = not wanted.is_floating_point and wanted is not torch.bool
    return (torch.trunc(x) if whole and x.is_floating_point() else x).to(wanted)
