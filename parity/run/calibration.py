"""Measures the noise floors of a configuration's reference, and keeps them in its capture."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from parity.backends import Backend, load
from parity.errors import BackendError, InputError, ParityError
from parity.run.captures import make_capture
from parity.run.config import Config
from parity.run.judging import tolerance_of
from parity.run.reuse import keep_note
from parity.store import Capture, RecordFloors, open_capture, write_floors
from parity.tensors import Case
from parity.tolerance import Tolerance

if TYPE_CHECKING:
    from parity.localize.calibrate import Floors
    from parity.localize.reference import Reference

__all__ = [
    "calibrate_capture",
    "calibrate_case",
    "calibrate_reference",
    "missing_precisions",
    "wanted_precisions",
]

Progress = Callable[[int, int], None]


def calibrate_capture(
    path: Path,
    backend: Backend,
    *,
    precisions: Sequence[str] = ("float32",),
    progress: Progress | None = None,
) -> Floors:
    """Measure the noise floors of the reference in a capture, and write them into the file.

    The case and the random draws are those of the capture.

    Args:
        path: the capture; floors that it has of these precisions are replaced.
        backend: that runs the reference.
        precisions: in which ports compute.
        progress: called with how many of how many operations are done.

    Raises:
        InputError: the capture holds no case, is not complete, or is of another program.
        BackendError: the backend cannot be run again operation by operation, or its run failed.
    """
    # Loads torch, which a configuration without calibration need not have.
    from parity.localize.calibrate import calibrate  # noqa: PLC0415
    from parity.localize.reference import Reference, Rerunnable  # noqa: PLC0415

    if not isinstance(backend, Rerunnable):
        raise BackendError(
            f"the backend {backend.name!r} only dumps tensors, and calibration runs the reference "
            "again, operation by operation",
            hint="name a torch program as the reference",
        )
    with open_capture(path) as capture:
        case = _case_of(capture)
        reference = Reference.of_backend(backend, case, capture=path)
        _run(reference, path)
        found = calibrate(reference, precision=precisions, against=capture, progress=progress)
        rows = {name: found.for_records(capture.records, name) for name in found.precisions}
    with keep_note(path):
        write_floors(
            path, {name: RecordFloors(*both, _facts(found, name)) for name, both in rows.items()}
        )
    return found


def _run(reference: Reference, path: Path) -> None:
    """Let the reference run, so that what it raises is told from what we raise."""
    try:
        _ = reference.tape
    except ParityError:
        raise
    except Exception as error:
        raise BackendError(
            f"the reference raised {type(error).__name__}: {error}",
            where=str(path),
            hint="give the program and options that the capture was made with",
        ) from error


def _case_of(capture: Capture) -> Case:
    if not capture.complete:
        raise InputError(
            "is incomplete: its run did not come to its end",
            where=str(capture.path),
            hint="record it again; noise floors are those of a whole run",
        )
    if capture.case is None:
        raise InputError(
            "does not say which case was run, so that it cannot be run again",
            where=str(capture.path),
            hint="record it with `parity capture`; or measure with parity.calibrate in Python, "
            "and write with parity.store.write_floors",
        )
    return capture.case.with_noise(capture.noise)


def _facts(found: Floors, precision: str) -> dict[str, object]:
    return {**found.facts, "runs": found.facts["runs"][precision], "flips": found.flips[precision]}


def calibrate_reference(
    config: Config,
    path: Path,
    precisions: Sequence[str],
    progress: Progress | None = None,
) -> Floors:
    """Calibrate the capture `path` that was made of a configuration's reference."""
    folders = [config.resolve(folder) for folder in (*config.subject.python_path, ".")]
    reference = config.reference
    backend = load(reference.backend, reference.options, python_path=folders)
    return calibrate_capture(path, backend, precisions=precisions, progress=progress)


def calibrate_case(
    config: Config,
    case: Case,
    precisions: Sequence[str] = (),
    *,
    progress: Progress | None = None,
) -> tuple[Path, Floors]:
    """Calibrate the reference of a configuration on a case; captures it first if need be.

    Args:
        config: the configuration.
        case: the case.
        precisions: in which ports compute; those that the tolerance is about by default.
        progress: called with how many of how many operations are done.

    Raises:
        BackendError: the reference did not run, or cannot be run again operation by operation.
    """
    state = make_capture(config, "reference", config.reference, case)
    if state.problem:
        raise BackendError(
            f"the reference did not run to its end: {state.problem}", where=case.name
        )
    wanted = tuple(precisions) or wanted_precisions(tolerance_of(config))
    return state.path, calibrate_reference(config, state.path, wanted, progress)


def wanted_precisions(tolerance: Tolerance) -> tuple[str, ...]:
    """Float32, and every precision that a rule says a port computes in."""
    named = (rule.precision for _, rule in tolerance.rules if rule.precision)
    return tuple(dict.fromkeys(("float32", *named)))


def missing_precisions(path: Path, wanted: Sequence[str]) -> tuple[str, ...]:
    """Those of `wanted` that the capture holds no floors for."""
    with open_capture(path) as capture:
        return tuple(name for name in wanted if name not in capture.floor_precisions)
