"""Sums in another order: what another kernel, another library, a loop in C would compute.

Each function here computes what the torch operation of its name computes, with the terms of each
sum taken in blocks whose partial sums are added one after another: single terms, as a plain loop
has them, where that is not too much work. Only rounding differs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch

from parity.localize.execute import Edit, Operands
from parity.localize.tape import Node, Tape

__all__ = ["reordered"]

Tensor = torch.Tensor
Finish = Callable[[Tensor], Tensor]

# The most terms in a block of a long sum.
_BLOCK = 32
# How many partial sums of one kind are added up at most, one torch call each.
_ADDITIONS = 1024
# How many partial sums one operation may add up, in elements: a tenth of a second.
PLAIN_LOOP = 1 << 27


def reordered(
    tape: Tape, finish: Finish | None = None, *, work: int = PLAIN_LOOP
) -> Mapping[int, Sequence[Edit]]:
    """Edits that let every operation that sums do so in another order, by operation.

    Args:
        tape: the run.
        finish: what is done with each result, such as rounding; the default is nothing.
        work: how many partial sums one operation may add up, in elements; the more, the shorter
            the blocks, and the more like a plain loop it rounds.
    """
    found: dict[int, Sequence[Edit]] = {}
    for node in tape.nodes:
        order = _other_order(node, work)
        if order is not None:
            found[node.index] = [Edit(node.index, partial(_apply, order, finish))]
    return found


def _other_order(node: Node, work: int) -> Callable[..., Tensor] | None:
    if getattr(node.function, "__name__", "") == "__rmatmul__":
        return None  # its operands come the other way round
    if node.name in {"mean", "sum"}:
        return partial(_total, work, mean=node.name == "mean")
    if node.name.startswith("conv_transpose"):
        return partial(_transposed_convolution, node.function, work)
    if node.name in {"conv1d", "conv2d", "conv3d"}:
        return partial(_convolution, node.function, work)
    order = _ORDERS.get(node.name)
    return None if order is None else partial(order, work)


def _apply(order: Callable[..., Tensor], finish: Finish | None, given: Operands) -> Any:
    try:
        result = order(*given.args, **given.kwargs)
    except (RuntimeError, TypeError, ValueError, IndexError, AttributeError):
        return given.default()  # a form of the call that is not covered here
    return result if finish is None else finish(result)


def _linear(
    work: int,
    input: Tensor,  # noqa: A002
    weight: Tensor,
    bias: Tensor | None = None,
) -> Tensor:
    # A port may also begin with the bias.
    return _product(work, input, weight.t(), start=bias)


def _matmul(work: int, input: Tensor, other: Tensor) -> Tensor:  # noqa: A002
    if input.dim() < 2 or other.dim() < 2:
        raise ValueError("no block of a vector")
    if other.dim() == 2:
        return _product(work, input, other)
    return _sequential(input[..., part] @ other[..., part, :] for part in _parts(input.shape[-1]))


def _addmm(work: int, input: Tensor, mat1: Tensor, mat2: Tensor) -> Tensor:  # noqa: A002
    return _product(work, mat1, mat2, start=input)


def _product(work: int, left: Tensor, right: Tensor, *, start: Tensor | None = None) -> Tensor:
    """`left` (..., k) times `right` (k, n), plus `start`."""
    k, n = right.shape
    rows, right = left.reshape(-1, k), right.contiguous()
    size = _block(k, rows.shape[0] * n, work)
    total = rows.new_zeros(rows.shape[0], n) if start is None else start.expand(rows.shape[0], n)
    for i in range(0, k, size):
        if size == 1:
            total = torch.addcmul(total, rows[:, i : i + 1], right[i])
        else:
            total = total + rows[:, i : i + size] @ right[i : i + size]
    return total.reshape(*left.shape[:-1], n)


def _block(terms: int, elements: int, work: int) -> int:
    """How many terms of a sum to take at once, so that adding up the blocks is no more work."""
    blocks = max(work // max(elements, 1), terms // _BLOCK, 2)
    return max(1, -(-terms // blocks))


def _sequential(parts: Any, start: Tensor | None = None) -> Tensor:
    total = start
    for part in parts:
        total = part if total is None else total + part
    if total is None:
        raise ValueError("nothing to add")
    return total


def _parts(length: int, most: int = 16, size: int | None = None) -> list[slice]:
    """`length` terms in blocks, the last first; single terms as a loop takes them, the first."""
    size = size or max(1, min(_BLOCK, length // 2), -(-length // most))
    found = [slice(i, min(i + size, length)) for i in range(0, length, size)]
    return found if size == 1 else found[::-1]


def _convolution(  # noqa: PLR0917 - torch's signature
    function: Callable[..., Tensor],
    work: int,
    input: Tensor,  # noqa: A002
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor:
    shared: tuple[Any, ...] = (stride, padding, dilation, groups)
    if groups > 1:
        parts = (function(input, part, None, *shared) for part in _alternate_taps(weight))
    else:
        axis = input.dim() - weight.dim() + 1
        parts = (
            function(_take(input, axis, part), weight[:, part], None, *shared)
            for part in _channels(weight.shape[1], input.numel() // weight.shape[1], work)
        )
    return _with_bias(_sequential(parts), bias, weight.dim() - 2)


def _transposed_convolution(  # noqa: PLR0917 - torch's signature
    function: Callable[..., Tensor],
    work: int,
    input: Tensor,  # noqa: A002
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Tensor:
    shared: tuple[Any, ...] = (stride, padding, output_padding, groups, dilation)
    if groups > 1:
        parts = (function(input, part, None, *shared) for part in _alternate_taps(weight))
    else:
        axis = input.dim() - weight.dim() + 1
        parts = (
            function(_take(input, axis, part), weight[part], None, *shared)
            for part in _channels(weight.shape[0], input.numel() // weight.shape[0], work)
        )
    return _with_bias(_sequential(parts), bias, weight.dim() - 2)


def _channels(count: int, each: int, work: int) -> list[slice]:
    """Input channels in blocks; `each` has so many elements, as the output's have, roughly."""
    return _parts(count, size=max(_block(count, each * count, work), -(-count // 512)))


def _take(tensor: Tensor, axis: int, part: slice) -> Tensor:
    return tensor.narrow(axis, part.start, part.stop - part.start)


def _alternate_taps(weight: Tensor) -> list[Tensor]:
    """The kernel as two: its even taps, and its odd ones."""
    even = torch.zeros(weight.shape[-1], dtype=weight.dtype, device=weight.device)
    even[::2] = 1
    return [weight * (1 - even), weight * even]


def _with_bias(total: Tensor, bias: Tensor | None, axes: int) -> Tensor:
    return total if bias is None else total + bias.reshape(-1, *(1,) * axes)


def _attention(  # noqa: PLR0917 - torch's signature
    work: int,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    if dropout_p or enable_gqa:
        raise ValueError("not covered")
    factor = query.shape[-1] ** -0.5 if scale is None else scale
    scores = _matmul(work, query * factor, key.transpose(-1, -2))
    if is_causal:
        scores = scores.masked_fill(~torch.ones_like(scores, dtype=torch.bool).tril(), -torch.inf)
    if attn_mask is not None:
        bits = attn_mask.dtype is torch.bool
        scores = scores.masked_fill(~attn_mask, -torch.inf) if bits else scores + attn_mask
    shares = _softmax(work, scores, -1)
    # Who may look at nothing gets nothing.
    return _matmul(work, torch.nan_to_num(shares), value)


def _softmax(
    work: int,
    input: Tensor,  # noqa: A002
    dim: int | None = None,
    *_: Any,
    **__: Any,
) -> Tensor:
    if dim is None:
        raise ValueError("not covered")
    powers = torch.exp(input - input.amax(dim, keepdim=True))
    return powers / _total(work, powers, dim, keepdim=True)


def _layer_norm(  # noqa: PLR0917 - torch's signature
    work: int,
    input: Tensor,  # noqa: A002
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
    *_: Any,
) -> Tensor:
    axes = tuple(range(-len(normalized_shape), 0))
    centred = input - _total(work, input, axes, keepdim=True, mean=True)
    variance = _total(work, centred * centred, axes, keepdim=True, mean=True)
    found = centred / torch.sqrt(variance + eps)
    found = found if weight is None else found * weight
    return found if bias is None else found + bias


def _rms_norm(
    work: int,
    input: Tensor,  # noqa: A002
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    eps: float | None = None,
) -> Tensor:
    axes = tuple(range(-len(normalized_shape), 0))
    small = torch.finfo(input.dtype).eps if eps is None else eps
    squares = _total(work, input * input, axes, keepdim=True, mean=True)
    found = input / torch.sqrt(squares + small)
    return found if weight is None else found * weight


def _variance(
    work: int,
    input: Tensor,  # noqa: A002
    dim: int | Sequence[int] | None = None,
    unbiased: bool = True,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> Tensor:
    if isinstance(dim, bool):
        raise ValueError("that is whether it is unbiased")
    centred = input - _total(work, input, dim, keepdim=True, mean=True)
    squares = _total(work, centred * centred, dim, keepdim=keepdim)
    terms = input.numel() // max(squares.numel(), 1)
    return squares / (terms - (float(unbiased) if correction is None else correction))


def _deviation(work: int, *args: Any, **kwargs: Any) -> Tensor:
    return torch.sqrt(_variance(work, *args, **kwargs))


def _total(
    work: int,
    input: Tensor,  # noqa: A002
    dim: int | Sequence[int] | None = None,
    keepdim: bool = False,
    *,
    mean: bool = False,
) -> Tensor:
    if not input.is_floating_point():
        raise ValueError("counts do not round")
    rank = input.dim()
    axes = range(rank) if dim is None else (dim,) if isinstance(dim, int) else dim
    summed = sorted({axis % rank for axis in axes})
    kept = [axis for axis in range(rank) if axis not in summed]
    rows = input.permute(*kept, *summed).flatten(len(kept))
    terms = rows.shape[-1]
    size = max(_block(terms, rows.numel() // max(terms, 1), work), -(-terms // _ADDITIONS))
    total = _sequential(rows[..., part].sum(-1) for part in _parts(terms, size=size))
    total = total / terms if mean else total
    for axis in summed if keepdim else ():
        total = total.unsqueeze(axis)
    return total


# Each takes `work` first, then what torch's operation takes.
_ORDERS: Mapping[str, Callable[..., Tensor]] = {
    "linear": _linear,
    "matmul": _matmul,
    "mm": _matmul,
    "bmm": _matmul,
    "addmm": _addmm,
    "scaled_dot_product_attention": _attention,
    "softmax": _softmax,
    "layer_norm": _layer_norm,
    "rms_norm": _rms_norm,
    "var": _variance,
    "std": _deviation,
}
