"""Peels fault after fault off a candidate until it is explained or nothing more is found."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from parity.diagnose.families import propose_all
from parity.diagnose.groups import Group, group
from parity.diagnose.hypothesis import pattern_of
from parity.diagnose.relocate import Relocator
from parity.diagnose.search import Chosen, Limits, Trial, alpha, holds, search, tell_apart
from parity.diagnose.view import View
from parity.localize.candidate import Candidate
from parity.localize.execute import Edit
from parity.localize.local_errors import Local, known_taps, replay
from parity.localize.segment import Segment, candidate_precision
from parity.localize.slices import slice_of
from parity.localize.tape import Tap, Tape
from parity.tensors import Role

__all__ = ["Engine", "Explained", "Origin"]

# Below this nothing is looked at: float32 rounding of one operation.
_NEGLIGIBLE = 6e-7
_OTHER_CALLS = 3
_LOOK_AHEAD = 80  # taps
_STAGES = 4  # taps behind an origin within which what differs may come together again
_FAR_OFF = 30.0  # floors
_MOST_BESIDE = 4
_MOST_REACHED = 400  # values
_TOO_FEW = 12  # elements of a tensor that any parameter could be fitted to

Progress = Callable[[str], None]


@dataclass(slots=True, eq=False)
class Origin:
    """A tap, all its calls together, that its own inputs do not explain.

    Attributes:
        path: of the tap, with its port.
        calls: the local errors of the calls that differ, in order.
        segment: the first of them that is well suited to be looked at.
    """

    path: str
    calls: list[Local]
    segment: Segment


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


@dataclass(eq=False)
class Engine:
    """One diagnosis.

    Attributes:
        tape: the reference's run.
        candidate: the candidate's tensors.
        limits: how far each search goes.
        seconds: wall time for all searches together.
        progress: hears what is being done.
        hidden: paths of taps that stand for something else, and are not taken as known.
        loose: groups of values of which the candidate's are not known: states of calls that the
            reference does not make.
        until: how many operations of the run are looked at; all by default.
        active: operations that were found to be different, by index.
        explained: what was explained, in the order in which it was found.
        failed: what was not, by path and port, each with the trial that came nearest.
        compared: how many tensors were compared.
        uncertain: how many differing tensors have inputs that the candidate does not show.
    """

    tape: Tape
    candidate: Candidate
    limits: Limits = field(default_factory=Limits)
    seconds: float = 600.0
    progress: Progress = lambda _: None
    hidden: set[str] = field(default_factory=set)
    loose: frozenset[int] = frozenset()
    until: int | None = None
    active: dict[int, list[Edit]] = field(default_factory=dict)
    explained: list[Explained] = field(default_factory=list)
    failed: dict[str, tuple[Origin, Trial | None]] = field(default_factory=dict)
    compared: int = 0
    uncertain: int = 0

    def __post_init__(self) -> None:
        self.relocator = Relocator(self.tape)
        self._stop_at = time.monotonic() + self.seconds
        self._cuts: dict[int, list[Tap]] = {}
        self._floors: dict[str, float] = {}
        self._hopeless: set[str] = set()
        self._doubtful: set[str] = set()
        self._locals: list[Local] = []

    def peel(self) -> None:
        """Explain what can be explained, round after round."""
        for _ in range(12):
            origins = self.look()
            if self._hide_equivalents(origins):
                continue
            self.failed = {o.path: (o, self.failed.get(o.path, (o, None))[1]) for o in origins}
            if not origins or not self._round(origins) or time.monotonic() > self._stop_at:
                return

    def look(self) -> list[Origin]:
        """Run the reference on the candidate's tensors, and give the taps that differ even so."""
        self.progress("replaying the reference on the candidate's tensors")
        self._locals = replay(
            self.tape,
            self.candidate,
            edits=self.active,
            hidden=self.hidden,
            loose=self.loose,
            until=self.until,
        )
        self.compared = len(self._locals)
        self._cuts = known_taps(self.tape, self.candidate, self.hidden)
        return self._origins(self._locals)

    @property
    def precision(self) -> str:
        """In which the candidate computes, as its tensors show."""
        keys = [tap.key for tap in self.tape.taps if tap.key in self.candidate][:64]
        found = candidate_precision(self.candidate.tensor(key) for key in keys)
        return str(found).removeprefix("torch.")

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
            segment = self.segment(local.tap)
            if not segment.error <= segment.floor:
                bad = [one for one in certain if not one.error <= segment.floor]
                return Origin(path, bad or [local], segment)
            self._floors[path] = max(self._floors.get(path, 0.0), segment.floor)
        return None

    def segment(self, tap: Tap, *, without: Iterable[str] = ()) -> Segment:
        """The segment that ends at a tap; of the paths `without` nothing is taken as known."""
        skipped = frozenset(without)
        # A module that hands on what another one made is tapped twice.
        values = {
            tap.value for taps in self._cuts.values() for tap in taps if tap.key.path in skipped
        }
        return Segment(
            self.tape,
            self.candidate,
            tap,
            self._cuts,
            active=self.active,
            keep_going=(lambda one: one.value in values) if skipped else None,
        )

    def _hide_equivalents(self, origins: Sequence[Origin]) -> bool:
        """Leave out taps that differ and whose readers are right without them.

        The candidate then computes the same by other steps: rows of queries and keys permuted
        alike, a norm's weight folded into the next layer.
        """
        paths = {origin.segment.tap.key.path for origin in origins}
        for origin in origins:
            found = self._by_other_steps(origin, paths)
            if found:
                self.hidden |= found
                return True
        return False

    def _by_other_steps(self, origin: Origin, paths: set[str]) -> set[str]:
        """The taps from an origin on that differ until, some way behind it, nothing does."""
        tap, passed = origin.segment.tap, set(paths)
        for segment in (origin.segment, *[None] * _STAGES):
            reader = segment.tap if segment is not None else self._reader(tap)
            if reader is None:
                break
            own = reader.key.path
            through = self.segment(reader, without=passed - {own})
            inside = {t.key.path for t in self._passed(through)} & (passed - {own})
            if inside and through.error <= through.floor:
                return inside
            passed.add(own)
            tap = reader
        return set()

    def _passed(self, segment: Segment) -> Iterator[Tap]:
        """The taps that the candidate has within a segment, which it was not told to take."""
        for index in segment.nodes:
            for value in self.tape.nodes[index].outputs:
                yield from self._cuts.get(value, ())

    def _reader(self, tap: Tap) -> Tap | None:
        """The first tap behind another one, in the same call, that is computed from it."""
        tape = self.tape
        place = tape.number_of[tap.key]
        for other in tape.taps[place + 1 : place + _LOOK_AHEAD]:
            same_call = (other.key.phase, other.key.call) == (tap.key.phase, tap.key.call)
            if not same_call or other.value == tap.value or other.key not in self.candidate:
                continue
            if any(cut.value == tap.value for cut in slice_of(tape, other, self._cuts).cuts):
                return other
        return None

    def _round(self, origins: Sequence[Origin]) -> bool:
        """Look for one change at each origin, and where that is not it for several together."""
        single = replace(self.limits, depth=1)
        progress = self._pass(origins, single)
        left = [origin for origin in origins if origin.path in self.failed]
        return self._pass(left, self.limits) or progress

    def _pass(self, origins: Sequence[Origin], limits: Limits) -> bool:
        progress = False
        for origin in origins:
            if time.monotonic() > self._stop_at:
                break
            # An earlier finding of this round may have explained it.
            segment = self.segment(origin.segment.tap)
            if segment.error <= segment.floor:
                self.failed.pop(origin.path, None)
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
            self._activate(found.trial.edits)
            progress = True
        return progress

    def _activate(self, edits: Sequence[Edit]) -> None:
        for node, moved in self.relocator.everywhere(edits).items():
            self.active.setdefault(node, []).extend(moved)

    def _explain(self, origin: Origin, limits: Limits) -> Explained | None:
        groups = group(propose_all(View(origin.segment)))
        known = self._known_again(origin, groups)
        if known is not None:
            return known
        kind = pattern_of(origin.path)
        # Where one of many places of a kind could not be explained, the others will hardly be.
        if limits.depth > 1 and kind in self._hopeless:
            return None
        hints = {one.group.first.name for e in self.explained for one in e.trial.chosen}
        trials, nearest = search(origin.segment, groups, limits, hints=hints)
        self.failed[origin.path] = (origin, nearest)
        if not trials:
            if limits.depth > 1:
                self._hopeless.add(kind)
            return None
        return self._choose(origin, trials)

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
                return self._choose(origin, [trial])
        return None

    def _known_changes(self) -> list[tuple[Chosen, ...]]:
        """The changes of earlier findings: each alone, then those that were found together."""
        trials = [earlier.trial.chosen for earlier in self.explained]
        alone = {one.group.key: (one,) for chosen in trials for one in chosen}
        together = {tuple(c.group.key for c in chosen): chosen for chosen in trials}
        return [*alone.values(), *(c for c in together.values() if len(c) > 1)]

    def _choose(self, origin: Origin, trials: Sequence[Trial]) -> Explained:
        """The trial that also holds at other calls; those that hold as well are alternatives."""
        others = [self.segment(local.tap) for local in self._others(origin)]
        # A change that is made at every call must not spoil those at which nothing differs.
        right = [self.segment(local.tap) for local in self._agreeing(origin)]
        judged = []
        for trial in trials[:12]:
            worst = max([self._at(other, trial) for other in others], default=0.0)
            spoilt = max((self._at(s, trial) for s in (*right, *self._beside(trial))), default=0.0)
            judged.append((worst, spoilt, trial))
        holding = [j for j in judged if max(j[:2]) <= 1.0]
        pool = holding or [j for j in judged if j[1] <= 1.0] or judged
        worst, spoilt, best = min(
            pool, key=lambda j: (j[2].cost, j[2].error) if holding else (max(j[:2]),)
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

    def _beside(self, trial: Trial) -> Iterator[Segment]:
        """Up to four other taps, right as they are, that read what a change replaces."""
        taps = {tap.key: tap for tap in self._reached(edit.node for edit in trial.edits)}
        right = [one for one in self._locals if one.tap.key in taps and not one.uncertain]
        for local in right[:_MOST_BESIDE]:
            segment = self.segment(local.tap)
            if segment.error <= segment.floor:
                yield segment

    def _reached(self, nodes: Iterable[int]) -> Iterator[Tap]:
        """The taps that are computed from what some operations make, no other known one between."""
        queue = [v for node in nodes if node >= 0 for v in self.tape.nodes[node].outputs]
        seen: set[int] = set()
        while queue and len(seen) < _MOST_REACHED:
            value = queue.pop()
            if value in seen:
                continue
            seen.add(value)
            known = self._cuts.get(value, ())
            yield from known
            if not known:
                for reader in self.tape.readers.get(value, ()):
                    queue += self.tape.nodes[reader].outputs

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
            for local in self._locals
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


def _worth_a_look(calls: Sequence[Local]) -> list[Local]:
    """The first calls, and the one with the largest error."""
    if not calls:
        return []
    picks = [*calls[:2], max(calls, key=lambda one: one.error if one.error < math.inf else 0)]
    return list({id(one): one for one in picks}.values())
