"""Hands out the draws of a tape, in order, and insists that they fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from parity.errors import NoiseTapeError
from parity.tensors import NoiseDraw

__all__ = ["Replay"]

_OTHER_RUN = (
    "replay a tape of the same case and model; if the number of draws changed on purpose, "
    "record a new tape"
)


class Replay:
    """The draws of a tape, in order; within each phase, when the run has the tape's phases.

    Two threads that draw in phases of their own get their draws whichever of them runs first.

    Args:
        draws: of the tape.
        exact: whether the run has to make just these draws, no more and no fewer.
    """

    def __init__(self, draws: Sequence[NoiseDraw], *, exact: bool = True) -> None:
        self._draws = tuple(draws)
        self._exact = exact
        self._by_phase: bool | None = None
        self._used: set[int] = set()
        self._next: dict[str, int] = {}

    def next(self, drawn: NoiseDraw) -> NoiseDraw | None:
        """The draw of the tape that takes the place of `drawn`.

        None where an inexact replay has come to the end of the tape.

        Raises:
            NoiseTapeError: the tape has no more draws, or the next one is of another kind.
        """
        position = self._position(drawn)
        if position is None:
            return None
        taped = self._draws[position]
        number = f"draw {position} of {len(self._draws)}"
        problem = _difference(drawn, taped)
        if problem:
            raise NoiseTapeError(f"{number} does not fit: {problem}", where=drawn.site or None,
                                 hint=_OTHER_RUN)  # fmt: skip
        self._used.add(position)
        return replace(drawn, values=taped.values)

    def finish(self) -> None:
        """Check that the run made every draw of the tape.

        A run that made none is left alone: it may take the noise from the case by itself.

        Raises:
            NoiseTapeError: draws are left over.
        """
        left = [i for i in range(len(self._draws)) if i not in self._used]
        if left and self._used and self._exact:
            first = self._draws[left[0]]
            raise NoiseTapeError(
                f"the run made {len(self._used)} of the tape's {len(self._draws)} draws; the first "
                f"left over is draw {left[0]}, {_spec(first)}",
                where=first.site or None,
                hint=_OTHER_RUN,
            )

    def _position(self, drawn: NoiseDraw) -> int | None:
        if self._by_phase is None:
            # Decided at the first draw: a run without phases takes the tape as it is.
            self._by_phase = bool(drawn.phase) and any(d.phase == drawn.phase for d in self._draws)
        phase = drawn.phase if self._by_phase else ""
        position = self._next.get(phase, 0)
        while position < len(self._draws) and not self._serves(position, phase):
            position += 1
        self._next[phase] = position + 1
        if position < len(self._draws):
            return position
        if not self._exact:
            return None
        within = f" in phase {phase!r}" if phase else ""
        raise NoiseTapeError(
            f"the run draws more than the tape holds{within}: {_spec(drawn)} after "
            f"{len(self._used)} draws",
            where=drawn.site or None,
            hint=_OTHER_RUN,
        )

    def _serves(self, position: int, phase: str) -> bool:
        return not self._by_phase or self._draws[position].phase == phase


def _difference(drawn: NoiseDraw, taped: NoiseDraw) -> str:
    if drawn.distribution != taped.distribution or drawn.values.shape != taped.values.shape:
        return f"the run draws {_spec(drawn)}, the tape holds {_spec(taped)}"
    if drawn.values.dtype != taped.values.dtype:
        return f"the run draws {_spec(drawn)}, the tape holds {taped.values.dtype.name}"
    changed = _changed(drawn.parameters, taped.parameters)
    if changed:
        return f"the run draws with {changed[0]}, the tape was drawn with {changed[1]}"
    return ""


def _changed(drawn: Mapping[str, float], taped: Mapping[str, float]) -> tuple[str, str] | None:
    for name in drawn.keys() & taped.keys():
        if drawn[name] != taped[name]:
            return f"{name}={drawn[name]:g}", f"{name}={taped[name]:g}"
    return None


def _spec(draw: NoiseDraw) -> str:
    shape = ",".join(map(str, draw.values.shape))
    return f"{draw.distribution} {draw.values.dtype.name}[{shape}]"
