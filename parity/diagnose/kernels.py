"""Convolutions as torch calls them, with all arguments by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch.nn import functional

from parity.localize.execute import Operands
from parity.localize.tape import Node

__all__ = [
    "Convolution",
    "arguments_of",
    "is_convolution",
    "padded",
    "run_convolution",
    "signal_of",
]

Tensor = torch.Tensor

_FORWARD = ("input", "weight", "bias", "stride", "padding", "dilation", "groups")
_TRANSPOSED = (
    "input", "weight", "bias", "stride", "padding", "output_padding", "groups", "dilation",
)  # fmt: skip
_FUNCTIONS: dict[str, Callable[..., Tensor]] = {
    "conv1d": functional.conv1d,
    "conv2d": functional.conv2d,
    "conv3d": functional.conv3d,
    "conv_transpose1d": functional.conv_transpose1d,
    "conv_transpose2d": functional.conv_transpose2d,
    "conv_transpose3d": functional.conv_transpose3d,
}


@dataclass(frozen=True, slots=True)
class Convolution:
    """The arguments of a convolution but for its tensors.

    Attributes:
        name: of torch's function.
        stride: by spatial axis.
        padding: by spatial axis, on both sides.
        dilation: by spatial axis.
        output_padding: by spatial axis; zeros for one that is not transposed.
        groups: of channels.
    """

    name: str
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    output_padding: tuple[int, ...]
    groups: int

    @property
    def dims(self) -> int:
        """How many spatial axes."""
        return int(self.name[-2])

    @property
    def transposed(self) -> bool:
        """Whether it enlarges."""
        return "transpose" in self.name

    def without_padding(self) -> Convolution:
        """The same, for an input that is padded already."""
        return replace(self, padding=(0,) * self.dims)


def is_convolution(node: Node) -> bool:
    """Whether an operation is one of torch's convolutions."""
    return node.name in _FUNCTIONS


def arguments_of(node: Node, kernel: tuple[int, ...]) -> Convolution | None:
    """How an operation convolves; None for what cannot be made out.

    Args:
        node: the operation.
        kernel: the spatial extents of its weight.
    """
    dims = int(node.name[-2])
    names = _TRANSPOSED if "transpose" in node.name else _FORWARD
    given = {**dict(zip(names, node.args, strict=False)), **node.kwargs}
    stride = _spread(given.get("stride", 1), dims)
    dilation = _spread(given.get("dilation", 1), dims)
    padding = given.get("padding", 0)
    if padding == "valid":
        padding = 0
    if padding == "same":
        spans = [(k - 1) * d for k, d in zip(kernel, dilation or (1,) * dims, strict=True)]
        if any(span % 2 for span in spans):
            return None
        padding = tuple(span // 2 for span in spans)
    both = _spread(padding, dims)
    extra = _spread(given.get("output_padding", 0), dims)
    groups = given.get("groups", 1)
    if None in (stride, dilation, both, extra) or not isinstance(groups, int):
        return None
    return Convolution(node.name, stride or (), both or (), dilation or (), extra or (), groups)


def _spread(value: Any, dims: int) -> tuple[int, ...] | None:
    if isinstance(value, int):
        return (value,) * dims
    if isinstance(value, tuple | list) and all(isinstance(v, int) for v in value):
        return tuple(value) * dims if len(value) == 1 else tuple(value)
    return None


def run_convolution(
    convolution: Convolution, operands: Operands, x: Tensor, *, weight: Tensor | None = None
) -> Tensor:
    """Convolve `x (batch, channels, ...)` by the weight and bias of an operation's operands."""
    names = _TRANSPOSED if convolution.transposed else _FORWARD
    given = {**dict(zip(names, operands.args, strict=False)), **operands.kwargs}
    more = {"output_padding": convolution.output_padding} if convolution.transposed else {}
    return _FUNCTIONS[convolution.name](
        x,
        given["weight"] if weight is None else weight,
        given.get("bias"),
        stride=convolution.stride,
        padding=convolution.padding,
        dilation=convolution.dilation,
        groups=convolution.groups,
        **more,
    )


def padded(x: Tensor, amounts: tuple[tuple[int, int], ...], mode: str = "constant") -> Tensor:
    """Pad, or trim where negative, the last axes of `x` before and behind.

    Args:
        x: `(batch, channels, ...)`.
        amounts: by spatial axis, in order.
        mode: of `F.pad`; trimming is the same in all modes.
    """
    grown = [n for before, behind in reversed(amounts) for n in (max(before, 0), max(behind, 0))]
    shrunk = [n for before, behind in reversed(amounts) for n in (min(before, 0), min(behind, 0))]
    if any(grown):
        x = functional.pad(x, grown, mode=mode)
    return functional.pad(x, shrunk) if any(shrunk) else x


def signal_of(operands: Operands) -> Tensor:
    """What an operation convolves, `(batch, channels, ...)`."""
    found: Tensor = operands.args[0] if operands.args else operands.kwargs["input"]
    return found
