"""Peels fault after fault off a candidate until it is explained or nothing more is found."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from parity.diagnose.equivalence import equivalents
from parity.diagnose.families import propose_all
from parity.diagnose.ground import Ground, Origin
from parity.diagnose.groups import Group, group
from parity.diagnose.hypothesis import pattern_of
from parity.diagnose.judge import Explained, Judge
from parity.diagnose.relocate import Relocator
from parity.diagnose.search import Limits, search
from parity.diagnose.trial import Chosen, Trial, holds
from parity.diagnose.view import View
from parity.localize.execute import Edit
from parity.localize.local_errors import Local
from parity.localize.segment import Segment
from parity.tensors import Role

__all__ = ["Engine"]

# Below this nothing is looked at: float32 rounding of one operation.
_NEGLIGIBLE = 6e-7
_ROUNDS = 12
# A search in vain that took so long is not made at the other places of the kind in one pass.
_SLOW_S = 5.0
_FAILURES = (RuntimeError, IndexError, ValueError, TypeError, KeyError, AttributeError)

Progress = Callable[[str], None]


@dataclass(eq=False)
class Engine:
    """One diagnosis.

    Attributes:
        ground: the two sides, and in what they are known to differ.
        limits: how far each search goes.
        seconds: wall time for all searches together.
        progress: hears what is being done.
        explained: what was explained, in the order in which it was found.
        failed: what was not, by path and port, each with the trial that came nearest.
        uncertain: how many differing tensors have inputs that the candidate does not show.
    """

    ground: Ground
    limits: Limits = field(default_factory=Limits)
    seconds: float = 600.0
    progress: Progress = lambda _: None
    explained: list[Explained] = field(default_factory=list)
    failed: dict[str, tuple[Origin, Trial | None]] = field(default_factory=dict)
    uncertain: int = 0

    def __post_init__(self) -> None:
        self.relocator = Relocator(self.ground.tape)
        self._judge = Judge(self.ground, self.relocator)
        self._stop_at = time.monotonic() + self.seconds
        self._floors: dict[str, float] = {}
        self._hopeless: set[str] = set()
        self._slow: set[str] = set()
        self._tried: dict[str, tuple[object, list[Trial]]] = {}
        self._doubtful: set[str] = set()
        self._activated: list[tuple[Explained, dict[int, list[Edit]]]] = []

    def peel(self) -> None:
        """Explain what can be explained, round after round."""
        for _ in range(_ROUNDS):
            try:
                origins = self.look()
            except _FAILURES:
                if not self._undo():
                    raise
                continue
            same = equivalents(self.ground, origins)
            if same:
                self.ground.hidden |= same
                continue
            self.failed = {o.path: (o, self.failed.get(o.path, (o, None))[1]) for o in origins}
            if not origins or not self._round(origins) or time.monotonic() > self._stop_at:
                return

    def look(self) -> list[Origin]:
        """Run the reference on the candidate's tensors, and give the taps that differ even so."""
        self.progress("replaying the reference on the candidate's tensors")
        return self._origins(self.ground.look())

    def _origins(self, locals_: Sequence[Local]) -> list[Origin]:
        """The taps that differ though their inputs are the candidate's own."""
        by_path: dict[str, list[Local]] = {}
        for local in locals_:
            if local.hidden or local.tap.key.role is Role.PARAM:
                continue
            if not local.error <= _NEGLIGIBLE:
                by_path.setdefault(f"{local.tap.key.path}:{local.tap.key.port}", []).append(local)
        found = []
        for path, calls in by_path.items():
            if path in self._doubtful:
                continue
            origin = self._origin(path, calls)
            if origin is not None:
                found.append(origin)
        return sorted(found, key=lambda o: o.segment.tap.at)

    def _origin(self, path: str, calls: list[Local]) -> Origin | None:
        certain = [local for local in calls if not local.uncertain]
        self.uncertain += len(calls) - len(certain)
        known = self._floors.get(path)
        if known is not None:
            certain = [local for local in certain if not local.error <= known]
        for local in _worth_a_look(certain):
            segment = self.ground.segment(local.tap)
            if not segment.runs:
                continue
            if not segment.error <= segment.floor:
                bad = [one for one in certain if not one.error <= segment.floor]
                return Origin(path, bad or [local], segment)
            self._floors[path] = max(self._floors.get(path, 0.0), segment.floor)
        return None

    def _round(self, origins: Sequence[Origin]) -> bool:
        """Look for one change at each origin, and where that is not it for several together."""
        single = replace(self.limits, depth=1)
        progress = self._pass(origins, single)
        left = [origin for origin in origins if origin.path in self.failed]
        return self._pass(left, self.limits) or progress

    def _pass(self, origins: Sequence[Origin], limits: Limits) -> bool:
        progress = False
        self._slow.clear()
        for origin in origins:
            if time.monotonic() > self._stop_at:
                break
            # An earlier finding of this round may have explained it.
            segment = self.ground.segment(origin.segment.tap)
            if segment.error <= segment.floor:
                self.failed.pop(origin.path, None)
                continue
            if not segment.runs:
                continue
            origin.segment = segment
            self.progress(f"looking for the cause at {origin.path}")
            found = self._explain(origin, limits)
            if found is None:
                continue
            self.explained.append(found)
            self.failed.pop(origin.path, None)
            if found.spoils:
                self._doubtful.add(origin.path)
                continue
            self._hopeless.clear()
            self._activate(found)
            progress = True
        return progress

    def _activate(self, found: Explained) -> None:
        active = self.ground.active
        self._activated.append((found, {node: list(edits) for node, edits in active.items()}))
        for node, moved in self.relocator.everywhere(found.trial.edits).items():
            active.setdefault(node, []).extend(moved)

    def _undo(self) -> bool:
        """Take back the last change: with it the reference cannot be run as a whole."""
        if not self._activated:
            return False
        found, before = self._activated.pop()
        self.ground.active.clear()
        self.ground.active.update(before)
        found.spoils, found.worst = True, math.inf
        self._doubtful.add(found.origin.path)
        return True

    def _explain(self, origin: Origin, limits: Limits) -> Explained | None:
        groups = group(propose_all(View(origin.segment)))
        known = self._known_again(origin, groups)
        if known is not None:
            return known
        kind = pattern_of(origin.path)
        # Where one of many places of a kind could not be explained, the others will hardly be.
        if kind in self._slow or (limits.depth > 1 and kind in self._hopeless):
            return None
        hints = {one.group.first.name for e in self.explained for one in e.trial.chosen}
        started = time.thread_time()
        state = (origin.segment.tap.key, self._changes_in(origin.segment))
        before = self._tried.get(origin.path)
        alone = before[1] if before is not None and before[0] == state else None
        found = search(origin.segment, groups, limits, hints=hints, alone=alone)
        self.failed[origin.path] = (origin, found.nearest)
        if not found.trials:
            self._tried[origin.path] = (state, found.alone)
            if limits.depth > 1:
                self._hopeless.add(kind)
            if time.thread_time() - started > _SLOW_S:
                self._slow.add(kind)
            return None
        self._tried.pop(origin.path, None)
        return self._judge.choose(origin, found.trials)

    def _changes_in(self, segment: Segment) -> tuple[tuple[int, int], ...]:
        """How many changes are made already to which operations of a segment."""
        active = self.ground.active
        return tuple(
            (n, len(active[n])) for n in (*segment.nodes, ~segment.tap_number) if n in active
        )

    def _known_again(self, origin: Origin, groups: Sequence[Group]) -> Explained | None:
        """What explained another place of the same kind, if it explains this one."""
        by_kind = {g.first.kind: g for g in groups if not g.narrow}
        segment = origin.segment
        for changes in self._known_changes():
            known = [by_kind.get(one.group.first.kind) for one in changes]
            chosen = tuple(
                Chosen(group, one.value)
                for group, one in zip(known, changes, strict=True)
                if group is not None
            )
            if len(chosen) < len(changes):
                continue
            trial = Trial(chosen, segment.error_with(e for one in chosen for e in one.edits))
            if holds(segment, trial):
                return self._judge.choose(origin, [trial])
        return None

    def _known_changes(self) -> list[tuple[Chosen, ...]]:
        """The changes of earlier findings: each alone, then those that were found together."""
        trials = [earlier.trial.chosen for earlier in self.explained]
        alone = {one.group.key: (one,) for chosen in trials for one in chosen}
        together = {tuple(c.group.key for c in chosen): chosen for chosen in trials}
        return [*alone.values(), *(c for c in together.values() if len(c) > 1)]


def _worth_a_look(calls: Sequence[Local]) -> list[Local]:
    """The first calls, and the one with the largest error."""
    if not calls:
        return []
    picks = [*calls[:2], max(calls, key=lambda one: one.error if one.error < math.inf else 0)]
    return list({id(one): one for one in picks}.values())
