"""Operations that move elements without changing them."""

from __future__ import annotations

import math

import torch
from torch.nn import functional

from parity_coreml.mil.args import Args
from parity_coreml.mil.handlers import HANDLERS, handles

__all__: list[str] = []

HANDLERS.update(
    transpose=lambda a: a.tensor("x").permute(a.ints("perm")),
    stack=lambda a: torch.stack(a.tensors("values"), a.whole("axis")),
    tile=lambda a: a.tensor("x").repeat(a.ints("reps")),
    shape=lambda a: torch.tensor(a.tensor("x").shape, dtype=torch.int32),
    pixel_shuffle=lambda a: functional.pixel_shuffle(a.tensor("x"), a.whole("upscale_factor")),
    pixel_unshuffle=lambda a: functional.pixel_unshuffle(
        a.tensor("x"), a.whole("downscale_factor")
    ),
)


@handles("reverse")
def _reverse(a: Args) -> torch.Tensor:
    x = a.tensor("x")
    return x.flip(a.ints("axes", list(range(x.ndim))))


@handles("reshape")
def _reshape(a: Args) -> torch.Tensor:
    """0 keeps the extent of that axis, counted from the last one; -1 is what is left."""
    x, wanted = a.tensor("x"), a.ints("shape")
    moved = x.ndim - len(wanted)
    keeps = [
        (x.shape[axis + moved] if axis + moved >= 0 else 1) if size == 0 and x.numel() else size
        for axis, size in enumerate(wanted)
    ]
    return x.reshape(keeps)


@handles("reshape_like")
def _reshape_like(a: Args) -> torch.Tensor:
    axes, shape = zip(*_likeness(a), strict=True)
    del axes
    return a.tensor("x").reshape(shape)


def _likeness(a: Args) -> list[tuple[int, int]]:
    found = []
    references = a.tensors("ref_tensors")
    begins, ends, masks = a.ints("begins"), a.ints("ends"), a.flags("end_masks", len(references))
    for reference, begin, end, mask in zip(references, begins, ends, masks, strict=True):
        found += list(enumerate(reference.shape[begin : None if mask else end]))
    return found


@handles("flatten2d")
def _flatten2d(a: Args) -> torch.Tensor:
    x, axis = a.tensor("x"), a.whole("axis", 1)
    return x.reshape(math.prod(x.shape[:axis]), math.prod(x.shape[axis:]))


@handles("expand_dims")
def _expand_dims(a: Args) -> torch.Tensor:
    x, axes = a.tensor("x"), a.ints("axes")
    rank = x.ndim + len(axes)
    for axis in sorted(axis % rank for axis in axes):
        x = x.unsqueeze(axis)
    return x


@handles("squeeze")
def _squeeze(a: Args) -> torch.Tensor:
    x = a.tensor("x")
    return x.squeeze(tuple(a.ints("axes"))) if a.has("axes") else x.squeeze()


@handles("concat")
def _concat(a: Args) -> torch.Tensor:
    values, axis = a.tensors("values"), a.whole("axis")
    if a.flag("interleave"):
        # Element by element in turn, which needs equal extents.
        stacked = torch.stack(values, axis % values[0].ndim + 1)
        return stacked.flatten(axis % values[0].ndim, axis % values[0].ndim + 1)
    return torch.cat(values, axis)


@handles("split")
def _split(a: Args) -> tuple[torch.Tensor, ...]:
    x, axis = a.tensor("x"), a.whole("axis")
    if a.has("split_sizes"):
        return torch.split(x, a.ints("split_sizes"), axis)
    return torch.split(x, x.shape[axis] // a.whole("num_splits"), axis)


@handles("pad")
def _pad(a: Args) -> torch.Tensor:
    """Of the last axes, in pairs of before and after."""
    x, given, mode = a.tensor("x"), a.ints("pad"), a.text("mode", "constant")
    pairs = list(zip(given[::2], given[1::2], strict=True))
    if mode == "constant":
        flat = [each for pair in reversed(pairs) for each in pair]
        return functional.pad(x, flat, value=a.number("constant_val"))
    for axis, (before, after) in enumerate(pairs, x.ndim - len(pairs)):
        x = x.index_select(axis, _source(x.shape[axis], before, after, mode))
    return x


def _source(size: int, before: int, after: int, mode: str) -> torch.Tensor:
    places = torch.arange(-before, size + after)
    if mode == "replicate":
        return places.clamp(0, size - 1)
    return (size - 1) - ((size - 1) - places.abs()).abs()


@handles("depth_to_space", "space_to_depth")
def _depth(a: Args) -> torch.Tensor:
    """Blocks of height and width out of channels, block index first, and back."""
    x, size = a.tensor("x"), a.whole("block_size")
    batch, channels, height, width = x.shape
    if a.operation.op_type == "depth_to_space":
        split = x.reshape(batch, size, size, channels // size**2, height, width)
        moved = split.permute(0, 3, 4, 1, 5, 2)
        return moved.reshape(batch, channels // size**2, height * size, width * size)
    split = x.reshape(batch, channels, height // size, size, width // size, size)
    moved = split.permute(0, 3, 5, 1, 2, 4)
    return moved.reshape(batch, channels * size**2, height // size, width // size)


@handles("band_part")
def _band_part(a: Args) -> torch.Tensor:
    x, lower, upper = a.tensor("x"), a.whole("lower", -1), a.whole("upper", -1)
    x = x.triu(-lower) if lower >= 0 else x
    return x.tril(upper) if upper >= 0 else x


@handles("sliding_windows")
def _sliding_windows(a: Args) -> torch.Tensor:
    x = a.tensor("x")
    axis = a.whole("axis") % x.ndim
    windows = x.unfold(axis, a.whole("size"), a.whole("stride", 1))
    return windows.movedim(-1, axis + 1)
