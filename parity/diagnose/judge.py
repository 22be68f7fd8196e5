"""Which of the trials that explain a tap is the cause, and what speaks against it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from parity.diagnose.ground import Ground, Origin
from parity.diagnose.relocate import Relocator
from parity.diagnose.trial import Trial, alpha, tell_apart
from parity.localize.local_errors import Local
from parity.localize.segment import Segment

__all__ = ["Explained", "Judge"]

_OTHER_CALLS = 3
_FAR_OFF = 30.0  # floors
_MOST_BESIDE = 4
_MORE_FOR = 0.6  # how much odder a change may be that explains more
_TOO_FEW = 12  # elements of a tensor that any parameter could be fitted to


@dataclass(slots=True, eq=False)
class Explained:
    """What explained an origin.

    Attributes:
        origin: what is explained.
        trial: the changes.
        alternatives: other trials that explain it alike, each with how much larger the inputs
            would have to be for the two to differ.
        synonyms: other trials that are the same change under another name.
        checked: calls at which it was checked.
        worst: largest error that was left at one of them, over its floor.
        alpha: how much of the change the candidate shows, with standard error.
        distinct: whether there were enough numbers for it to be told from chance.
        spoils: whether it would change what is right.
    """

    origin: Origin
    trial: Trial
    alternatives: list[tuple[Trial, float]]
    synonyms: list[Trial]
    checked: int
    worst: float
    alpha: tuple[float, float]
    distinct: bool = True
    spoils: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Judge:
    """Holds trials against what else the candidate shows.

    Attributes:
        ground: the two sides.
        relocator: carries a change to other calls.
    """

    ground: Ground
    relocator: Relocator

    def choose(self, origin: Origin, trials: Sequence[Trial]) -> Explained:
        """The trial that also holds at other calls; those that hold as well are alternatives."""
        others = [self.ground.segment(local.tap) for local in self._others(origin)]
        # A change that is made at every call must not spoil those at which nothing differs.
        right = [self.ground.segment(local.tap) for local in self._agreeing(origin)]
        judged = []
        for trial in trials[:12]:
            worst = max([self._at(other, trial) for other in others], default=0.0)
            spoilt = max((self._at(s, trial) for s in (*right, *self._beside(trial))), default=0.0)
            judged.append((worst, spoilt, trial))
        holding = [j for j in judged if max(j[:2]) <= 1.0]
        pool = holding or [j for j in judged if j[1] <= 1.0] or judged
        worst, spoilt, best = (
            self._likeliest(origin, holding) if holding else min(pool, key=lambda j: max(j[:2]))
        )
        alike = [t for *_, t in holding if t is not best and t.names != best.names]
        alternatives, synonyms = _parted(origin.segment, best, alike)
        elements = origin.segment.theirs.numel() * (1 + len(others) + len(right))
        return Explained(
            origin,
            best,
            alternatives,
            synonyms,
            1 + len(others) + len(right),
            max(worst, spoilt),
            alpha(origin.segment, best),
            distinct=elements >= _TOO_FEW,
            spoils=spoilt > 1.0,
        )

    def _likeliest(
        self, origin: Origin, holding: Sequence[tuple[float, float, Trial]]
    ) -> tuple[float, float, Trial]:
        """Of the trials that hold, one that explains most other taps too; then the least odd."""
        ranked = sorted(holding, key=lambda j: (j[2].cost, j[2].error))
        near = [j for j in ranked if j[2].cost <= ranked[0][2].cost + _MORE_FOR]
        if len({frozenset(edit.node for edit in j[2].edits) for j in near}) == 1:
            return ranked[0]
        return max(near, key=lambda j: self._explains(origin, j[2]))

    def _explains(self, origin: Origin, trial: Trial) -> int:
        """At how many other taps that differ a trial leaves nothing."""
        taps = {tap.key for tap in self.ground.reached(edit.node for edit in trial.edits)}
        taps.discard(origin.segment.tap.key)
        wrong = [one for one in self.ground.locals if one.tap.key in taps and not one.uncertain]
        found = 0
        for local in wrong[:_MOST_BESIDE]:
            segment = self.ground.segment(local.tap)
            found += segment.error > segment.floor and self._at(segment, trial) <= 1.0
        return found

    def _beside(self, trial: Trial) -> Iterator[Segment]:
        """Up to four other taps, right as they are, that read what a change replaces."""
        taps = {tap.key: tap for tap in self.ground.reached(edit.node for edit in trial.edits)}
        right = [one for one in self.ground.locals if one.tap.key in taps and not one.uncertain]
        for local in right[:_MOST_BESIDE]:
            segment = self.ground.segment(local.tap)
            if segment.error <= segment.floor:
                yield segment

    def _others(self, origin: Origin) -> list[Local]:
        """Further calls that differ: the last, the largest, one in the middle."""
        rest = [one for one in origin.calls if one.tap is not origin.segment.tap]
        if not rest:
            return []
        picks = [rest[-1], max(rest, key=lambda one: one.error), rest[len(rest) // 2]]
        return list({id(one): one for one in picks}.values())[:_OTHER_CALLS]

    def _agreeing(self, origin: Origin) -> list[Local]:
        """Up to two calls of the same tap at which the candidate does as the reference does."""
        key = origin.segment.tap.key
        differing = {id(local.tap) for local in origin.calls}
        known = [
            local
            for local in self.ground.locals
            if (local.tap.key.path, local.tap.key.port) == (key.path, key.port)
            and not local.uncertain
            and id(local.tap) not in differing
            and local.error <= origin.segment.floor
        ]
        return known[:: max(1, len(known) - 1)][:2]

    def _at(self, segment: Segment, trial: Trial) -> float:
        """Error at another call under the same changes, over the noise floor there."""
        moved = self.relocator.everywhere(trial.edits)
        inside = {*segment.nodes, ~segment.tap_number}
        edits = [edit for node, some in moved.items() if node in inside for edit in some]
        if not edits:
            # Out of reach of the change: then nothing may differ there.
            return _over(segment.error, segment.floor)
        error = segment.error_with(edits)
        if segment.floor < error < _FAR_OFF * segment.floor:
            return _over(error, segment.floor_with(edits))
        return _over(error, segment.floor)


def _over(error: float, floor: float) -> float:
    """An error in units of its floor; whole numbers have none, and differ or do not."""
    if error <= floor:
        return error / floor if floor else 0.0
    return error / floor if floor else math.inf


# An alternative is worth naming if it is no more far-fetched than this, and one of the first few.
_COST_APART = 0.3
_MOST_ALIKE = 10


def _parted(
    segment: Segment, best: Trial, alike: Sequence[Trial]
) -> tuple[list[tuple[Trial, float]], list[Trial]]:
    """Which of the trials that explain a tap alike differ on other inputs, and which never do."""
    alternatives, synonyms = [], []
    for trial in sorted(alike, key=lambda t: t.cost)[:_MOST_ALIKE]:
        scale = tell_apart(segment, best, trial)
        if scale is None:
            synonyms.append(trial)
        elif trial.cost <= best.cost + _COST_APART:
            alternatives.append((trial, scale))
    return alternatives, synonyms
