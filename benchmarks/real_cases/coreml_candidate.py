"""Case B in a process of its own: a block converted by coremltools, and what the program computes.

    python -m benchmarks.real_cases.coreml_candidate WEIGHTS FOLDER

Writes the package, and two folders of tensors by module: `converted`, what the program in the
package computes, and `corrected`, the same with the arguments that the comparison of operations
found wrong put right.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import torch
from safetensors.torch import save_file

from benchmarks.real_cases.block import load_block
from parity_coreml.check import check
from parity_coreml.convert import convert
from parity_coreml.package import open_package
from parity_coreml.repair import repair
from parity_coreml.sidecar import Placed, Sidecar, read_sidecar

__all__ = ["main"]

ROOT = "block"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("weights", type=Path)
    parser.add_argument("folder", type=Path)
    given = parser.parse_args()
    block, x = load_block(given.weights)
    converted, corrected = given.folder / "block.mlpackage", given.folder / "corrected.mlpackage"
    convert(block, (x,), converted, prefix=ROOT)
    found = check(block, [(x,)], converted)
    for value, cause in found.causes.items():
        print(f"{value}: {cause}")
    repair(open_package(converted), found.causes.values(), corrected)
    _dump(converted, given.folder / "converted", x)
    _dump(corrected, given.folder / "corrected", x)


def _dump(package: Path, folder: Path, x: torch.Tensor) -> None:
    sidecar = read_sidecar(package)
    values = open_package(package).evaluator().run({sidecar.inputs[0]: x}).values
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    # Clones: a module that ends in another one has the very same output.
    tensors = {placed.path: values[placed.value].clone() for placed in _first_outputs(sidecar)}
    save_file({f"{ROOT}.input": x, **tensors}, folder / "taps.safetensors")
    print(f"{folder.name}: the outputs of {len(tensors)} modules")


def _first_outputs(sidecar: Sidecar) -> list[Placed]:
    """Of modules with one output, called once: those of several are named otherwise in a dump."""
    several = {placed.path for placed in sidecar.placed if placed.slot or placed.calls > 1}
    return [
        placed for placed in sidecar.placed if placed.path not in several and not placed.permutation
    ]


if __name__ == "__main__":
    main()
