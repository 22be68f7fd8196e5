"""The whole diagnosis: replay, search, propagation, verdict."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from parity.align import Mode
from parity.diagnose.engine import Engine
from parity.diagnose.findings import Cause, causes_of, unexplained_of
from parity.diagnose.ground import Ground
from parity.diagnose.relocate import Relocator
from parity.diagnose.result import Diagnosis, Grade, Unexplained, Verdict
from parity.diagnose.search import Limits
from parity.diagnose.structure import Structure, settle
from parity.localize.candidate import Candidate
from parity.localize.execute import Edit
from parity.localize.reference import Reference, match
from parity.localize.tape import Tap, Tape
from parity.localize.whole_run import forward, output_error
from parity.store import Capture
from parity.tensors import Role, TapPlan
from parity.tolerance import dtype_floor

__all__ = ["diagnose"]

Side = str | Path | Capture | Mapping[str, Any]


def diagnose(
    reference: Reference,
    candidate: Side,
    *,
    renames: Sequence[str] = (),
    layouts: Mapping[str, tuple[int, ...]] | None = None,
    mode: Mode = "exact",
    plan: TapPlan | None = None,
    output: str = "",
    seconds: float = 600.0,
    limits: Limits | None = None,
    progress: Callable[[str], None] | None = None,
) -> Diagnosis:
    """Say why a candidate differs from its reference.

    The reference is run again, as a whole and in parts, on the candidate's own tensors; nothing of
    the candidate is needed but what it dumped.

    Args:
        reference: the reference, on the case that the candidate ran.
        candidate: a capture file, an open capture, or tensors by name.
        renames: ordered rules `candidate -> reference` over tap paths.
        layouts: axis order by glob over tap paths.
        mode: `exact` matches by name, `auto` by order, shape and content.
        plan: which tensors take part; all by default.
        output: path of the tap that is the model's output; by default the last of floating point.
        seconds: wall time after which no further cause is looked for.
        limits: how far each search goes.
        progress: hears, in a few words, what is being done.

    Returns:
        The causes, each with its places and what it explains, and what nothing explains.

    Raises:
        AlignmentError: the taps cannot be brought together without guessing.
        BackendError: the reference cannot be run again.
    """
    started = time.monotonic()
    say = progress or (lambda _: None)
    say("running the reference, operation by operation")
    tape = reference.tape
    theirs, notes = match(
        reference, candidate, renames=renames, layouts=layouts, mode=mode, plan=plan
    )
    before = _own_error(tape, theirs, output)
    structure = settle(reference, theirs, say)
    ground = Ground(
        structure.tape,
        structure.candidate,
        loose=structure.loose,
        until=_until(structure.tape),
    )
    engine = Engine(ground, limits or Limits(), seconds, say)
    engine.peel()
    causes = causes_of(engine)
    unexplained = unexplained_of(engine, structured=bool(structure.findings))
    broke_off = bool(theirs.source.notes)
    # The last tensor of a run that broke off is no output.
    at = None if broke_off and not output else _output(ground.tape, ground.candidate, output)
    result = _with_output(engine, causes, unexplained, at, say)
    if broke_off and result.verdict is Verdict.NO_FAULT:
        result = replace(result, verdict=Verdict.INCONCLUSIVE)
    return replace(
        _with_structure(result, structure, before),
        notes=(*notes, *_shortened(engine)),
        seconds=time.monotonic() - started,
    )


# Of a long run the first steps are looked at: what happens later has mostly happened by then.
_LONG = 60_000  # operations
_STEPS = 48


def _until(tape: Tape) -> int | None:
    """How many operations of a long run to look at; None for all."""
    if len(tape.nodes) <= _LONG:
        return None
    ends: dict[str, int] = {}
    for tap in tape.taps:
        if tap.step >= _STEPS:
            ends.setdefault(tap.key.phase, tap.at)
    return max(ends.values(), default=None)


def _shortened(engine: Engine) -> tuple[str, ...]:
    ground = engine.ground
    if ground.until is None:
        return ()
    return (
        f"a long run: of its {len(ground.tape.nodes):,} operations the first {ground.until:,} were "
        f"looked at, {_STEPS} steps of each phase",
    )


def _own_error(tape: Tape, candidate: Candidate, output: str) -> float:
    """How far the candidate's output is from the reference's own, over what both have."""
    named = [tap for tap in tape.taps if tap.key.path == output and tap.key.role is not Role.INPUT]
    if not named or named[-1].key not in candidate.mismatched:
        return math.nan
    (ours,) = forward(tape, named[-1:])
    return output_error(candidate.alone(candidate.mismatched[named[-1].key]), ours)


def _with_structure(result: Diagnosis, structure: Structure, before: float) -> Diagnosis:
    """The diagnosis with what was found about structure, which comes first."""
    if not structure.findings:
        return result
    findings = [*structure.findings, *result.findings]
    ranked = tuple(replace(finding, rank=rank) for rank, finding in enumerate(findings, 1))
    sure = all(finding.grade is Grade.HIGH for finding in ranked)
    # What the structure changed is not in the error that the engine started from.
    left = result.output_left > max(_LEFT_SHARE * before, _LEFT)
    whole = sure and not result.unexplained and not left
    return replace(
        result,
        findings=ranked,
        verdict=Verdict.EXPLAINED if whole else Verdict.PARTLY_EXPLAINED,
        output_error=before if math.isfinite(before) else result.output_error,
    )


def _output(tape: Tape, candidate: Candidate, named: str) -> Tap | None:
    """The tap that the whole error is measured at."""
    both = {*candidate.rows, *candidate.mismatched}
    known = [tap for tap in tape.taps if tap.key in both and tap.key.role is not Role.INPUT]
    if named:
        known = [tap for tap in known if tap.key.path == named]
    floats = [tap for tap in known if tape.values[tap.value].dtype.is_floating_point]
    return floats[-1] if floats else None


def _with_output(
    engine: Engine,
    causes: Sequence[Cause],
    unexplained: tuple[Unexplained, ...],
    output: Tap | None,
    say: Callable[[str], None],
) -> Diagnosis:
    """The diagnosis, with the share of the output's error that each finding accounts for."""
    errors = [math.nan] * (len(causes) + 1)
    if output is not None and engine.ground.locals:
        errors = _errors_with(engine, causes, output, say)
    findings = tuple(
        replace(cause.finding, explained_output=_share(errors[place], errors[place + 1], errors[0]))
        for place, cause in enumerate(causes)
    )
    return Diagnosis(
        verdict=_verdict(engine, findings, unexplained, errors),
        findings=findings,
        unexplained=unexplained,
        equivalent=tuple(sorted(engine.ground.hidden)),
        output=output.key.path if output is not None else "",
        output_error=errors[0],
        output_left=errors[-1],
        compared=len(engine.ground.locals),
        facts={
            "precision": engine.ground.precision,
            "not_comparable": engine.uncertain,
            "missing": sum(key.role in _MADE for key in engine.ground.candidate.missing),
        },
    )


# Tensors of these a candidate is expected to have.
_MADE = (Role.OUTPUT, Role.TAP)

# What telling the findings' shares apart may cost; each is a run of the whole reference.
_SHARES_S = 150.0


def _errors_with(
    engine: Engine, causes: Sequence[Cause], output: Tap, say: Callable[[str], None]
) -> list[float]:
    """The error at the output with the first 0, 1, ... findings put into the reference."""
    errors = [math.nan] * (len(causes) + 1)
    started = time.monotonic()
    counts = [0, len(causes), *range(1, len(causes))]
    for done, count in enumerate(dict.fromkeys(counts)):
        spent = time.monotonic() - started
        if done >= 2 and spent + (spent / done) * (len(counts) - done) > _SHARES_S:
            break  # a long run: before and after have to do
        say(f"running the reference with {count} of {len(causes)} findings put in")
        errors[count] = _error_with(engine, causes[:count], output)
    return errors


def _error_with(engine: Engine, causes: Sequence[Cause], output: Tap) -> float:
    edits = _edits(engine.relocator, causes)
    try:
        (made,) = forward(engine.ground.tape, [output], edits=edits)
    except (RuntimeError, KeyError, IndexError, ValueError, TypeError):
        return math.nan  # the changes do not fit a whole run, for instance for its shapes
    return output_error(_theirs(engine.ground.candidate, output), made)


def _theirs(candidate: Candidate, output: Tap) -> torch.Tensor:
    """The candidate's output, in whatever shape it has."""
    if output.key in candidate:
        return candidate.tensor(output.key)
    return candidate.alone(candidate.mismatched[output.key])


def _edits(relocator: Relocator, causes: Sequence[Cause]) -> dict[int, list[Edit]]:
    edits: dict[int, list[Edit]] = {}
    for cause in causes:
        for _, chosen in cause.chosen:
            for node, moved in relocator.everywhere(chosen.edits).items():
                edits.setdefault(node, []).extend(moved)
    return edits


def _share(before: float, after: float, whole: float) -> float:
    if not whole > 0 or not math.isfinite(before) or not math.isfinite(after):
        return math.nan
    return (before**2 - after**2) / whole**2


# What may be left at the output of a difference that counts as explained: a twentieth of it, or
# what rounding leaves in float32.
_LEFT_SHARE = 0.05
_LEFT = 1e-5


def _verdict(
    engine: Engine, findings: Sequence[Any], unexplained: Sequence[Any], errors: Sequence[float]
) -> Verdict:
    if not engine.ground.locals:
        return Verdict.INVALID
    if not findings:
        # Where inputs were not to be had, nothing is found although the output is off.
        off = errors[0] > 2 * dtype_floor(engine.ground.precision)
        return Verdict.UNEXPLAINED if unexplained or off else Verdict.NO_FAULT
    sure = all(finding.grade is Grade.HIGH for finding in findings)
    more = errors[-1] > max(_LEFT_SHARE * errors[0], _LEFT)
    whole = sure and not unexplained and not more
    return Verdict.EXPLAINED if whole else Verdict.PARTLY_EXPLAINED
