"""Weights of another layer or module: the one before, the one beside, all of a module's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch

from parity.diagnose.constants import Constants, constants_of
from parity.diagnose.families.weights import everywhere, short, site_of
from parity.diagnose.hypothesis import Hypothesis, Site, pattern_of
from parity.diagnose.orders import text_order
from parity.diagnose.view import View
from parity.localize.execute import Edit

__all__ = ["NAME", "propose"]

Tensor = torch.Tensor
NAME = "weights"
_MOST_SIBLINGS = 10
_MOST_MODULES = 24
_MOST_PARAMETERS = 60  # of a stretch; beyond, only whole modules are looked at


def propose(view: View) -> Iterator[Hypothesis]:
    """Each parameter, and each module's parameters together, taken from elsewhere."""
    constants = constants_of(view)
    named = {
        name: value
        for name, value in constants.named().items()
        if view.is_float(value) and view.has(value) and view.tape.leaves[value].tensor.numel()
    }
    here = {view.name_of(v): v for v in constants.readers if view.name_of(v) in named}
    if len(here) <= _MOST_PARAMETERS:
        for name, value in here.items():
            yield from _one(view, constants, name, value, named)
    yield from _modules(view, constants, here, named)
    yield from _numbered(view, constants, here, named)


def _one(
    view: View, constants: Constants, name: str, value: int, named: Mapping[str, int]
) -> Iterator[Hypothesis]:
    readers = constants.readers[value]
    shape, said = view.shape(value), f"its own {short(name)}"
    found = sorted(
        (other for other, v in named.items() if v != value and view.shape(v) == shape),
        key=lambda other: _distance(name, other),
    )
    for other in found[:_MOST_SIBLINGS]:
        edits = _taken(view, constants, {value: named[other]})
        if edits:
            yield Hypothesis(
                NAME, "source", said, f"that of {relative(name, other)}",
                site_of(view, value, readers), edits, cost=1.2,
            )  # fmt: skip


def _taken(view: View, constants: Constants, sources: Mapping[int, int]) -> tuple[Edit, ...]:
    edits: list[Edit] = []
    for value, source in sources.items():
        tensor = view.tape.leaves[source].tensor
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
    view: View, constants: Constants, here: Mapping[str, int], named: Mapping[str, int]
) -> Iterator[Hypothesis]:
    """All parameters of a module, or of a part of the model, from a like one."""
    inner = _by_prefix(here)
    everything = _by_prefix(named)
    kinds = {p: _kind(view, named, p, members) for p, members in everything.items()}
    count = 0
    for prefix, members in inner.items():
        if len(members) < 2 or len(everything[prefix]) > len(members) + 2:
            continue
        likes = [p for p, kind in kinds.items() if p != prefix and kind == kinds[prefix]]
        for other in sorted(likes, key=lambda p: _distance(f"{prefix}.", f"{p}."))[:6]:
            sources = {here[m]: named[other + m[len(prefix) :]] for m in members}
            edits = _taken(view, constants, sources)
            count += 1
            if not edits or count > _MOST_MODULES:
                continue
            site = Site(prefix, "parameters")
            yield Hypothesis(
                NAME, "source", "its own weights", f"those of {relative(prefix, other)}",
                site, edits, cost=1.1,
            )  # fmt: skip


def _by_prefix(names: Mapping[str, int]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name in names:
        parts = name.split(".")
        for end in range(len(parts) - 1, max(0, len(parts) - 4), -1):
            found.setdefault(".".join(parts[:end]), []).append(name)
    return found


def _kind(
    view: View, named: Mapping[str, int], prefix: str, members: list[str]
) -> frozenset[tuple[str, tuple[int, ...]]]:
    return frozenset((m[len(prefix) :], view.shape(named[m])) for m in members)


def _numbered(
    view: View, constants: Constants, here: Mapping[str, int], named: Mapping[str, int]
) -> Iterator[Hypothesis]:
    """Modules of a list in the order of their numbers as text: 0, 1, 10, 11, 2."""
    lists: dict[tuple[str, str], dict[int, str]] = {}
    for name in named:
        parts = name.split(".")
        for i, part in enumerate(parts):
            if part.isdigit():
                key = (".".join(parts[:i]), ".".join(parts[i + 1 :]))
                lists.setdefault(key, {})[int(part)] = name
    by_list: dict[str, dict[int, int]] = {}
    for (start, _), members in lists.items():
        order = text_order(max(members) + 1)
        if order is None or len(members) <= 10:
            continue
        for number, name in members.items():
            source = members.get(int(order[number]))
            if name in here and source is not None and source != name:
                by_list.setdefault(start, {})[here[name]] = named[source]
    for start, sources in by_list.items():
        edits = _taken(view, constants, sources)
        if edits:
            yield Hypothesis(
                NAME, "permuted", "numbered in order", "in the order of their numbers as text",
                Site(start, "order"), edits, cost=1.1,
            )  # fmt: skip
