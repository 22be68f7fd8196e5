"""Case B in our environment: the block in torch, beside what the converted program computes.

python -m benchmarks.real_cases.coreml_reference WEIGHTS FOLDER
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch

from benchmarks.real_cases.answer import write_answer
from benchmarks.real_cases.block import Block, load_block
from parity.capture.isolated import capture_here
from parity.diagnose import Diagnosis, diagnose
from parity.localize.reference import Reference
from parity.store import open_capture
from parity.tensors import Case, TapPlan
from parity_files.backend import FilesBackend

__all__ = ["main"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("weights", type=Path)
    parser.add_argument("folder", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    block, x = load_block(given.weights)
    found, error = _diagnose(block, x, given.folder / "converted")
    corrected, left = _diagnose(block, x, given.folder / "corrected")
    write_answer(
        given.folder / "answer.json",
        found,
        {
            "output relative error, as converted": error,
            "output relative error, corrected": left,
            "corrected: findings": len(corrected.findings),
            "corrected: unexplained": len(corrected.unexplained),
        },
    )


def _diagnose(block: Block, x: torch.Tensor, dumps: Path) -> tuple[Diagnosis, float]:
    """Why the dumps differ from the block, and how far its output does."""
    candidate = dumps.with_suffix(".h5")
    capture_here(FilesBackend(folder=dumps), Case(dumps.name), TapPlan(), candidate)
    reference = Reference.of_module({"block": block}, run=lambda: block(x))
    found = diagnose(reference, candidate, output="block")
    with torch.no_grad():
        ours = block(x).numpy()
    with open_capture(candidate) as capture:
        theirs = capture["block"].output[0]
    return found, float(np.linalg.norm(theirs - ours) / np.linalg.norm(ours))


if __name__ == "__main__":
    main()
