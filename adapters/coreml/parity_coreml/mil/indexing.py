"""Gathering and scattering by index."""

from __future__ import annotations

import torch

from parity_coreml.mil.args import Args
from parity_coreml.mil.handlers import handles

__all__: list[str] = []

# `torch.scatter_reduce` has no subtraction and no division: these are the others upside down.
_REDUCTIONS = {
    "add": "sum",
    "sub": "sum",
    "mul": "prod",
    "div": "prod",
    "max": "amax",
    "min": "amin",
}


@handles("gather")
def _gather(a: Args) -> torch.Tensor:
    x, axis = a.tensor("x"), a.whole("axis") % a.tensor("x").ndim
    indices, batch = _positive(a.tensor("indices"), x.shape[axis]), a.whole("batch_dims")
    if batch == 0:
        picked = x.index_select(axis, indices.reshape(-1))
        return picked.reshape(*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :])
    lead = x.shape[:batch]
    rows = zip(
        x.reshape(-1, *x.shape[batch:]), indices.reshape(-1, *indices.shape[batch:]), strict=True
    )
    made = [
        row.index_select(axis - batch, picks.reshape(-1)).reshape(
            *row.shape[: axis - batch], *picks.shape, *row.shape[axis - batch + 1 :]
        )
        for row, picks in rows
    ]
    return torch.stack(made).reshape(*lead, *made[0].shape)


@handles("gather_along_axis")
def _gather_along_axis(a: Args) -> torch.Tensor:
    x, axis = a.tensor("x"), a.whole("axis")
    indices = _positive(a.tensor("indices"), x.shape[axis])
    return torch.take_along_dim(x, indices, axis)


@handles("gather_nd")
def _gather_nd(a: Args) -> torch.Tensor:
    x, indices, batch = a.tensor("x"), a.tensor("indices").long(), a.whole("batch_dims")
    if batch == 0:
        return x[tuple(indices.unbind(-1))]
    rows = zip(
        x.reshape(-1, *x.shape[batch:]), indices.reshape(-1, *indices.shape[batch:]), strict=True
    )
    made = [row[tuple(picks.unbind(-1))] for row, picks in rows]
    return torch.stack(made).reshape(*x.shape[:batch], *made[0].shape)


@handles("scatter")
def _scatter(a: Args) -> torch.Tensor:
    """Whole slices of `updates` to places along one axis; indices [n], or of any rank."""
    data, axis = a.tensor("data"), a.whole("axis") % a.tensor("data").ndim
    indices = _positive(a.tensor("indices"), data.shape[axis])
    shape = [1] * axis + [-1] + [1] * (data.ndim - axis - 1)
    updates = a.tensor("updates").reshape(*data.shape[:axis], -1, *data.shape[axis + 1 :])
    places = indices.reshape(shape).expand_as(updates)
    return _scattered(data, axis, places, updates, a.text("mode", "add"))


@handles("scatter_along_axis")
def _scatter_along_axis(a: Args) -> torch.Tensor:
    data, axis = a.tensor("data"), a.whole("axis")
    places = _positive(a.tensor("indices"), data.shape[axis])
    return _scattered(data, axis, places, a.tensor("updates"), a.text("mode", "add"))


@handles("scatter_nd")
def _scatter_nd(a: Args) -> torch.Tensor:
    data, indices = a.tensor("data"), a.tensor("indices").long()
    depth = indices.shape[-1]
    rows, columns = data.shape[:depth].numel(), data.shape[depth:].numel()
    flat = torch.zeros(indices.shape[:-1], dtype=torch.long)
    for axis in range(depth):
        flat = flat * data.shape[axis] + _positive(indices[..., axis], data.shape[axis])
    updates = a.tensor("updates").reshape(-1, columns)
    places = flat.reshape(-1, 1).expand_as(updates)
    made = _scattered(data.reshape(rows, columns), 0, places, updates, a.text("mode", "add"))
    return made.reshape(data.shape)


def _scattered(
    data: torch.Tensor, axis: int, places: torch.Tensor, updates: torch.Tensor, mode: str
) -> torch.Tensor:
    if mode == "update":
        return data.scatter(axis, places, updates)
    if mode == "sub":
        updates = -updates
    elif mode == "div":
        updates = 1 / updates
    return data.scatter_reduce(axis, places, updates, _REDUCTIONS[mode])


def _positive(indices: torch.Tensor, size: int) -> torch.Tensor:
    indices = indices.long()
    return torch.where(indices < 0, indices + size, indices)


@handles("one_hot")
def _one_hot(a: Args) -> torch.Tensor:
    indices, count = a.tensor("indices"), a.whole("one_hot_vector_size")
    hot = indices.unsqueeze(-1) == torch.arange(count)
    on, off = a.tensor("on_value"), a.tensor("off_value")
    return torch.where(hot, on, off).movedim(-1, a.whole("axis", -1))


@handles("non_zero")
def _non_zero(a: Args) -> torch.Tensor:
    return a.tensor("x").nonzero()


@handles("argsort")
def _argsort(a: Args) -> torch.Tensor:
    """Equal elements keep their order."""
    x, axis = a.tensor("x"), a.whole("axis", -1)
    return x.argsort(dim=axis, descending=not a.flag("ascending"), stable=True)


@handles("topk")
def _topk(a: Args) -> tuple[torch.Tensor, ...]:
    x, axis = a.tensor("x"), a.whole("axis", -1)
    order = x.argsort(dim=axis, descending=not a.flag("ascending"), stable=True)
    best = order.narrow(axis, 0, a.whole("k", 1))
    values = x.gather(axis, best)
    return (values, best) if a.flag("return_indices", True) else (values,)
