"""The steps of each case. Nothing here loads torch: every step is weighed by itself."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks.real_cases.environments import (
    CACHE,
    SkippedError,
    Stage,
    environment,
    run_stage,
)
from fixtures.pocket_tts.build import assets

__all__ = ["coreml", "pocket_tts"]

OURS = Path(sys.executable)


def pocket_tts() -> dict[str, Any]:
    """The real 1.0.3 against the real 4.0.1, full size, on the same weights.

    Raises:
        SkippedError: the environment cannot be made.
    """
    theirs = environment("pocket_tts", ["pocket-tts==1.0.3"])
    weights = assets("full")["weights"]
    folder = _emptied("pocket_tts")
    reference, candidate = folder / "reference.h5", folder / "candidate.h5"
    here = "benchmarks.real_cases.pocket_reference"
    there = "benchmarks.real_cases.pocket_candidate"
    return _found(folder, "pocket-tts 4.0.1", "pocket-tts 1.0.3", [
        run_stage("record 4.0.1", OURS, here, "capture", folder),
        run_stage("record 1.0.3", theirs, there, weights.parent, reference, candidate),
        run_stage("diagnose", OURS, here, "diagnose", folder),
    ])  # fmt: skip


def coreml() -> dict[str, Any]:
    """A block of the model against what coremltools converts it to.

    Raises:
        SkippedError: coremltools is not installed here.
    """
    if find_spec("coremltools") is None:
        raise SkippedError("needs coremltools: uv sync --extra coreml")
    weights = assets("full")["weights"]
    folder = _emptied("coreml")
    there = "benchmarks.real_cases.coreml_candidate"
    here = "benchmarks.real_cases.coreml_reference"
    return _found(folder, "the block in torch", "the MIL program of coremltools 9.0", [
        run_stage("convert, compare, repair", OURS, there, weights, folder),
        run_stage("diagnose both", OURS, here, weights, folder),
    ])  # fmt: skip


def _emptied(name: str) -> Path:
    folder = CACHE / "runs" / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def _found(folder: Path, reference: str, candidate: str, stages: Iterable[Stage]) -> dict[str, Any]:
    answer = json.loads((folder / "answer.json").read_text(encoding="utf-8"))
    steps = [
        {"name": stage.name, "seconds": round(stage.seconds, 1), "mib": round(stage.mib)}
        for stage in stages
    ]
    return {"reference": reference, "candidate": candidate, **answer, "steps": steps}
