"""The main job: for every case, capture the reference and each candidate, compare, say why.

A comparison passes through `STAGES`, each of which returns it with more filled in. History is a
further stage.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from parity.capture.isolated import Notice
from parity.diffing import DiffResult, diff
from parity.errors import CaptureFileError, ConfigError
from parity.report.files import RENDERERS, WITH_EVIDENCE, render, write_text
from parity.run.calibration import calibrate_reference, missing_precisions, wanted_precisions
from parity.run.captures import make_capture, plan_of, slug
from parity.run.cases import load_cases
from parity.run.config import Config, Implementation
from parity.run.explain import explain_broken
from parity.run.golden import golden_state
from parity.run.judging import tolerance_of
from parity.run.listening import listen_to
from parity.run.references import References
from parity.run.result import CaptureState, Comparison, RunResult
from parity.run.speech import speech_speed
from parity.store import open_capture
from parity.tensors import Case
from parity.tolerance import Tolerance

if TYPE_CHECKING:
    from parity.audio import Listening
    from parity.report.page import Evidence

__all__ = ["STAGES", "Observer", "Stage", "run"]


class Observer:
    """Hears what a run is doing; the command line shows it. Does nothing by itself."""

    def began(self, what: str) -> None:
        """Work on `what` begins."""

    def recorded(self, count: int, last: str) -> None:
        """A capture has `count` records, the last one named."""

    def captured(self, what: str, state: CaptureState) -> None:
        """A capture is made, reused, or failed."""

    def measured(self, done: int, total: int) -> None:
        """A comparison is through `done` of `total` tensors."""


@dataclass(frozen=True, slots=True)
class Context:
    """What a stage may use besides the comparison itself."""

    config: Config
    candidate: Implementation
    tolerance: Tolerance
    observer: Observer
    references: References


Stage = Callable[[Comparison, Context], Comparison]


def compare(comparison: Comparison, context: Context) -> Comparison:
    """Stage: the captures, tensor by tensor; of a run that broke off, as far as it came."""
    config, candidate = context.config, context.candidate
    try:
        result = diff(
            comparison.reference.path,
            comparison.capture.path,
            tolerance=context.tolerance,
            renames=candidate.renames,
            layouts=candidate.layouts,
            mode="auto" if candidate.align == "auto" else "exact",
            plan=plan_of(config),
            allow_missing=config.tolerance.allow_missing,
            output=config.subject.output,
            progress=context.observer.measured,
        )
    except CaptureFileError:
        if comparison.capture.problem:
            # The run broke off before there was anything to compare; its problem says why.
            return comparison
        raise
    return replace(comparison, diff=result)


def time_speech(comparison: Comparison, context: Context) -> Comparison:
    """Stage: how fast both sides spoke, where the subject speaks."""
    audio = context.config.subject.audio
    if audio is None or not audio.chunk or comparison.diff is None:
        return comparison
    found = {
        "reference": speech_speed(comparison.reference.path, audio),
        "candidate": speech_speed(comparison.capture.path, audio),
    }
    return replace(comparison, speed={side: s for side, s in found.items() if s is not None})


def report(comparison: Comparison, context: Context) -> Comparison:
    """Stage: the reports that the configuration asks for."""
    config = context.config
    folder = config.resolve(config.report.folder)
    stem = "-".join(slug(n) for n in (config.subject.name, comparison.case, comparison.candidate))
    title = f"{config.subject.name}: {comparison.candidate} on {comparison.case}"
    written = {}
    for kind in config.report.formats:
        path = folder / f"{stem}{RENDERERS[kind][0]}"
        if comparison.diff is None:
            # An earlier run's report would be read as this one's.
            path.unlink(missing_ok=True)
            continue
        why, result = comparison.diagnosis, _with_problem(comparison, comparison.diff)
        shown = _evidence(comparison, result, config) if kind in WITH_EVIDENCE else None
        write_text(path, render(result, kind, title=title, diagnosis=why, evidence=shown))
        written[kind] = path
    if comparison.listening is not None and "html" in config.report.formats:
        written["listening"] = folder / f"{stem}-listening.png"
        _picture(comparison.listening, written["listening"])
    return replace(comparison, reports=written)


def _with_problem(comparison: Comparison, result: DiffResult) -> DiffResult:
    """The comparison, which says also what ended the candidate's run before its end."""
    problem = comparison.capture.problem
    if not problem:
        return result
    said = f"{comparison.candidate} did not run to its end: {problem.splitlines()[0]}"
    return replace(result, notes=(said, *result.notes))


def _picture(listening: Listening, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    listening.plot().savefig(path, dpi=100)


def _evidence(comparison: Comparison, result: DiffResult, config: Config) -> Evidence:
    """What the page shows beside the numbers, from both captures."""
    from parity.report.page import gather  # noqa: PLC0415 - only a page needs it

    audio = config.subject.audio
    return gather(
        result,
        comparison.reference.path,
        comparison.capture.path,
        diagnosis=comparison.diagnosis,
        sounds=[(audio.waveform, audio.sample_rate)] if audio is not None else [],
    )


STAGES: Sequence[Stage] = (compare, explain_broken, listen_to, time_speech, report)


def run(
    config: Config,
    *,
    candidates: Iterable[str] = (),
    cases: Iterable[str] = (),
    fresh: bool = False,
    observer: Observer | None = None,
    stages: Sequence[Stage] = STAGES,
) -> RunResult:
    """Do the main job.

    Args:
        config: the configuration, from `load_config`.
        candidates: names of candidates; all by default.
        cases: globs over names of cases; those that the configuration selects by default.
        fresh: make every capture again.
        observer: hears what is going on.
        stages: what is done with a pair of captures, in order.

    Raises:
        ConfigError: a name, a rule or a report format is unknown.
        AlignmentError: taps cannot be brought together without guessing.
        BackendError: the noise floors shall be measured, and the reference only dumps tensors.
    """
    _check_formats(config)
    chosen, tolerance = _candidates(config, candidates), tolerance_of(config)
    watcher = observer or Observer()
    comparisons, references = [], References(config)
    for case in load_cases(config, cases):
        reference = _reference(config, case, watcher, fresh=fresh)
        if config.tolerance.calibrate and not config.reference.golden and not reference.problem:
            _calibrated(config, case, reference, tolerance, watcher)
        for name, candidate in chosen.items():
            if reference.problem:
                nothing = CaptureState(reference.path, problem="the reference did not run")
                comparisons.append(Comparison(case.name, name, reference, nothing))
                continue
            same_noise = _with_tape(case, reference)
            capture = _captured(config, name, candidate, same_noise, watcher, fresh=fresh)
            comparison = Comparison(case.name, name, reference, capture)
            watcher.began(f"{case.name}: comparing {name}")
            context = Context(config, candidate, tolerance, watcher, references)
            for stage in stages:
                comparison = stage(comparison, context)
            comparisons.append(comparison)
    return RunResult(config.subject.name, tuple(comparisons))


def _reference(config: Config, case: Case, observer: Observer, *, fresh: bool) -> CaptureState:
    if config.reference.golden:
        return golden_state(config, case)
    return _captured(config, "reference", config.reference, case, observer, fresh=fresh)


def _captured(
    config: Config,
    name: str,
    implementation: Implementation,
    case: Case,
    observer: Observer,
    *,
    fresh: bool,
) -> CaptureState:
    what = f"{case.name}: capturing {name}"
    observer.began(what)
    notice: Notice = lambda progress: observer.recorded(progress.count, progress.last)  # noqa: E731
    state = make_capture(config, name, implementation, case, fresh=fresh, on_progress=notice)
    observer.captured(what, state)
    return state


def _calibrated(
    config: Config, case: Case, reference: CaptureState, tolerance: Tolerance, observer: Observer
) -> None:
    """See to it that the reference's capture holds noise floors for all that is judged by them."""
    missing = missing_precisions(reference.path, wanted_precisions(tolerance))
    if not missing:
        return
    observer.began(f"{case.name}: measuring the noise of the reference")
    calibrate_reference(config, reference.path, missing, observer.measured)


def _with_tape(case: Case, reference: CaptureState) -> Case:
    """The case with the reference's random draws, so that both run on the same noise."""
    with open_capture(reference.path) as capture:
        return case.with_noise(capture.noise)


def _candidates(config: Config, names: Iterable[str]) -> dict[str, Implementation]:
    wanted = tuple(names)
    for name in wanted:
        if name not in config.candidates:
            raise ConfigError(
                f"there is no candidate {name!r}",
                where=str(config.path),
                hint=f"candidates: {', '.join(config.candidates)}",
            )
    return {n: c for n, c in config.candidates.items() if not wanted or n in wanted}


def _check_formats(config: Config) -> None:
    for kind in config.report.formats:
        if kind not in RENDERERS:
            raise ConfigError(
                f"there is no report format {kind!r}",
                where=f"{config.path}: report.formats",
                hint=f"one of {', '.join(RENDERERS)}",
            )
