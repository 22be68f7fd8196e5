"""What normalisations read besides their input: weight, bias and statistics lost or replaced."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import torch

from parity.diagnose.hypothesis import Hypothesis
from parity.diagnose.norm_proposals import NAME, Proposals, affine_change, proposals, with_fields
from parity.diagnose.normalisation import Affine, kind_of
from parity.diagnose.siblings import siblings
from parity.diagnose.view import View

__all__ = ["NAME", "propose"]

Tensor = torch.Tensor


def propose(view: View) -> Iterator[Hypothesis]:
    """Other weights, biases and statistics, wherever the reference normalises."""
    for make in proposals(view):
        yield from _lost(make)
        yield from _offset(make)
        yield from _siblings(make)
        yield from _statistics(make)


def _lost(make: Proposals) -> Iterator[Hypothesis]:
    slots, label = make.site.slots, kind_of(make.recipe, make.rank)
    weight, bias = slots.weight is not None, slots.bias is not None
    if weight:
        change = affine_change(lambda given: replace(given, weight=None))
        yield make.fixed("weight", f"{label} with weight", "without weight", change, 1.1)
    if bias:
        change = affine_change(lambda given: replace(given, bias=None))
        yield make.fixed("bias", f"{label} with bias", "without bias", change, 1.1)
        change = affine_change(lambda g: replace(g, bias=None if g.bias is None else -g.bias))
        yield make.fixed("bias", "bias added", "bias subtracted", change, 1.8)
    if weight and bias:
        yield make.fixed("weight", "weight and bias", "neither", affine_change(_bare), 1.2)
        change = affine_change(lambda g: replace(g, weight=g.bias, bias=g.weight))
        yield make.fixed("weight", "weight and bias", "one for the other", change, 1.8)
        change = with_fields(bias_first=True)
        yield make.fixed("bias", "bias added after the weight", "before", change, 1.8)


def _offset(make: Proposals) -> Iterator[Hypothesis]:
    slot = make.site.slots.weight
    if slot is None:
        return
    plain = _without_one(make.view, slot[0])
    if plain is not None:
        kept = plain.reshape(slot[1])
        change = affine_change(lambda given: replace(given, weight=kept))
        yield make.fixed("weight_offset", "times 1 + weight", "times weight", change, 1.05, 0.0)
        return
    change = affine_change(lambda g: replace(g, weight=None if g.weight is None else 1 + g.weight))
    yield make.fixed("weight_offset", "times weight", "times 1 + weight", change, 1.05, 1.0)
    change = affine_change(
        lambda g: replace(g, weight=None if g.weight is None else g.weight.square())
    )
    yield make.fixed("weight", "weight once", "weight twice", change, 1.8)


def _without_one(view: View, weight: int) -> Tensor | None:
    """The parameter that one was added to, if the weight is such a sum."""
    node = view.producer(weight)
    while node is not None and node.name not in ("add", "rsub") and len(node.inputs) == 1:
        node = view.producer(node.inputs[0])
    if node is None or len(node.inputs) != 1 or not view.is_parameter(node.inputs[0]):
        return None
    if not any(isinstance(arg, int | float) and arg == 1 for arg in node.args):
        return None
    return view.value(node.inputs[0])


def _siblings(make: Proposals) -> Iterator[Hypothesis]:
    view, slots = make.view, make.site.slots
    weight = slots.weight
    if weight is None or not view.is_parameter(weight[0]):
        return
    bias = slots.bias
    pairs = (weight[0], bias[0]) if bias is not None and view.is_parameter(bias[0]) else weight[:1]
    for others in siblings(view, pairs):
        name = view.name_of(others[0])
        tensors = [view.value(other) for other in others]
        other_weight = tensors[0].reshape(weight[1])
        change = affine_change(_replacing(weight=other_weight))
        own = view.name_of(weight[0])
        if len(tensors) == 2 and bias is not None:
            both = affine_change(_replacing(weight=other_weight, bias=tensors[1].reshape(bias[1])))
            reference = f"weight and bias of {own}"
            yield make.fixed("weight", reference, f"those of {name}", both, 1.5)
        yield make.fixed("weight", f"weight {own}", f"weight {name}", change, 1.5)


def _replacing(**tensors: Tensor) -> Callable[[Affine], Affine]:
    return lambda given: replace(given, **tensors)


def _statistics(make: Proposals) -> Iterator[Hypothesis]:
    recipe, rank, slots = make.recipe, make.rank, make.site.slots
    if not recipe.running or slots.mean is None or slots.variance is None:
        return
    channel = (recipe.channel % rank) - rank
    every = [axis for axis in range(-rank, 0) if axis != channel]
    reference = "running statistics"
    batch = with_fields(running=False, axes=tuple(every))
    yield make.fixed("statistics", reference, "statistics of the batch", batch, 1.0)
    if rank > 2:
        one = with_fields(running=False, axes=tuple(axis for axis in every if axis != -rank))
        yield make.fixed("statistics", reference, "statistics of each example", one, 1.3)
    changes: dict[str, Callable[[Affine], Affine]] = {
        "no running mean": lambda g: replace(g, mean=_full(g.mean, 0.0)),
        "no running variance": lambda g: replace(g, variance=_full(g.variance, 1.0)),
        "initial statistics (0 and 1)": lambda g: replace(
            g, mean=_full(g.mean, 0.0), variance=_full(g.variance, 1.0)
        ),
        "mean and variance swapped": lambda g: replace(g, mean=g.variance, variance=g.mean),
        "variance taken as the deviation": lambda g: replace(
            g, variance=None if g.variance is None else g.variance.square()
        ),
        "running mean added": lambda g: replace(g, mean=None if g.mean is None else -g.mean),
    }
    for text, change in changes.items():
        yield make.fixed("statistics", reference, text, affine_change(change), 1.4)
    if view_names := make.view.name_of(slots.mean[0]):
        for mean, variance in siblings(make.view, (slots.mean[0], slots.variance[0])):
            found = make.view.value(mean), make.view.value(variance)
            shaped = found[0].reshape(slots.mean[1]), found[1].reshape(slots.variance[1])
            change = _replacing(mean=shaped[0], variance=shaped[1])
            text = f"those of {make.view.name_of(mean)}"
            reference = f"statistics of {view_names}"
            yield make.fixed("statistics", reference, text, affine_change(change), 1.5)


def _full(tensor: Tensor | None, value: float) -> Tensor | None:
    return None if tensor is None else torch.full_like(tensor, value)


def _bare(given: Affine) -> Affine:
    return replace(given, weight=None, bias=None)
