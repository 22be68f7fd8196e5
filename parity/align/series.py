"""The records of a side, gathered into series: all calls of one tap, in order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from parity.align.rules import LayoutRule, Rename, Renamed, rename
from parity.errors import AlignmentError
from parity.tensors import Role, TapKey, TapRecord

__all__ = ["Name", "Positions", "Series", "Side", "Tap"]

Shape = tuple[int, ...]

# A plain tuple where there are tens of thousands; `Name` is the same with words.
Tap = tuple[str, Role, str, str]

# One position for a tap that ran once. A list for each would make the garbage collector, which
# counts them, the larger part of the time that gathering twenty thousand taps takes.
Positions = int | list[int]


class Name(NamedTuple):
    """What the calls of one tap share."""

    path: str
    role: Role
    slot: str
    phase: str

    @property
    def port(self) -> str:
        """Role and slot in one word, as `TapKey.port`."""
        return f"{self.role}.{self.slot}" if self.slot else str(self.role)

    def __str__(self) -> str:
        return f"{self.path}:{self.port}" + (f"@{self.phase}" if self.phase else "")


@dataclass(frozen=True, slots=True)
class Series:
    """All calls of one tap.

    Attributes:
        name: of the tap, as it is called for matching.
        positions: of the records, one a call.
        calls: the call numbers, ascending.
        shapes: of the tensors, with a declared layout already applied.
        permutation: the declared layout; empty for none.
    """

    name: Name
    positions: tuple[int, ...]
    calls: tuple[int, ...]
    shapes: tuple[Shape, ...]
    permutation: tuple[int, ...] = ()

    def __len__(self) -> int:
        return len(self.positions)


@dataclass(frozen=True, slots=True, eq=False)
class Side:
    """The records of one implementation under the names that they are matched by.

    Attributes:
        records: as given to `align`.
        keys: their names after renaming.
        taps: the positions of each tap's calls, in call order.
        layouts: declared orders of axes.
        used: the numbers of the rename rules that matched something.
    """

    records: Sequence[TapRecord]
    keys: Sequence[TapKey]
    taps: Mapping[Tap, Positions]
    layouts: tuple[LayoutRule, ...] = ()
    used: frozenset[int] = frozenset()

    @classmethod
    def of(
        cls,
        records: Sequence[TapRecord],
        renames: Sequence[Rename] = (),
        layouts: Sequence[LayoutRule] = (),
    ) -> Side:
        """Name and gather `records`.

        Raises:
            AlignmentError: two records have, or are renamed to, the same name.
        """
        keys = [record.key for record in records]
        used: frozenset[int] = frozenset()
        if renames:
            keys, used = _renamed(keys, renames)
        return cls(records, keys, _gather(keys, records), tuple(layouts), used)

    def series(self, tap: Tap) -> Series:
        """The calls of `tap`."""
        name = Name(*tap)
        found = self.taps[tap]
        positions = (found,) if isinstance(found, int) else tuple(found)
        calls = tuple(self.keys[p].call for p in positions)
        return self._series(name, positions, calls)

    def merged(self, name: Name, taps: Sequence[Tap]) -> Series:
        """The calls of several taps as one series in execution order, numbered from 0."""
        positions: list[int] = []
        for tap in taps:
            found = self.taps[tap]
            positions += [found] if isinstance(found, int) else found
        positions.sort(key=lambda p: self.records[p].order)
        return self._series(name, tuple(positions), tuple(range(len(positions))))

    def _series(self, name: Name, positions: tuple[int, ...], calls: tuple[int, ...]) -> Series:
        shapes = tuple(self.records[p].spec.shape for p in positions)
        permutation = self.layout_of(name.path, len(shapes[0]))
        if permutation and all(len(shape) == len(permutation) for shape in shapes):
            shapes = tuple(tuple(shape[axis] for axis in permutation) for shape in shapes)
            return Series(name, positions, calls, shapes, permutation)
        return Series(name, positions, calls, shapes)

    def layout_of(self, path: str, rank: int) -> tuple[int, ...]:
        """The declared permutation of a tap's axes; empty for none."""
        for rule in self.layouts:
            if rule.matches(path, rank):
                return rule.permutation
        return ()


def _renamed(
    keys: Sequence[TapKey], rules: Sequence[Rename]
) -> tuple[list[TapKey], frozenset[int]]:
    found = {path: rename(rules, path) for path in {key.path for key in keys}}
    renamed = [key if (hit := found[key.path]) is None else _with(key, hit[1]) for key in keys]
    return renamed, frozenset(hit[0] for hit in found.values() if hit is not None)


def _with(key: TapKey, new: Renamed) -> TapKey:
    return TapKey(
        new.path,
        key.role if new.role is None else new.role,
        key.slot if new.role is None else new.slot,
        key.phase if new.phase is None else new.phase,
        key.call if new.call is None else new.call,
    )


def _gather(keys: Sequence[TapKey], records: Sequence[TapRecord]) -> dict[Tap, Positions]:
    taps: dict[Tap, Positions] = {}
    for position, key in enumerate(keys):
        tap = (key.path, key.role, key.slot, key.phase)
        before = taps.get(tap)
        if before is None:
            taps[tap] = position
        elif isinstance(before, int):
            taps[tap] = [before, position]
        else:
            before.append(position)
    for positions in taps.values():
        if isinstance(positions, list):
            _put_in_order(positions, keys, records)
    return taps


def _put_in_order(
    positions: list[int], keys: Sequence[TapKey], records: Sequence[TapRecord]
) -> None:
    calls = [keys[p].call for p in positions]
    if calls == list(range(len(calls))):
        return
    positions.sort(key=lambda p: keys[p].call)
    for one, next_one in pairwise(positions):
        if keys[one].call == keys[next_one].call:
            raise _collision(keys[one], records[one].key, records[next_one].key)


def _collision(name: TapKey, first: TapKey, second: TapKey) -> AlignmentError:
    if first == second:
        return AlignmentError(
            "two records have this name", where=str(name), hint="write the capture anew"
        )
    return AlignmentError(
        f"two candidate taps have this name after renaming: {first} and {second}",
        where=str(name),
        hint="make the rename rules tell them apart, or give each a call number with '#{n}'",
    )
