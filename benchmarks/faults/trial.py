"""One trial of the bench: a port with some faults, captured, diagnosed, and scored."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cache
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.faults.planted import Fault, Pair
from benchmarks.faults.renamed import Renamed
from parity.capture.isolated import capture_here
from parity.diagnose import Diagnosis, Finding, Grade, Limits, diagnose
from parity.diagnose.engine import Engine
from parity.diagnose.families import propose_all
from parity.diagnose.ground import Ground
from parity.diagnose.groups import group
from parity.diagnose.search import search
from parity.diagnose.view import View
from parity.diffing import diff
from parity.errors import ParityError
from parity.localize.reference import Reference, match
from parity.store import open_capture
from parity.tensors import TapPlan
from parity_torch.backend import TorchBackend

__all__ = ["LEAST_RESIDUAL", "SUBJECTS", "Outcome", "Setup", "pair_of", "run_trial"]

SUBJECTS = ("gqa_decoder", "moe", "vision", "vocoder", "codec", "unet", "conformer", "pocket_tts")
LEAST_RESIDUAL = "least residual at the first bad tap"
PRESETS = {"float32": "fp32", "float16": "fp16", "bfloat16": "bf16"}


@dataclass(frozen=True, slots=True)
class Setup:
    """What is tried.

    Attributes:
        subject: name of the pair.
        faults: switches that are on.
        taps: `modules` for every module, `blocks`, or `output` for the final output alone.
        precision: of the port.
        variant: clean variant of the port.
        renamed: whether the port calls its taps otherwise.
        case: number of the pair's case.
        condition: the row of the table that it counts for.
    """

    subject: str
    faults: tuple[str, ...] = ()
    taps: str = "modules"
    precision: str = "float32"
    variant: str = ""
    renamed: bool = False
    case: int = 0
    condition: str = ""


@dataclass(slots=True)
class Outcome:
    """What came of it.

    Attributes:
        setup: what was tried.
        site: by fault, whether a finding or an unexplained tap is at its place.
        top1: by fault, whether the first thing said of that place is its cause.
        top3: the same for the first three.
        value: by fault with a number, whether that was solved to 10 %.
        high: how many findings are graded high.
        wrong_high: those of them that name no fault that was on, in words.
        findings: all, in words.
        unexplained: in words.
        gate: whether the comparison accepts the output, or the diagnosis finds no fault.
        verdict: of the diagnosis.
        seconds: that it took.
        problem: why there is no diagnosis; empty if there is.
        baselines: what simpler rules say: rule -> whether it finds the place, or the cause.
    """

    setup: Setup
    site: dict[str, bool] = field(default_factory=dict)
    top1: dict[str, bool] = field(default_factory=dict)
    top3: dict[str, bool] = field(default_factory=dict)
    value: dict[str, bool] = field(default_factory=dict)
    high: int = 0
    wrong_high: list[str] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)
    unexplained: list[str] = field(default_factory=list)
    gate: bool = True
    verdict: str = ""
    seconds: float = math.nan
    problem: str = ""
    baselines: dict[str, bool] = field(default_factory=dict)


def pair_of(subject: str) -> Pair:
    """The pair of that name."""
    pair: Pair = import_module(f"benchmarks.faults.pairs.{subject}").PAIR
    return pair


class _Prepared:
    """A subject's reference on one case, traced once for all its faults."""

    def __init__(self, subject: str, case: int) -> None:
        self.pair = pair_of(subject)
        self.folder = TemporaryDirectory(prefix="parity-bench-")
        self.path = Path(self.folder.name) / "reference.h5"
        given = self.pair.cases[case]
        backend = TorchBackend(program=self.pair.reference())
        capture_here(backend, given, TapPlan(), self.path)
        with open_capture(self.path) as capture:
            self.case = given.with_noise(capture.noise)
        self.reference = Reference.of_backend(backend, self.case, capture=self.path)


@cache
def _prepared(subject: str, case: int) -> _Prepared:
    return _Prepared(subject, case)


def run_trial(setup: Setup, limits: Limits | None = None) -> Outcome:
    """Capture the port of a setup, diagnose it, and hold the answer against the truth."""
    prepared = _prepared(setup.subject, setup.case)
    outcome = Outcome(setup)
    started = time.monotonic()
    try:
        with TemporaryDirectory(prefix="parity-bench-") as folder:
            candidate = _captured(prepared, setup, Path(folder) / "candidate.h5")
            found = diagnose(
                prepared.reference,
                candidate,
                mode="auto" if setup.renamed else "exact",
                output=prepared.pair.output,
                limits=limits,
                seconds=240,
            )
            outcome.seconds = time.monotonic() - started
            _score(outcome, found, _on(prepared.pair, setup.faults))
            outcome.gate = _gate(prepared, candidate, setup) or found.verdict == "no_fault"
            outcome.baselines |= _baselines(prepared, candidate, setup)
    except ParityError as error:
        outcome.problem = str(error)
    except Exception as error:
        outcome.problem = f"{type(error).__name__}: {error}"
    return outcome


def _captured(prepared: _Prepared, setup: Setup, path: Path) -> Path:
    pair = prepared.pair
    port = pair.port(frozenset(setup.faults), setup.precision, setup.variant)
    backend: Any = TorchBackend(program=port)
    if setup.renamed:
        backend = Renamed(backend)
    wanted = {
        "modules": TapPlan(),
        "blocks": TapPlan(include=(*pair.blocks, pair.output)),
        "output": TapPlan(include=(pair.output,)),
    }
    capture_here(backend, prepared.case, wanted[setup.taps], path)
    return path


def _on(pair: Pair, names: Iterable[str]) -> list[Fault]:
    known = {fault.name: fault for fault in pair.faults}
    return [known[name] for name in names]


def _score(outcome: Outcome, found: Diagnosis, faults: list[Fault]) -> None:
    outcome.verdict = str(found.verdict)
    outcome.findings = [_words(finding) for finding in found.findings]
    outcome.unexplained = [
        f"{u.tap} ({u.error:.1e}; nearest {u.nearest or 'none'})" for u in found.unexplained
    ]
    for fault in faults:
        outcome.site[fault.name] = _found_place(found, fault)
        named = [f for f in found.findings if _is_at(f, fault)] or list(found.findings)
        causes = [f.cause for f in named]
        more = [c for f in named for c in _causes_in(f.alternatives)]
        more += [c for u in found.unexplained for c in _causes_in((u.nearest,))]
        single = len(faults) == 1
        first = causes[:1] if single else causes
        outcome.top1[fault.name] = any(c in fault.causes for c in first)
        more += [c for f in named for c in f.synonyms]
        outcome.top3[fault.name] = any(c in fault.causes for c in [*causes[:3], *more[:3]])
        if fault.value is not None and outcome.top1[fault.name]:
            values = [f.value for f in named if f.cause in fault.causes]
            outcome.value[fault.name] = any(_near(value, fault.value) for value in values)
    for finding in found.findings:
        if finding.grade is Grade.HIGH:
            outcome.high += 1
            names = {finding.cause, *finding.synonyms}
            if not any(names & set(fault.causes) for fault in faults):
                outcome.wrong_high.append(_words(finding))


def _words(finding: Finding) -> str:
    return (
        f"{finding.grade}: {finding.cause} at {finding.site.path} [{finding.site.tap}] "
        f"({len(finding.sites)} sites): {finding.reference} -> {finding.candidate}"
    )


def _found_place(found: Diagnosis, fault: Fault) -> bool:
    if any(_is_at(finding, fault) for finding in found.findings):
        return True
    return any(_matches(u.tap, fault) for u in found.unexplained)


def _is_at(finding: Finding, fault: Fault) -> bool:
    return any(_matches(s.tap, fault) or _matches(s.path, fault) for s in finding.sites)


def _matches(path: str, fault: Fault) -> bool:
    return any(fnmatchcase(path, glob) for glob in fault.sites)


def _causes_in(texts: Iterable[str]) -> list[str]:
    return [t.partition(":")[0] for text in texts for t in text.split(" and ") if ":" in t]


def _near(value: float | None, truth: float) -> bool:
    return value is not None and abs(value - truth) <= 0.1 * abs(truth) + 1e-12


def _gate(prepared: _Prepared, candidate: Path, setup: Setup) -> bool:
    """Whether the comparison accepts the output."""
    result = diff(
        prepared.path,
        candidate,
        tolerance=PRESETS[setup.precision],
        mode="auto" if setup.renamed else "exact",
        output=prepared.pair.output,
    )
    last = result.at_the_output
    return last is None or last.ok


def _baselines(prepared: _Prepared, candidate: Path, setup: Setup) -> Mapping[str, bool]:
    """What thresholds say of the place of a single fault, and the least residual of its cause."""
    if len(setup.faults) != 1 or setup.taps != "modules" or setup.renamed:
        return {}
    (fault,) = _on(prepared.pair, setup.faults)
    rules = {
        "first allclose failure": {"rtol": 1e-5, "atol": 1e-8},
        "first cosine < 0.99": {"min_cosine": 0.99},
    }
    places = {name: _first(prepared, candidate, fault, rule) for name, rule in rules.items()}
    return {**places, LEAST_RESIDUAL: _least_residual(prepared, candidate) in fault.causes}


def _least_residual(prepared: _Prepared, candidate: Path) -> str:
    """The one change that comes nearest at the first tap that differs, however near that is."""
    theirs, _ = match(prepared.reference, candidate)
    engine = Engine(Ground(prepared.reference.tape, theirs))
    for origin in engine.look():
        groups = group(propose_all(View(origin.segment)))
        found = search(origin.segment, groups, Limits(depth=1))
        if found.nearest is None:
            return ""
        first = found.nearest.chosen[0].group.first
        return f"{first.family}.{first.parameter}"
    return ""


def _first(prepared: _Prepared, candidate: Path, fault: Fault, bounds: Mapping[str, float]) -> bool:
    from parity.tolerance import build_rule, preset  # noqa: PLC0415 - only this needs them

    tolerance = preset("fp32").with_rules([("*", build_rule(**bounds))])
    first = diff(prepared.path, candidate, tolerance=tolerance).first_divergence
    return first is not None and _matches(first.key.path, fault)
