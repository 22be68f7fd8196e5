"""Checks that a run depends on its case alone."""

from __future__ import annotations

from dataclasses import replace

from parity.backends.conformance.subject import (
    Broken,
    Inapplicable,
    Subject,
    difference,
    run,
    same_bits,
)
from parity.backends.memory import MemorySink, Recorded
from parity.backends.protocol import Array
from parity.errors import InputError, ParityError
from parity.tensors import Case, NoiseDraw, TapPlan

__all__ = [
    "a_fresh_backend_does_the_same",
    "leaves_the_case_alone",
    "recovers_from_an_error",
    "refuses_a_short_tape",
    "repeats_itself",
    "replays_noise",
    "seed_matters",
    "uses_the_tape",
]


def repeats_itself(subject: Subject) -> None:
    """The same backend runs the same case twice to the same bits, in the same order."""
    backend = subject.make()
    first, second = run(subject, backend=backend), run(subject, backend=backend)
    _same("a second run of the same backend", difference(first.records, second.records))


def a_fresh_backend_does_the_same(subject: Subject) -> None:
    """Two backends that are opened anew run the same case to the same bits."""
    _same("a fresh backend", difference(run(subject).records, run(subject).records))


def leaves_the_case_alone(subject: Subject) -> None:
    """A run does not change the case's arrays."""
    before = {name: array.copy() for name, array in subject.case.arrays.items()}
    if not before:
        raise Inapplicable("the case has no arrays")
    run(subject)
    for name, array in before.items():
        if not same_bits(array, subject.case.arrays[name]):
            raise Broken(f"the run changed case.arrays[{name!r}]")


def recovers_from_an_error(subject: Subject) -> None:
    """An error in the sink ends the run as it is, and the next run is as if nothing had been."""
    before = run(subject).records
    if not before:
        raise Inapplicable("the run records nothing")
    backend = subject.make()
    try:
        backend.capture(subject.case, TapPlan(), MemorySink(watch=_refuse))
    except _RefusedError:
        pass
    except Exception as error:
        raise Broken(f"an error in the sink came out as {type(error).__name__}: {error}") from error
    else:
        raise Broken("an error in the sink was swallowed")
    after = run(subject, backend=backend).records
    _same("a run after one that failed", difference(before, after))


def replays_noise(subject: Subject) -> None:
    """Replaying the noise of a run gives the same run, whatever the seed."""
    first, tape = _tape(subject)
    case = replace(subject.case, seed=subject.case.seed + 1).with_noise(tape)
    second = run(subject, case=case)
    _same("the replay of a run's own noise", difference(first, second.records))


def uses_the_tape(subject: Subject) -> None:
    """Other noise gives another run."""
    first, tape = _tape(subject)
    changed = tuple(replace(draw, values=_changed(draw)) for draw in tape)
    if all(same_bits(one.values, other.values) for one, other in zip(tape, changed, strict=True)):
        raise Inapplicable("the draws are such that reversing them changes nothing")
    second = run(subject, case=subject.case.with_noise(changed))
    if not difference(first, second.records):
        raise Broken("the run was the same under other noise, so it does not use case.noise")


def refuses_a_short_tape(subject: Subject) -> None:
    """A tape that ends too early is refused, not drawn on from somewhere else."""
    _, tape = _tape(subject)
    try:
        run(subject, case=subject.case.with_noise(tape[:-1]))
    except ParityError:
        return
    raise Broken(f"the run went on after the last of {len(tape) - 1} draws; it needs {len(tape)}")


def seed_matters(subject: Subject) -> None:
    """Another seed draws other noise."""
    case = replace(subject.case, noise=None)
    first = _drawn(subject, case)
    if not first:
        raise Inapplicable("the run draws nothing")
    second = run(subject, case=replace(case, seed=case.seed + 1)).draws
    if [draw.values.tobytes() for draw in first] == [draw.values.tobytes() for draw in second]:
        raise Broken(f"seeds {case.seed} and {case.seed + 1} draw the same noise")


def _drawn(subject: Subject, case: Case) -> list[NoiseDraw]:
    try:
        return run(subject, case=case).draws
    except InputError as error:
        # A port need not have a generator, as long as it says so instead of drawing zeros.
        if subject.case.noise is None:
            raise
        raise Inapplicable(f"it runs on a tape only: {error.what}") from error


def _tape(subject: Subject) -> tuple[list[Recorded], tuple[NoiseDraw, ...]]:
    """A run, and the noise that went into it."""
    sink = run(subject)
    tape = tuple(sink.draws) or subject.case.noise
    if not tape:
        raise Inapplicable("the run draws nothing")
    return sink.records, tape


def _changed(draw: NoiseDraw) -> Array:
    # Reversed values are drawn from the same distribution, so that no check of theirs can object.
    values = draw.values.ravel()[::-1].reshape(draw.values.shape)
    return -values if draw.distribution == "normal" else values


def _refuse(path: str, _array: Array) -> None:
    raise _RefusedError(path)


class _RefusedError(Exception):
    """Raised by a sink that breaks; of no kind that a backend could know."""


def _same(what: str, problem: str) -> None:
    if problem:
        raise Broken(f"{what} differs: {problem}")
