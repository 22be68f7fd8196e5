"""Solves for the parameter of a hypothesis: a coarse look, then Gauss-Newton steps."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch

from parity.diagnose.hypothesis import Solve
from parity.localize.execute import Edit
from parity.localize.local_errors import as_doubles

__all__ = ["solve_for"]

Tensor = torch.Tensor
Run = Callable[[tuple[Edit, ...]], Tensor]

COARSE = 9
STEPS = 8
HALVINGS = 4
MOST_INTEGERS = 96
_FAILURES = (RuntimeError, IndexError, ValueError, TypeError, KeyError, ZeroDivisionError)


def solve_for(solve: Solve, run: Run, theirs: Tensor) -> tuple[float, float]:
    """The value at which the reference comes nearest to the candidate, and how near.

    Args:
        solve: the parameter.
        run: gives the tensor under a change.
        theirs: the candidate's tensor, of the same shape.

    Returns:
        The value, and the relative L2 error there (infinite if nothing could be run).
    """
    search = _Search(solve, run, theirs)
    if solve.scale == "integer":
        for value in _integers(solve):
            search.try_value(value)
        return search.best
    for value in (*solve.guesses, *_spread(solve)):
        if solve.low <= value <= solve.high:
            search.try_value(value)
    search.refine()
    return search.best


def _integers(solve: Solve) -> list[float]:
    """The whole numbers of the range, guesses and small ones first, as many as are tried."""
    low, high = math.ceil(solve.low), math.floor(solve.high)
    near = sorted(range(low, high + 1), key=abs) if high - low < 10_000 else []
    values = [*(g for g in solve.guesses if low <= g <= high), *map(float, near)]
    return list(dict.fromkeys(values))[:MOST_INTEGERS]


def _spread(solve: Solve) -> list[float]:
    steps = [i / (COARSE - 1) for i in range(COARSE)]
    if solve.scale == "log":
        low, high = math.log(solve.low), math.log(solve.high)
        return [math.exp(low + (high - low) * step) for step in steps]
    return [solve.low + (solve.high - solve.low) * step for step in steps]


class _Search:
    def __init__(self, solve: Solve, run: Run, theirs: Tensor) -> None:
        self.solve = solve
        self.run = run
        self.theirs = as_doubles(theirs)
        self.norm = max(float(self.theirs.norm()), 1e-30)
        self.best = (math.nan, math.inf)
        self._made: Tensor | None = None

    def try_value(self, value: float) -> Tensor | None:
        """The tensor at a value; remembers the best."""
        made = self._at(value)
        if made is None:
            return None
        error = float((made - self.theirs).norm()) / self.norm
        if error < self.best[1]:
            self.best, self._made = (value, error), made
        return made

    def refine(self) -> None:
        """Gauss-Newton from the best value: the tensor is nearly linear in the parameter there."""
        for _ in range(STEPS):
            value, before = self.best
            if self._made is None or not math.isfinite(before) or before < 1e-9:
                return
            step = self._step(value)
            if step is None:
                return
            # A step that goes too far is halved: far from the solution the tensor bends.
            for _ in range(HALVINGS):
                self.try_value(min(max(step, self.solve.low), self.solve.high))
                if self.best[1] < before:
                    break
                step = self._between(value, step)
            if not self.best[1] < 0.9 * before:
                return

    def _between(self, value: float, step: float) -> float:
        if self.solve.scale == "log":
            return math.sqrt(max(value, 1e-300) * max(step, 1e-300))
        return (value + step) / 2

    def _step(self, value: float) -> float | None:
        inner = math.log(max(value, 1e-300)) if self.solve.scale == "log" else value
        h = 1e-3 if self.solve.scale == "log" else 1e-3 * max(abs(value), 1e-2)
        near = self._at(self._outer(inner + h))
        if near is None or self._made is None:
            return None
        slope = (near - self._made) / h
        power = float((slope * slope).sum())
        if not power > 0 or not math.isfinite(power):
            return None
        move = float(((self.theirs - self._made) * slope).sum()) / power
        limit = 3.0 if self.solve.scale == "log" else abs(self.solve.high - self.solve.low) / 2
        return self._outer(inner + max(-limit, min(limit, move)))

    def _outer(self, inner: float) -> float:
        return math.exp(inner) if self.solve.scale == "log" else inner

    def _at(self, value: float) -> Tensor | None:
        try:
            made = as_doubles(self.run(self.solve.make(value)))
        except _FAILURES:
            return None
        fits = made.shape == self.theirs.shape and bool(torch.isfinite(made).all())
        return made if fits else None
