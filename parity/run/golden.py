"""Golden captures: the reference's captures of all cases, committed with the port.

Where `reference.golden` names a folder, a run takes the reference from there, so that the machine
that checks needs neither the reference nor its weights. They are only written when asked for.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from parity.errors import CaptureFileError, ConfigError, InputError
from parity.run.calibration import calibrate_reference, missing_precisions, wanted_precisions
from parity.run.captures import make_capture, slug
from parity.run.cases import load_cases
from parity.run.config import Config
from parity.run.judging import tolerance_of
from parity.run.result import CaptureState
from parity.store import Capture, open_capture, verify
from parity.tensors import Case

__all__ = ["golden_path", "golden_state", "write_golden", "write_goldens"]


def golden_path(config: Config, case: str) -> Path:
    """Where the golden capture of a case lies."""
    return config.resolve(config.reference.golden) / f"{slug(case)}.h5"


def golden_state(config: Config, case: Case) -> CaptureState:
    """The golden capture of a case; with a problem where there is none that fits it."""
    path = golden_path(config, case.name)
    return CaptureState(path, reused=True, problem=_problem(config, case, path))


def _problem(config: Config, case: Case, path: Path) -> str:
    if not path.is_file():
        return (
            f"there is no golden capture {path}\n"
            f"  try: parity run --create-golden --case {case.name!r}, where the reference can run"
        )
    renew = f"parity run --update-golden --case {case.name!r}, where the reference can run"
    try:
        with open_capture(path) as capture:
            unfit = _unfit(capture, case)
    except CaptureFileError as error:
        return f"{error}\n  or: {renew}"
    wanted = wanted_precisions(tolerance_of(config)) if config.tolerance.calibrate else ()
    if not unfit and (missing := missing_precisions(path, wanted)):
        unfit = f"has no noise floors for {', '.join(missing)}"
    return f"{path}: the golden capture {unfit}\n  try: {renew}" if unfit else ""


def _unfit(capture: Capture, case: Case) -> str:
    """Why a capture cannot stand for the reference on a case; empty where it can."""
    if not capture.complete:
        return "is incomplete"
    if damaged := verify(capture):
        return (
            f"is damaged: {len(damaged):,} of its tensors are not what was recorded, the first "
            f"at {damaged[0].path}"
        )
    made_for = capture.case
    if made_for is not None and made_for.digest() != replace(case, noise=None).digest():
        return "is of another input than the case"
    return ""


def write_goldens(
    config: Config,
    cases: Iterable[str] = (),
    *,
    update: bool = False,
    began: Callable[[str], None] = lambda _: None,
) -> tuple[Path, ...]:
    """Capture the reference and keep that as golden, case by case; those that are there stay.

    Args:
        config: the configuration.
        cases: globs over names of cases; those that the configuration selects by default.
        update: replace those that are there.
        began: called with what is being done.

    Returns:
        The files that were written.

    Raises:
        ConfigError: the configuration names no folder of golden captures, or the reference failed.
        InputError: the folder cannot be written.
    """
    if not config.reference.golden:
        raise ConfigError(
            "names no folder of golden captures",
            where=f"{config.path}: reference",
            hint='set golden = "golden" there',
        )
    wanted = [
        case
        for case in load_cases(config, cases)
        if update or not golden_path(config, case.name).is_file()
    ]
    found = []
    for case in wanted:
        began(f"{case.name}: capturing the reference as golden")
        found.append(write_golden(config, case))
    return tuple(found)


def write_golden(config: Config, case: Case) -> Path:
    """Capture the reference on one case, with its noise floors where these are asked for.

    Raises:
        ConfigError: the reference failed.
        InputError: the folder cannot be written.
    """
    state = make_capture(config, "reference", config.reference, case)
    if state.problem:
        raise ConfigError(
            f"the reference did not run to its end, so no golden capture was written: "
            f"{state.problem}",
            where=f"case {case.name}",
        )
    if config.tolerance.calibrate:
        missing = missing_precisions(state.path, wanted_precisions(tolerance_of(config)))
        if missing:
            calibrate_reference(config, state.path, missing, lambda _done, _total: None)
    target = golden_path(config, case.name)
    partial = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            shutil.copyfile(state.path, partial)
            partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        raise InputError.unwritable(target, error) from None
    return target
