"""Measures one way in a process of its own: some tools leave torch changed."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import torch

from benchmarks.capture.models import LARGE, MANY, build
from benchmarks.capture.peers import PEERS
from benchmarks.capture.ways import WAYS, Run, Way, bare

__all__ = ["main", "measure"]

Times = dict[str, list[float]]


def main() -> None:
    """`python -m benchmarks.capture.measure WORKLOAD WAY ROUNDS`: prints one JSON object."""
    workload, way, rounds = sys.argv[1:]
    torch.set_num_threads(1)
    work = {"large": LARGE, "many": MANY}[workload]
    model, run = build(work)
    print(json.dumps(measure((WAYS | PEERS)[way], model, run, int(rounds))))


def measure(way: Way, model: torch.nn.Module, run: Run, rounds: int) -> dict[str, float]:
    """Seconds of the way and of the bare run, taken in turns, and how they compare."""
    wall: Times = {"bare": [], "way": []}
    cpu: Times = {"bare": [], "way": []}
    size = 0
    with tempfile.TemporaryDirectory() as scratch:
        # One name for all rounds: some tools write to the first folder that they were given.
        folder = Path(scratch) / "round"
        for number in range(rounds + 1):
            folder.mkdir()
            for name, one in (("bare", bare), ("way", way)):
                started = time.perf_counter(), time.process_time()
                one(model, run, folder / name)
                if number:  # the first round warms up
                    wall[name].append(time.perf_counter() - started[0])
                    cpu[name].append(time.process_time() - started[1])
            size = _size(folder)
            shutil.rmtree(folder)
    ratios = [way / alone for way, alone in zip(wall["way"], wall["bare"], strict=True)]
    return {
        "bare_s": min(wall["bare"]),
        "ratio": min(wall["way"]) / min(wall["bare"]),
        "median_ratio": median(ratios),
        "cpu_ratio": min(cpu["way"]) / min(cpu["bare"]),
        "megabytes": size / 1e6,
    }


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


if __name__ == "__main__":
    main()
