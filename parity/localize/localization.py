"""Where a candidate's error enters, and how much of the output's error had entered by then."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from parity.align import Mode
from parity.localize.candidate import Candidate
from parity.localize.local_errors import Local, known_taps, relative_error, replay
from parity.localize.reference import Reference, match
from parity.localize.segment import Segment
from parity.localize.tape import Tap, Tape
from parity.localize.whole_run import forward, splice
from parity.store import Capture
from parity.tensors import Role, TapKey, TapPlan

if TYPE_CHECKING:
    import pandas as pd

    from parity.notebook.plots import LocalizationPlots

__all__ = ["Localization", "Origin", "TapError", "localize"]

_NEGLIGIBLE = 6e-7  # one operation's rounding in float32: no floor is measured below it


class Origin(StrEnum):
    """Whether a tap's error enters there.

    `none`: it does not differ from the reference. `inherited`: its inputs explain it. `origin`:
    they do not. `uncertain`: an input that it depends on was not to be had from the candidate.
    """

    NONE = "none"
    INHERITED = "inherited"
    ORIGIN = "origin"
    UNCERTAIN = "uncertain"


@dataclass(frozen=True, slots=True)
class TapError:
    """One tensor of the candidate, beside the reference and beside its own inputs.

    Attributes:
        key: its name in the reference.
        step: the autoregressive step, or -1.
        error: relative L2 against the reference's own run.
        local: relative L2 against what the reference makes of the candidate's inputs.
        floor: the local error that rounding alone explains; NaN where none was measured, since
            the local error is that of a single operation's rounding at most.
        origin: what follows.
        share: of the output's error, squared, how much had entered by then; NaN if not measured.
    """

    key: TapKey
    step: int
    error: float
    local: float
    floor: float
    origin: Origin
    share: float = math.nan


@dataclass(frozen=True, slots=True, eq=False)
class Localization:
    """Every tensor of a candidate, origin or inherited, in the reference's order.

    Attributes:
        taps: one entry a tensor that both have.
        output: path of the tap at which shares are measured; empty if there is none.
        output_error: relative L2 there.
        notes: what alignment had to say.
    """

    taps: tuple[TapError, ...]
    output: str = ""
    output_error: float = math.nan
    notes: tuple[str, ...] = ()

    def __iter__(self) -> Iterator[TapError]:
        return iter(self.taps)

    def __len__(self) -> int:
        return len(self.taps)

    @property
    def origins(self) -> tuple[TapError, ...]:
        """The tensors at which an error enters."""
        return tuple(tap for tap in self.taps if tap.origin is Origin.ORIGIN)

    @property
    def first(self) -> TapError | None:
        """The first of them."""
        return next(iter(self.origins), None)

    def to_frame(self) -> pd.DataFrame:
        """A pandas table, one row a tensor."""
        import pandas as pd  # noqa: PLC0415 - only who asks for a table loads pandas

        rows = [
            {
                "tap": tap.key.path, "port": tap.key.port, "phase": tap.key.phase,
                "call": tap.key.call, "step": tap.step, "error": tap.error, "local": tap.local,
                "floor": tap.floor, "origin": str(tap.origin), "share": tap.share,
            }
            for tap in self.taps
        ]  # fmt: skip
        return pd.DataFrame(rows)

    @property
    def plot(self) -> LocalizationPlots:
        """Pictures: `plot()` draws origin and inherited, `plot.local()` what each tap adds, ..."""
        from parity.notebook.plots import LocalizationPlots  # noqa: PLC0415 - loads matplotlib

        return LocalizationPlots(self)

    def _repr_html_(self) -> str:
        from parity.notebook.results import localization_html  # noqa: PLC0415 - stands above

        return localization_html(self)

    def __str__(self) -> str:
        first = self.first
        if first is None:
            return f"No error enters at any of {len(self.taps):,} tensors."
        paths = dict.fromkeys(tap.key.path for tap in self.origins)
        return (
            f"Errors enter at {len(self.origins):,} of {len(self.taps):,} tensors "
            f"({len(paths):,} taps), first at {first.key}: {first.local:.1e} of the norm, where "
            f"rounding explains {first.floor:.1e}."
        )


def localize(
    reference: Reference,
    candidate: str | Path | Capture | Mapping[str, Any],
    *,
    renames: Sequence[str] = (),
    mode: Mode = "exact",
    plan: TapPlan | None = None,
    output: str = "",
    shares: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Localization:
    """Say for every tensor of a candidate whether its error enters there or is inherited.

    Args:
        reference: the reference, on the case that the candidate ran.
        candidate: a capture file, an open capture, or tensors by name.
        renames: ordered rules `candidate -> reference` over tap paths.
        mode: `exact` matches by name, `auto` by order, shape and content.
        plan: which tensors take part; all by default.
        output: path of the tap at which shares are measured; by default the last.
        shares: for how many taps at which an error enters, the first ones, reverse splicing says
            how much of the output's error had entered by then. Each is a run of the reference.
        progress: called with how many of how many operations are done.

    Raises:
        AlignmentError: the taps cannot be brought together without guessing.
        CaptureFileError: a file cannot be read.
    """
    tape = reference.tape
    theirs, notes = match(reference, candidate, renames=renames, mode=mode, plan=plan)
    found = replay(tape, theirs, progress=progress)
    errors = _errors(tape, theirs, found)
    judge = _Judge(tape, theirs)
    taps = [judge.tap(local, errors[local.tap.key]) for local in found]
    last = _output(found, output)
    whole = errors[last.key] if last is not None else math.nan
    if last is not None and whole > 0 and shares:
        taps = _with_shares(tape, theirs, taps, (last, whole), most=shares)
    name = last.key.path if last is not None else ""
    return Localization(tuple(taps), name, whole, notes)


def _errors(tape: Tape, candidate: Candidate, found: Sequence[Local]) -> dict[TapKey, float]:
    """Relative L2 of each tensor against the reference's own run."""
    taps = [local.tap for local in found]
    made = forward(tape, taps)
    return {
        tap.key: relative_error(candidate.tensor(tap.key), ours)[0]
        for tap, ours in zip(taps, made, strict=True)
    }


class _Judge:
    """Decides tap by tap; a floor that was measured at one call serves the others of its tap."""

    def __init__(self, tape: Tape, candidate: Candidate) -> None:
        self._tape = tape
        self._candidate = candidate
        self._cuts = known_taps(tape, candidate)
        self._floors: dict[tuple[str, str], float] = {}

    def tap(self, local: Local, error: float) -> TapError:
        """The verdict on one tensor."""
        floor = math.nan if local.error <= _NEGLIGIBLE else self._floor(local.tap)
        enters = not local.error <= (_NEGLIGIBLE if math.isnan(floor) else floor)
        if enters:
            origin = Origin.UNCERTAIN if local.uncertain else Origin.ORIGIN
        else:
            origin = Origin.NONE if error <= _NEGLIGIBLE else Origin.INHERITED
        return TapError(local.tap.key, local.tap.step, error, local.error, floor, origin)

    def _floor(self, tap: Tap) -> float:
        name = (tap.key.path, tap.key.port)
        if name not in self._floors:
            segment = Segment(self._tape, self._candidate, tap, self._cuts)
            self._floors[name] = segment.floor
        return self._floors[name]


def _output(found: Sequence[Local], named: str) -> Tap | None:
    taps = [local.tap for local in found if local.tap.key.role is not Role.INPUT]
    if named:
        taps = [tap for tap in taps if tap.key.path == named]
    return taps[-1] if taps else None


def _with_shares(
    tape: Tape,
    candidate: Candidate,
    taps: Sequence[TapError],
    output: tuple[Tap, float],
    *,
    most: int,
) -> list[TapError]:
    """The share of the output's error that is there when the candidate's tensors stand at a tap."""
    paths = dict.fromkeys(
        (tap.key.path, tap.key.port) for tap in taps if tap.origin is Origin.ORIGIN
    )
    share = {}
    for path, port in list(paths)[:most]:
        calls = [
            t for t in tape.taps if (t.key.path, t.key.port) == (path, port) and t.key in candidate
        ]
        left = splice(tape, candidate, calls, output[0])
        share[path, port] = 1.0 - (left / output[1]) ** 2
    return [_sharing(tap, share.get((tap.key.path, tap.key.port))) for tap in taps]


def _sharing(tap: TapError, share: float | None) -> TapError:
    if share is None or tap.origin is not Origin.ORIGIN:
        return tap
    return TapError(tap.key, tap.step, tap.error, tap.local, tap.floor, tap.origin, share)
