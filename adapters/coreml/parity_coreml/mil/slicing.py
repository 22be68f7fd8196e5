"""Parts of tensors, read and written."""

from __future__ import annotations

import numpy as np
import torch

from parity_coreml.mil.args import Args
from parity_coreml.mil.handlers import handles

__all__: list[str] = []


@handles("slice_by_index")
def _slice_by_index(a: Args) -> torch.Tensor:
    # torch has no negative strides.
    x = a.tensor("x").numpy()
    slices, squeezed = _slices(a, x.ndim)
    return torch.from_numpy(np.array(np.squeeze(x[slices], squeezed), order="C"))


@handles("slice_update")
def _slice_update(a: Args) -> torch.Tensor:
    x = a.tensor("x").clone()
    into = x.numpy()
    slices, _ = _slices(a, x.ndim)
    into[slices] = a.tensor("update").numpy().reshape(into[slices].shape)
    return x


@handles("slice_by_size")
def _slice_by_size(a: Args) -> torch.Tensor:
    pairs = zip(a.ints("begin"), a.ints("size"), strict=True)
    cuts = (slice(begin, None if size == -1 else begin + size) for begin, size in pairs)
    return a.tensor("x")[tuple(cuts)]


def _slices(a: Args, rank: int) -> tuple[tuple[slice, ...], tuple[int, ...]]:
    """The part, and the axes of it that go away."""
    begins, ends = a.ints("begin"), a.ints("end")
    strides = a.ints("stride", [1] * rank)
    from_start, to_end, single = (
        a.flags(name, rank) for name in ("begin_mask", "end_mask", "squeeze_mask")
    )
    slices = []
    for axis in range(rank):
        if single[axis]:
            # Of -1 the slice ends at the end, and not at 0.
            slices.append(slice(begins[axis], begins[axis] + 1 or None))
            continue
        begin = None if from_start[axis] else begins[axis]
        end = None if to_end[axis] else ends[axis]
        slices.append(slice(begin, end, strides[axis]))
    return tuple(slices), tuple(axis for axis in range(rank) if single[axis])


@handles("crop")
def _crop(a: Args) -> torch.Tensor:
    x = a.tensor("x")
    (top, bottom), (left, right) = a.ints("crop_height"), a.ints("crop_width")
    return x[..., top : x.shape[-2] - bottom, left : x.shape[-1] - right]
