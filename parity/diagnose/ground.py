"""What a diagnosis stands on: the reference's run, the candidate's tensors, and what was found."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field

from parity.localize.candidate import Candidate
from parity.localize.execute import Edit
from parity.localize.local_errors import Local, known_taps, replay
from parity.localize.segment import Segment, candidate_precision
from parity.localize.tape import Tap, Tape

__all__ = ["Ground", "Origin"]

_MOST_REACHED = 400  # values


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


@dataclass(eq=False)
class Ground:
    """The two sides, and in what they are known to differ.

    Attributes:
        tape: the reference's run.
        candidate: the candidate's tensors.
        hidden: paths of taps that stand for something else, and are not taken as known.
        loose: groups of values of which the candidate's are not known: states of calls that the
            reference does not make.
        until: how many operations of the run are looked at; all by default.
        active: operations that were found to be different, by index.
        locals: what the reference makes of the candidate's own tensors, tap by tap.
        cuts: the taps that the candidate has, by value.
    """

    tape: Tape
    candidate: Candidate
    hidden: set[str] = field(default_factory=set)
    loose: frozenset[int] = frozenset()
    until: int | None = None
    active: dict[int, list[Edit]] = field(default_factory=dict)
    locals: list[Local] = field(default_factory=list)
    cuts: dict[int, list[Tap]] = field(default_factory=dict)

    def look(self) -> list[Local]:
        """Run the reference, as it was changed, on the candidate's tensors."""
        self.locals = replay(
            self.tape,
            self.candidate,
            edits=self.active,
            hidden=self.hidden,
            loose=self.loose,
            until=self.until,
        )
        self.cuts = known_taps(self.tape, self.candidate, self.hidden)
        return self.locals

    @property
    def precision(self) -> str:
        """In which the candidate computes, as its tensors show."""
        keys = [tap.key for tap in self.tape.taps if tap.key in self.candidate][:64]
        floats = [t for t in map(self.candidate.tensor, keys) if t.is_floating_point()]
        # A model in float32 may cast a few tensors to half precision: they do not speak for it.
        wide = [tensor for tensor in floats if tensor.dtype.itemsize >= 4]
        found = candidate_precision(wide if 2 * len(wide) > len(floats) else floats)
        return str(found).removeprefix("torch.")

    def segment(
        self, tap: Tap, *, without: Iterable[str] = (), but: Collection[int] = ()
    ) -> Segment:
        """The segment that ends at a tap.

        Args:
            tap: the end.
            without: paths of which nothing is taken as known.
            but: values of theirs that are nevertheless.
        """
        skipped = frozenset(without)
        # A module that hands on what another one made is tapped twice.
        values = {
            tap.value for taps in self.cuts.values() for tap in taps if tap.key.path in skipped
        }.difference(but)
        return Segment(
            self.tape,
            self.candidate,
            tap,
            self.cuts,
            active=self.active,
            keep_going=(lambda one: one.value in values) if skipped else None,
        )

    def reached(self, nodes: Iterable[int]) -> Iterator[Tap]:
        """The taps that are computed from what some operations make, no other known one between."""
        queue = [v for node in nodes if node >= 0 for v in self.tape.nodes[node].outputs]
        seen: set[int] = set()
        while queue and len(seen) < _MOST_REACHED:
            value = queue.pop()
            if value in seen:
                continue
            seen.add(value)
            known = self.cuts.get(value, ())
            yield from known
            if not known:
                for reader in self.tape.readers.get(value, ()):
                    queue += self.tape.nodes[reader].outputs
