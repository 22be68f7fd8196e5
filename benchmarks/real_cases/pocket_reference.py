"""Case A in our environment: the real 4.0.1, captured, and diagnosed against the real 1.0.3.

python -m benchmarks.real_cases.pocket_reference capture FOLDER
python -m benchmarks.real_cases.pocket_reference diagnose FOLDER
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import numpy.typing as npt

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
# Samples that 4.0.1 fades in at the start of a chunk, 5 ms, and 1.0.3 does not.
FADE_IN = 120

Array = npt.NDArray[np.float64]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("capture", "diagnose"))
    parser.add_argument("folder", type=Path)
    given = parser.parse_args()
    {"capture": _capture, "diagnose": _diagnose}[given.what](given.folder)


def _capture(folder: Path) -> None:
    backend = TorchBackend(program=Program(), params=False)
    capture_here(backend, case(CASE), TapPlan(), folder / "reference.h5")


def _diagnose(folder: Path) -> None:
    reference, candidate = folder / "reference.h5", folder / "candidate.h5"
    backend = TorchBackend(program=Program(), params=False)
    again = Reference.of_backend(backend, case(CASE), capture=reference)
    found = diagnose(again, candidate, output="waveform")
    write_answer(folder / "answer.json", found, _agreement(reference, candidate))


def _agreement(reference: Path, candidate: Path) -> dict[str, float]:
    """What a tool that looks at the results alone would see."""
    measured = {}
    with open_capture(reference) as ours, open_capture(candidate) as theirs:
        for name in ("latents", "waveform"):
            pair = [np.asarray(side[name].output[0], np.float64) for side in (ours, theirs)]
            measured |= _distance(name, *pair)
            if name == "waveform":
                rest = [samples[FADE_IN:] for samples in pair]
                measured |= _distance(f"waveform after {FADE_IN} samples", *rest)
    return measured


def _distance(name: str, ours: Array, theirs: Array) -> dict[str, float]:
    left, right = ours.ravel(), theirs.ravel()
    return {
        f"{name}, 1 - Pearson": float(1 - np.corrcoef(left, right)[0, 1]),
        f"{name}, relative error": float(np.linalg.norm(left - right) / np.linalg.norm(left)),
    }


if __name__ == "__main__":
    main()
