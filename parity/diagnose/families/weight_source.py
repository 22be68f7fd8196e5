"""Weights of another layer or module: the one before, the one beside, all of a module's."""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Iterator, Mapping
from heapq import nsmallest

import torch

from parity.diagnose.constants import Constants, constants_of
from parity.diagnose.families.weights import everywhere, short, site_of
from parity.diagnose.hypothesis import Hypothesis, Site, pattern_of
from parity.diagnose.orders import text_order
from parity.diagnose.view import View
from parity.localize.execute import Edit
from parity.localize.tape import Tape

__all__ = ["NAME", "propose"]

Tensor = torch.Tensor
NAME = "weights"
_MOST_SIBLINGS = 10
_MOST_MODULES = 24
_MOST_PARAMETERS = 60  # of a stretch; beyond, only whole modules are looked at


def propose(view: View) -> Iterator[Hypothesis]:
    """Each parameter, and each module's parameters together, taken from elsewhere."""
    constants = constants_of(view)
    catalogue = _catalogue(view, constants)
    here = {view.name_of(v): v for v in constants.readers if view.name_of(v) in catalogue.named}
    if len(here) <= _MOST_PARAMETERS:
        for name, value in here.items():
            yield from _one(view, constants, catalogue, name, value)
    yield from _modules(constants, catalogue, here)
    yield from _numbered(constants, catalogue, here)


class _Catalogue:
    """The parameters of a model, by shape, by module, and by the lists that modules stand in.

    Attributes:
        named: all of them.
        shaped: their names by shape.
        inside: their names by each of the three innermost modules around them.
        kinds: by module, what it has: names within it and shapes.
        lists: by what stands before and after a number in a name, the names by that number.
    """

    def __init__(self, named: Mapping[str, Tensor]) -> None:
        self.named = named
        self.shaped: dict[tuple[int, ...], list[str]] = {}
        self.lists: dict[tuple[str, str], dict[int, str]] = {}
        for name, tensor in named.items():
            self.shaped.setdefault(tuple(tensor.shape), []).append(name)
            parts = name.split(".")
            for i, part in enumerate(parts):
                if part.isdigit():
                    around = (".".join(parts[:i]), ".".join(parts[i + 1 :]))
                    self.lists.setdefault(around, {})[int(part)] = name
        self.inside = _by_prefix(named)
        self.kinds = {
            prefix: frozenset((m[len(prefix) :], tuple(named[m].shape)) for m in members)
            for prefix, members in self.inside.items()
        }
        self.alike: dict[frozenset[tuple[str, tuple[int, ...]]], list[str]] = {}
        for prefix, kind in self.kinds.items():
            self.alike.setdefault(kind, []).append(prefix)


_CATALOGUES: weakref.WeakKeyDictionary[Tape, _Catalogue] = weakref.WeakKeyDictionary()


def _catalogue(view: View, constants: Constants) -> _Catalogue:
    found = _CATALOGUES.get(view.tape)
    if found is None:
        found = _CATALOGUES[view.tape] = _Catalogue(constants.named())
    return found


def _one(
    view: View, constants: Constants, catalogue: _Catalogue, name: str, value: int
) -> Iterator[Hypothesis]:
    readers, said = constants.readers[value], f"its own {short(name)}"
    found = [other for other in catalogue.shaped[view.shape(value)] if other != name]
    for other in nsmallest(_MOST_SIBLINGS, found, key=lambda other: _distance(name, other)):
        edits = _taken(constants, {value: catalogue.named[other]})
        if edits:
            yield Hypothesis(
                NAME, "source", said, f"that of {relative(name, other)}",
                site_of(view, value, readers), edits, cost=1.2,
            )  # fmt: skip


def _taken(constants: Constants, sources: Mapping[int, Tensor]) -> tuple[Edit, ...]:
    edits: list[Edit] = []
    for value, tensor in sources.items():
        edits += _put(constants, value, tensor)
    return tuple(edits)


def _put(constants: Constants, value: int, tensor: Tensor) -> tuple[Edit, ...]:
    return everywhere(constants.readers[value], lambda _: tensor)


def _distance(name: str, other: str) -> tuple[int, int, str]:
    """How near two parameters are: same kind in the next layer, same module, same kind."""
    if pattern_of(name) == pattern_of(other):
        steps = [abs(a - b) for a, b in zip(_numbers(name), _numbers(other), strict=True)]
        return (0 if sum(steps) == 1 else 2, sum(steps), other)
    same_module = name.rpartition(".")[0] == other.rpartition(".")[0]
    same_parent = name.split(".")[:-2] == other.split(".")[:-2]
    rank = 1 if same_module or same_parent else 3
    return (rank, 0 if short(name) == short(other) else 1, other)


def _numbers(name: str) -> list[int]:
    return [int(part) for part in name.split(".") if part.isdigit()]


def relative(name: str, other: str) -> str:
    """What a parameter or module is to another, in words that hold in every layer."""
    mine, theirs = name.split("."), other.split(".")
    if pattern_of(name) == pattern_of(other):
        steps = [b - a for a, b in zip(_numbers(name), _numbers(other), strict=True) if a != b]
        if steps == [-1]:
            return "the one before"
        if steps == [1]:
            return "the one after"
    common = 0
    while common < min(len(mine), len(theirs)) - 1 and mine[common] == theirs[common]:
        common += 1
    return ".".join(theirs[common:])


def _modules(
    constants: Constants, catalogue: _Catalogue, here: Mapping[str, int]
) -> Iterator[Hypothesis]:
    """All parameters of a module, or of a part of the model, from a like one."""
    count = 0
    for prefix, members in _by_prefix(here).items():
        if len(members) < 2 or len(catalogue.inside[prefix]) > len(members) + 2:
            continue
        likes = [p for p in catalogue.alike[catalogue.kinds[prefix]] if p != prefix]
        for other in nsmallest(6, likes, key=lambda p: _distance(f"{prefix}.", f"{p}.")):
            named = catalogue.named
            sources = {here[m]: named[other + m[len(prefix) :]] for m in members}
            edits = _taken(constants, sources)
            count += 1
            if not edits or count > _MOST_MODULES:
                continue
            label = f"those of {relative(prefix, other)}"
            site = Site(prefix, "parameters")
            yield Hypothesis(NAME, "source", "its own weights", label, site, edits, cost=1.1)


def _by_prefix(names: Iterable[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name in names:
        parts = name.split(".")
        for end in range(len(parts) - 1, max(0, len(parts) - 4), -1):
            found.setdefault(".".join(parts[:end]), []).append(name)
    return found


def _numbered(
    constants: Constants, catalogue: _Catalogue, here: Mapping[str, int]
) -> Iterator[Hypothesis]:
    """Modules of a list in the order of their numbers as text: 0, 1, 10, 11, 2."""
    by_list: dict[str, dict[int, Tensor]] = {}
    for name, value in here.items():
        parts = name.split(".")
        for i, part in enumerate(parts):
            around = (".".join(parts[:i]), ".".join(parts[i + 1 :]))
            members = catalogue.lists.get(around, {}) if part.isdigit() else {}
            order = text_order(max(members) + 1) if len(members) > 10 else None
            if order is None or part not in {str(number) for number in members}:
                continue
            source = members.get(int(order[int(part)]))
            if source is not None and source != name:
                by_list.setdefault(around[0], {})[value] = catalogue.named[source]
    for start, sources in by_list.items():
        edits = _taken(constants, sources)
        if edits:
            yield Hypothesis(
                NAME, "permuted", "numbered in order", "in the order of their numbers as text",
                Site(start, "order"), edits, cost=1.1,
            )  # fmt: skip
