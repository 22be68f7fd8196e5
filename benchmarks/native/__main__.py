"""What crossing the C ABI costs, and how fast the Rust port is beside PyTorch's.

    python -m benchmarks.native                     # full size; needs `make native`
    python -m benchmarks.native --size tiny --rounds 5

Ways take turns, and each figure is the best of its rounds over the best of the untapped run.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from fixtures.pocket_tts.cases import case
from fixtures.pocket_tts.native import built_library, native_port
from fixtures.pocket_tts.port import torch_port
from parity.backends import MemorySink
from parity.tensors import Case, NoiseDraw, Role, TapPlan
from parity_native.apart import Limits, Work, run_apart
from parity_native.channel import RING_BYTES
from parity_torch.backend import TorchBackend
from parity_torch.pocket_tts import Program

SAMPLE_RATE = 24_000
NOTHING = TapPlan(include=("waveform",))
EVERYTHING = TapPlan(roles=frozenset({Role.OUTPUT}))


class Counting:
    """A sink that looks at every byte and keeps none."""

    def __init__(self) -> None:
        self.records, self.bytes, self.samples = 0, 0, 0
        self.draws: list[NoiseDraw] = []

    def describe(self, facts: Mapping[str, Any]) -> None:
        """Facts do not matter here."""

    def noise(self, draw: NoiseDraw) -> None:
        """Keep the tape."""
        self.draws.append(draw)

    def record(self, path: str, array: np.ndarray, **_: Any) -> None:
        """Read it, as a writer would."""
        self.records += 1
        self.bytes += array.nbytes
        if path == "waveform":
            self.samples = array.size
        np.ascontiguousarray(array).view(np.uint8).max(initial=0)


Way = Callable[[Case, Counting], None]


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and print a table."""
    options = _options(arguments)
    # One thread on both sides; candle's pool reads this when it first computes.
    os.environ.setdefault("RAYON_NUM_THREADS", "1")
    chosen = _taped(case(options.case, size=options.size), options.size)
    ways = _ways(options.size)
    seconds, sinks = _take_turns(ways, chosen, options.rounds)
    untapped = seconds["untapped"]
    speech = sinks["untapped"].samples / SAMPLE_RATE
    print(f"{options.case}, {options.size}: {speech:.2f} s of speech\n")
    print("| run | seconds | over untapped | real-time factor | tensors | MB |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name, took in seconds.items():
        sink = sinks[name]
        print(
            f"| {name} | {took:.2f} | {took / untapped:.2f} | {took / speech:.2f} "
            f"| {sink.records:,} | {sink.bytes / 1e6:.0f} |"
        )


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.native", description=__doc__)
    parser.add_argument("--size", choices=("full", "tiny"), default="full")
    parser.add_argument("--case", default="alba-short")
    parser.add_argument("--rounds", type=int, default=3)
    return parser.parse_args(arguments)


def _taped(chosen: Case, size: str) -> Case:
    """The case with the noise that the reference draws, so that all say the same."""
    sink = MemorySink(NOTHING)
    reference = TorchBackend(program="fixtures.pocket_tts.reference:Program", size=size)
    reference.capture(chosen, NOTHING, sink)
    assert sink.draws
    return replace(chosen, noise=tuple(sink.draws))


def _ways(size: str) -> dict[str, Way]:
    here = native_port(size, isolate=False)
    torch_program = torch_port(size)
    return {
        "untapped": lambda chosen, sink: here.capture(chosen, NOTHING, sink),
        "tapped, in this process": lambda chosen, sink: here.capture(chosen, EVERYTHING, sink),
        "apart, untapped": _apart(size, NOTHING, RING_BYTES),
        "apart, through shared memory": _apart(size, EVERYTHING, RING_BYTES),
        "apart, through a pipe": _apart(size, EVERYTHING, 0),
        "PyTorch port, untapped": lambda chosen, _: _run_torch(torch_program, chosen),
    }


def _run_torch(program: Program, chosen: Case) -> None:
    torch.set_num_threads(1)
    program.run(chosen)


def _apart(size: str, plan: TapPlan, ring_bytes: int) -> Way:
    # native_port has seen to it that library and weights are there.
    from fixtures.pocket_tts.locations import cache_directory, check_size  # noqa: PLC0415

    options = {"assets": str(cache_directory(check_size(size)))}

    def run(chosen: Case, sink: Counting) -> None:
        work = Work(str(built_library()), options, chosen, plan, {})
        run_apart(work, sink, Limits(ring_bytes=ring_bytes))

    return run


def _take_turns(
    ways: Mapping[str, Way], chosen: Case, rounds: int
) -> tuple[dict[str, float], dict[str, Counting]]:
    seconds: dict[str, float] = {}
    sinks: dict[str, Counting] = {}
    for _ in range(rounds):
        for name, way in ways.items():
            sinks[name] = Counting()
            began = time.perf_counter()
            way(chosen, sinks[name])
            seconds[name] = min(seconds.get(name, np.inf), time.perf_counter() - began)
    return seconds, sinks


if __name__ == "__main__":
    main()
