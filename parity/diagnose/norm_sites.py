"""Finds normalisations in a stretch of the reference: one call, or written out by hand.

What is written out is read like a formula: a mean, what it was taken off, the mean of the squares,
its root, the quotient. Each value gets a note of what it is, and a quotient of the right two is a
normalisation.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any
from weakref import WeakKeyDictionary

import torch

from parity.diagnose.norm_calls import Slots, from_call
from parity.diagnose.norm_formula import Formula
from parity.diagnose.normalisation import Recipe, normalise
from parity.diagnose.view import View
from parity.localize.tape import LEAF, Node, Ref

__all__ = ["NormSite", "norm_sites"]

Tensor = torch.Tensor
_CASTS = frozenset({"float", "to", "type", "type_as", "contiguous", "clone", "detach"})
_RESHAPES = frozenset({"view", "reshape", "flatten", "unflatten", "view_as"})


@dataclass(frozen=True, slots=True)
class NormSite:
    """A normalisation of the reference.

    Attributes:
        source: what is normalised.
        result: what becomes of it, affine included.
        node: the operation that makes the result.
        recipe: how.
        slots: which values are weight, bias, mean and variance, and in which shape.
        whole: whether it is all that its call does.
        exact: whether it was one operation, or a formula that gives its numbers.
    """

    source: int
    result: int
    node: Node
    recipe: Recipe
    slots: Slots
    whole: bool
    exact: bool = True

    @property
    def reads(self) -> tuple[int, ...]:
        """The values that are needed to normalise: the source first."""
        return (self.source, *self.slots.values)

    def compute(self, recipe: Recipe, reads: tuple[Tensor, ...], dtype: torch.dtype) -> Tensor:
        """The result under a recipe."""
        return normalise(recipe, reads[0], self.slots.affine(reads[1:])).to(dtype)


_known: WeakKeyDictionary[View, tuple[NormSite, ...]] = WeakKeyDictionary()


def norm_sites(view: View) -> tuple[NormSite, ...]:
    """The normalisations whose last operation lies in the segment, in order."""
    found = _known.get(view)
    if found is None:
        found = _known[view] = tuple(_find(view))
    return found


def _find(view: View) -> Iterator[NormSite]:
    formula = Formula(view)
    taken: set[int] = set()
    for node in view.nodes:
        if node.index in taken or len(node.outputs) != 1:
            continue
        found = from_call(view, node)
        if found is not None:
            source, recipe, slots = found
        else:
            noted = formula.note(node)
            if noted is None:
                continue
            source, recipe, slots = noted
        if not view.has(source) or not view.has(node.outputs[0]):
            continue
        site = NormSite(source, node.outputs[0], node, recipe, slots, False, found is not None)
        site = _with_affine(view, _ungrouped(view, site))
        site = replace(site, whole=_is_whole(view, site))
        if _holds(view, site):
            taken.add(site.node.index)
            yield site


def _is_whole(view: View, site: NormSite) -> bool:
    if site.node.span < 0:
        return False
    return bool(view.tape.spans[site.node.span].result == Ref(site.result))


def _ungrouped(view: View, site: NormSite) -> NormSite:
    """A norm of `(batch, groups, rest)` that is viewed as channels before and after: of groups."""
    before, after = view.producer(site.source), _only_reader(view, site.result)
    if site.slots.values or before is None or after is None:
        return site
    if before.name not in _RESHAPES or after.name not in _RESHAPES or not before.inputs:
        return site
    source, result = before.inputs[0], after.outputs[0] if after.outputs else -1
    if result < 0 or view.shape(source) != view.shape(result) or not view.has(source):
        return site
    wide, shape = view.shape(source), view.shape(site.source)
    rank, inner = len(wide), len(shape)
    if rank < 2 or inner < 3 or wide[0] != shape[0] or wide[1] % max(shape[1], 1):
        return site
    if {axis % inner for axis in site.recipe.axes} != set(range(2, inner)):
        return site
    axes = tuple(range(1 - rank, 0))
    recipe = replace(site.recipe, axes=axes, channel=1 - rank, groups=shape[1])
    return replace(site, source=source, result=result, node=after, recipe=recipe)


def _with_affine(view: View, site: NormSite) -> NormSite:
    """The weight and bias that follow belong to it, as far as they are parameters."""
    if site.exact and (site.slots.weight is not None or site.slots.bias is not None):
        return site
    site = _times_root_of_count(view, _past_casts(view, site))
    for name, field in (("mul", "weight"), ("add", "bias")):
        if getattr(site.slots, field) is not None:
            continue
        node = _only_reader(view, site.result)
        if node is None or len(node.outputs) != 1:
            break
        if node.name == "addcmul" and field == "weight":
            return _addcmul(view, site, node)
        other = _other_operand(node, site.result) if node.name == name else None
        if other is None or not _fits(view, other, node, site.result):
            continue
        shape = view.shape(other)
        slots = site.slots.having(field, other, shape)
        channel = _channel_of(shape, site.recipe.channel)
        recipe = replace(site.recipe, channel=channel)
        site = replace(site, result=node.outputs[0], node=node, slots=slots, recipe=recipe)
    return site


def _times_root_of_count(view: View, site: NormSite) -> NormSite:
    """A vector of length one, times the root of its size, is one of unit mean square."""
    node = _only_reader(view, site.result)
    if site.recipe.spread != "length" or node is None or node.name != "mul" or not node.outputs:
        return site
    factor = next((arg for arg in node.args if isinstance(arg, int | float)), 0.0)
    shape = view.shape(site.source)
    root = math.sqrt(math.prod(shape[axis] for axis in site.recipe.axes))
    if not math.isclose(factor, root, rel_tol=1e-6):
        return site
    recipe = replace(site.recipe, spread="moment", eps=site.recipe.eps / root)
    return replace(site, result=node.outputs[0], node=node, recipe=recipe)


def _past_casts(view: View, site: NormSite) -> NormSite:
    node = _only_reader(view, site.result)
    if node is None or node.name not in _CASTS or len(node.outputs) != 1:
        return site
    if not view.is_float(node.outputs[0]):
        return site
    return replace(site, result=node.outputs[0], node=node)


def _addcmul(view: View, site: NormSite, node: Node) -> NormSite:
    bias, *factors = (arg.value for arg in node.args if isinstance(arg, Ref))
    others = [value for value in factors if value != site.result]
    if node.kwargs or len(others) != 1 or not _weight_like(view, others[0]):
        return site
    slots = site.slots.having("weight", others[0], view.shape(others[0]))
    slots = slots.having("bias", bias, view.shape(bias))
    return replace(site, result=node.outputs[0], node=node, slots=slots)


def _only_reader(view: View, value: int) -> Node | None:
    readers = view.tape.readers.get(value, [])
    if len(readers) != 1 or not view.inside(readers[0]):
        return None
    return view.tape.nodes[readers[0]]


def _other_operand(node: Node, value: int) -> int | None:
    given = [arg.value for arg in node.args[:2] if isinstance(arg, Ref)]
    others = [one for one in given if one != value]
    return others[0] if len(given) == 2 and len(others) == 1 and not node.kwargs else None


def _fits(view: View, other: int, node: Node, value: int) -> bool:
    same = view.shape(node.outputs[0]) == view.shape(value)
    return same and view.has(other) and _weight_like(view, other)


def _weight_like(view: View, value: int, depth: int = 4) -> bool:
    """Whether a value comes from parameters alone."""
    if view.is_parameter(value):
        return True
    if view.tape.values[value].node == LEAF:
        shape = view.shape(value)
        return view.is_float(value) and sum(n > 1 for n in shape) == 1
    node = view.producer(value)
    if node is None or not node.inputs or depth == 0:
        return False
    return all(_weight_like(view, one, depth - 1) for one in node.inputs)


def _channel_of(shape: tuple[int, ...], default: int) -> int:
    wide = [axis - len(shape) for axis, extent in enumerate(shape) if extent > 1]
    return wide[0] if len(wide) == 1 else default


def _holds(view: View, site: NormSite) -> bool:
    """Whether a formula gives the reference's numbers; what was changed already is not checked."""
    shape = view.shape(site.source)
    if not view.is_float(site.source) or not shape or 0 in shape:
        return False
    if shape != view.shape(site.result) or max(map(abs, site.recipe.axes), default=0) > len(shape):
        return False
    if site.exact or view.segment.active:
        return True
    made = _tried(view, site)
    result = view.value(site.result)
    if made is None or made.shape != result.shape:
        return False
    size = float(result.norm())
    return math.isfinite(size) and float((made - result).norm()) <= 1e-4 * size + 1e-12


def _tried(view: View, site: NormSite) -> Tensor | None:
    try:
        reads: Any = tuple(view.value(value) for value in site.reads)
        return site.compute(site.recipe, reads, view.value(site.result).dtype)
    except (RuntimeError, ValueError, IndexError, KeyError, TypeError):
        return None
