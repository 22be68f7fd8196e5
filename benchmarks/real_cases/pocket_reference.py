"""Case A in our environment: the real 4.0.1, captured, and diagnosed against the real 1.0.3.

    python -m benchmarks.real_cases.pocket_reference capture FOLDER
    python -m benchmarks.real_cases.pocket_reference diagnose FOLDER
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from benchmarks.real_cases.answer import write_answer
from fixtures.pocket_tts.cases import case
from fixtures.pocket_tts.reference import Program
from parity.capture.isolated import capture_here
from parity.diagnose import diagnose
from parity.localize.reference import Reference
from parity.store import open_capture
from parity.tensors import TapPlan
from parity_torch.backend import TorchBackend

__all__ = ["main"]

CASE = "alba-short"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("capture", "diagnose"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--size", default="full")
    given = parser.parse_args()
    (_capture if given.what == "capture" else _diagnose)(given.folder, given.size)


def _capture(folder: Path, size: str) -> None:
    backend = TorchBackend(program=Program(size), params=False)
    capture_here(backend, case(CASE, size=size), TapPlan(), folder / "reference.h5")


def _diagnose(folder: Path, size: str) -> None:
    reference, candidate = folder / "reference.h5", folder / "candidate.h5"
    backend = TorchBackend(program=Program(size), params=False)
    again = Reference.of_backend(backend, case(CASE, size=size), capture=reference)
    found = diagnose(again, candidate, output="waveform")
    write_answer(folder / "answer.json", found, _agreement(reference, candidate))


def _agreement(reference: Path, candidate: Path) -> dict[str, float]:
    """What a tool that looks at the results alone would see."""
    with open_capture(reference) as ours, open_capture(candidate) as theirs:
        sides = [
            [np.asarray(side[name].output[0], np.float64).ravel() for side in (ours, theirs)]
            for name in ("latents", "waveform")
        ]
    measured = {}
    for name, (left, right) in zip(("latents", "waveform"), sides, strict=True):
        measured[f"{name} samples"] = float(left.size)
        measured[f"{name} 1 - Pearson"] = float(1 - np.corrcoef(left, right)[0, 1])
        measured[f"{name} relative error"] = float(
            np.linalg.norm(left - right) / np.linalg.norm(left)
        )
    return measured


if __name__ == "__main__":
    main()
