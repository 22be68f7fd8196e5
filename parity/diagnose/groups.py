"""Hypotheses that say the same of the same kind of place, taken together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from parity.diagnose.hypothesis import Hypothesis, Solve
from parity.localize.execute import Edit

__all__ = ["Group", "group"]


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """One change at one or several places.

    Attributes:
        members: what is proposed at each of them.
        edits: all changes together; empty where a parameter is solved for.
        solve: the parameter, solved for once for all places.
        narrow: whether it is one of several places of its kind.
    """

    members: tuple[Hypothesis, ...]
    edits: tuple[Edit, ...]
    solve: Solve | None
    narrow: bool = False

    @property
    def first(self) -> Hypothesis:
        """What all of them say."""
        return self.members[0]

    @property
    def key(self) -> tuple[str, str, str]:
        """What it says, and of which place."""
        first = self.first
        place = first.site.path if self.narrow else ""
        return (*first.kind, place)

    @property
    def cost(self) -> float:
        """How far-fetched it is."""
        # What is fixed beforehand and still fits says more than what was fitted.
        fitted = 0.5 if self.solve is not None and self.solve.low < self.solve.high else 0.0
        return self.first.cost + fitted + (0.05 if self.narrow else 0.0)

    @property
    def nodes(self) -> frozenset[int]:
        """The operations it changes."""
        edits = self.edits or (self.solve.make(self.solve.low) if self.solve else ())
        return frozenset(edit.node for edit in edits)

    def with_value(self, value: float) -> tuple[Edit, ...]:
        """The changes for a value of the parameter; the fixed ones where there is none."""
        return self.solve.make(value) if self.solve is not None else self.edits


def group(hypotheses: Iterable[Hypothesis]) -> list[Group]:
    """Group by what is said and the kind of place; and by place, where these are several."""
    by_kind: dict[tuple[str, str], list[Hypothesis]] = {}
    for hypothesis in hypotheses:
        by_kind.setdefault(hypothesis.kind, []).append(hypothesis)
    groups = []
    for members in by_kind.values():
        groups.append(_together(members, narrow=False))
        by_path: dict[str, list[Hypothesis]] = {}
        for member in members:
            by_path.setdefault(member.site.path, []).append(member)
        if len(by_path) > 1:
            groups += [_together(some, narrow=True) for some in by_path.values()]
    return groups


def _together(members: Sequence[Hypothesis], *, narrow: bool) -> Group:
    edits = tuple(edit for member in members for edit in member.edits)
    solves = [member.solve for member in members if member.solve is not None]
    return Group(tuple(members), edits, _solve_together(solves), narrow)


def _solve_together(solves: Sequence[Solve]) -> Solve | None:
    if not solves:
        return None

    def make(value: float) -> tuple[Edit, ...]:
        return tuple(edit for solve in solves for edit in solve.make(value))

    return replace(solves[0], make=make)
