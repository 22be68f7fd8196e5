"""Calibration: how far rounding alone takes the reference from what it would be without rounding.

One walk over the tape runs every operation in float64, as the oracle, and beside it as it was
recorded, with other threads, with sums in another order, on inputs that are off by half a unit,
and in half precision. At each tap the largest distance from the oracle is the floor.
"""

from __future__ import annotations

import math
import platform
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from parity.errors import ConfigError
from parity.localize.execute import Machine, Precision
from parity.localize.local_errors import last_uses, relative_error
from parity.localize.noise_floors import Floors
from parity.localize.reference import Reference
from parity.localize.reproduce import Reproduction
from parity.localize.runs import PRECISIONS, RoundingRun, threads, variants
from parity.localize.tape import Node, Tap, Tape
from parity.store import Capture

__all__ = ["Floors", "calibrate"]

Tensor = torch.Tensor
Array = np.ndarray[Any, np.dtype[Any]]
Progress = Callable[[int, int], None]

# As for the comparison of a port: a tensor of few elements can cancel to nearly nothing.
FEW_ELEMENTS = 16
# From here on no digit is left, and a floor would accept anything.
NO_DIGIT_LEFT = 1.0
# The runs are few, and an implementation of somebody else is none of them. The Rust port of Pocket
# TTS (99,854 tensors, candle's kernels) is up to 2.3 times as far away as the farthest of them, and
# farther where all of them are within one rounding, at norms. (Accepted is twice the floor; with
# these two it comes to 1.81 times.)
MARGIN = 1.25
ROUNDINGS = 4


def calibrate(
    reference: Reference,
    *,
    precision: str | Sequence[str] = "float32",
    against: Capture | None = None,
    progress: Progress | None = None,
) -> Floors:
    """Measure what rounding alone does at each tap of the reference.

    Args:
        reference: runs again under other assumptions; is run once, and its operations then once
            for each kind of rounding, side by side.
        precision: in which ports compute: `float32`, `float16`, `bfloat16`, `float64`, or several.
        against: a capture that this run should reproduce; refused if it does not.
        progress: called with how many of how many operations are done.

    Raises:
        ConfigError: a precision is not known.
        InputError: the run is another than the one in the capture.
    """
    wanted = (precision,) if isinstance(precision, str) else tuple(dict.fromkeys(precision))
    for name in wanted:
        if name not in PRECISIONS:
            raise ConfigError(
                f"no noise floors can be measured for {name!r}",
                where="precision",
                hint=f"one of {', '.join(PRECISIONS)}",
            )
    started = time.monotonic()
    recorded = against.meta.threads if against is not None else 0
    count = recorded or torch.get_num_threads()
    with threads(count):
        walk = _Walk(reference.tape, wanted, count, against)
        walk.run(progress)
    return walk.floors(round(time.monotonic() - started, 1))


class _Walk:
    """All runs in lock-step: values are let go of in all of them after their last use."""

    def __init__(
        self, tape: Tape, precisions: Sequence[str], count: int, against: Capture | None
    ) -> None:
        self.tape = tape
        self.precisions = tuple(precisions)
        self.oracle = RoundingRun(
            "float64", Machine(tape, precision=Precision(torch.float64)), frozenset(), count
        )
        self.runs = variants(tape, precisions, count)
        self.count = count
        self._reproduction = Reproduction(against, tape) if against is not None else None
        self._taps: dict[int, list[int]] = {}
        for place, tap in enumerate(tape.taps):
            self._taps.setdefault(tap.at, []).append(place)
        self._ends: dict[int, list[int]] = {}
        for value, when in last_uses(tape, {}).items():
            self._ends.setdefault(when, []).append(value)
        shape = len(self.runs), len(tape.taps)
        self.errors = np.full(shape, math.nan)
        self.norms = np.full(shape[1], math.nan)
        self.flipped = {name: np.zeros(shape[1], bool) for name in precisions}
        self.flips: dict[str, dict[str, None]] = {name: {} for name in precisions}
        # By precision, the values that flipped or were made of such; exact zeros apart from that.
        self._unstable: dict[str, set[int]] = {name: set() for name in precisions}
        self._measured: dict[int, tuple[Array, float]] = {}

    def run(self, progress: Progress | None) -> None:
        """Walk to the end.

        Raises:
            InputError: the run is another than the one in the capture.
        """
        total = len(self.tape.nodes)
        machines = [self.oracle, *self.runs]
        with torch.no_grad():
            self._meet(0)
            for node in self.tape.nodes:
                for one in machines:
                    one.step(node)
                self._agree(node)
                self._meet(node.index + 1)
                for value in self._ends.get(node.index + 1, ()):
                    self._measured.pop(value, None)
                    for one in machines:
                        one.machine.env.pop(value, None)
                if progress is not None and not node.index % 200:
                    progress(node.index, total)
        if progress is not None:
            progress(total, total)

    def _agree(self, node: Node) -> None:
        """Let all runs take the integers and truth values of the recorded one, like its branches.

        One decision that flips would make everything after it another computation.
        """
        own = self.runs[0].machine
        for value in (*node.outputs, *node.written):
            known = self.tape.values[value]
            if known.dtype.is_floating_point or known.dtype.is_complex:
                continue
            for name in self.precisions:
                if not self._unstable[name].isdisjoint(node.inputs):
                    self._unstable[name].add(value)
            mine = own.env.get(value)
            if mine is None:
                continue
            for one in (self.oracle, *self.runs[1:]):
                theirs = one.machine.env[value]
                if theirs.shape == mine.shape and torch.equal(theirs, mine):
                    continue
                self._flip(node, value, one)
                if known.group in self.tape.writers and theirs.shape == mine.shape:
                    theirs.copy_(mine)
                else:
                    one.machine.env[value] = mine.clone()

    def _flip(self, node: Node, value: int, run: RoundingRun) -> None:
        # Where float64 decides otherwise, ports of every precision may.
        for name in run.precisions or self.precisions:
            self._unstable[name].add(value)
            where = self.tape.path(node)
            self.flips[name].setdefault(f"{where}::{node.name}" if where else node.name)

    def _meet(self, when: int) -> None:
        for place in self._taps.get(when, ()):
            tap = self.tape.taps[place]
            self.errors[:, place], self.norms[place] = self._measure(tap)
            for name in self.precisions:
                self.flipped[name][place] = tap.value in self._unstable[name]
            if self._reproduction is not None:
                self._reproduction.check(tap, self.runs[0].machine.read(tap.value))

    def _measure(self, tap: Tap) -> tuple[Array, float]:
        """The error of each run at a tap, and the oracle's norm."""
        fixed = self.tape.values[tap.value].group not in self.tape.writers
        found = self._measured.get(tap.value) if fixed else None
        if found is None:
            exact = _plain(self.oracle.machine.read(tap.value))
            pairs = [
                relative_error(exact, _plain(run.machine.read(tap.value))) for run in self.runs
            ]
            found = np.array([error for error, _ in pairs]), pairs[0][1]
            self._measured[tap.value] = found
        return found

    def floors(self, seconds: float) -> Floors:
        """What was found."""
        values: dict[str, Array] = {}
        errors: dict[str, dict[str, Array]] = {}
        for name in self.precisions:
            rows = [i for i, run in enumerate(self.runs) if name in run.precisions]
            errors[name] = {self.runs[i].name: self.errors[i] for i in rows}
            values[name] = self._floor(self.errors[rows].max(0), name)
        facts = {
            "runs": {name: list(errors[name]) for name in self.precisions},
            "oracle": "float64",
            "operations": len(self.tape.nodes),
            "threads": self.count,
            "torch": torch.__version__,
            "machine": platform.machine(),
            "seconds": seconds,
        }
        flips = {name: tuple(found) for name, found in self.flips.items()}
        keys = tuple(tap.key for tap in self.tape.taps)
        return Floors(keys, values, self.flipped, errors, flips, facts)

    def _floor(self, errors: Array, precision: str) -> Array:
        values = [self.tape.values[tap.value] for tap in self.tape.taps]
        small = np.array([math.prod(value.shape) <= FEW_ELEMENTS for value in values], bool)
        units = np.array([_one_rounding(value.dtype, PRECISIONS[precision]) for value in values])
        ports: dict[tuple[str, str], list[int]] = {}
        calls: dict[tuple[str, str, str], list[int]] = {}
        for place, tap in enumerate(self.tape.taps):
            key = tap.key
            if small[place]:
                ports.setdefault((key.path, key.port), []).append(place)
            else:
                calls.setdefault((key.path, key.port, key.phase), []).append(place)
        floor = errors.copy()
        for places in ports.values():
            floor[places] = _of_few(errors[places], self.norms[places])
        for places in calls.values():
            # A few runs can agree by luck in one call; they do not in most.
            usual = _median(errors[places])
            floor[places] = np.maximum(errors[places], usual)
        floor = np.where(units > 0, np.maximum(MARGIN * floor, ROUNDINGS * units), 0.0)
        return np.where(floor < NO_DIGIT_LEFT, floor, math.nan)


def _of_few(errors: Array, norms: Array) -> Array:
    """One floor for all calls of a tap of few elements, beside the median of their norms.

    The comparison raises it for calls that cancelled, by as much as they are smaller.
    """
    known = np.isfinite(errors) & np.isfinite(norms)
    typical = float(np.median(norms[known])) if known.any() else 0.0
    if not typical:
        return errors
    return np.where(known, (errors * norms)[known].max() / typical, errors)


def _median(errors: Array) -> float:
    finite = errors[np.isfinite(errors)]
    return float(np.median(finite)) if finite.size else 0.0


def _one_rounding(dtype: torch.dtype, precision: torch.dtype) -> float:
    """What one rounding to the coarser of two types may cost, relatively; 0 for exact types."""
    if not (dtype.is_floating_point or dtype.is_complex):
        return 0.0
    return max(torch.finfo(one).eps for one in (dtype, precision)) / 2


def _plain(tensor: Tensor) -> Tensor:
    return torch.view_as_real(tensor) if tensor.is_complex() else tensor
