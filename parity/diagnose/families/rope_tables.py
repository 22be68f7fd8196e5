"""Rotary positions where angles are made: base, scaling, offset and precision of the table."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import torch

from parity.diagnose.angle_tables import Table, tables
from parity.diagnose.hypothesis import Hypothesis, Site, Solve
from parity.diagnose.view import View
from parity.localize.execute import Edit

__all__ = ["NAME", "propose"]

Tensor = torch.Tensor
NAME = "rope"
_THETAS = (1e4, 1e5, 5e5, 1e6, 1e3, 100.0, 5e4)
_HALVES = {torch.bfloat16: "bfloat16", torch.float16: "float16"}


def propose(view: View) -> Iterator[Hypothesis]:
    """Other tables wherever angles become cosines and sines that a tensor is multiplied by."""
    for table in tables(view):
        first = table.nodes[0]
        site = Site(view.path(first), "angles", first.source)
        yield from _precision(table, site)
        yield _sign(table, site)
        if table.rates:
            yield from _rates(table, site)
            yield from _positions(table, site)


def _rates(table: Table, site: Site) -> Iterator[Hypothesis]:
    rates, theta = table.rates, table.theta
    count = len(rates)
    if math.isfinite(theta):

        def make(value: float) -> tuple[Edit, ...]:
            return table.with_rates(_powers(rates[0], value, count))

        solve = Solve(make, 10.0, 1e8, "log", theta, _THETAS)
        yield Hypothesis(
            NAME, "theta", f"theta {theta:.3g}", "theta {value:.4g}", site, solve=solve, cost=1.0
        )
        for text, exponents in (
            ("exponents by i / (n - 1)", [i / max(count - 1, 1) for i in range(count)]),
            ("exponents by (i + 1) / n", [(i + 1) / count for i in range(count)]),
            ("exponents by i / 2n", [i / (2 * count) for i in range(count)]),
            ("exponents by 2i / n", [2 * i / count for i in range(count)]),
        ):
            edits = table.with_rates([rates[0] * theta**-e for e in exponents])
            yield Hypothesis(NAME, "theta", "exponents by i / n", text, site, edits, cost=1.5)
    else:
        plain = float(f"{(rates[0] / rates[1]) ** count:.3g}") if rates[1] < rates[0] else math.nan
        if math.isfinite(plain):
            edits = table.with_rates(_powers(rates[0], plain, count))
            yield Hypothesis(
                NAME, "scaling", "slow rates are scaled", "rates as powers of theta", site, edits,
                cost=1.0,
            )  # fmt: skip

    def scaled(value: float) -> tuple[Edit, ...]:
        return table.with_rates([rate * value / rates[0] for rate in rates])

    solve = Solve(scaled, 1e-2, 1e2, "log", rates[0], (1.0, 0.5, 0.25, 0.125, 2.0))
    yield Hypothesis(
        NAME, "scaling", f"positions times {rates[0]:.3g}", "positions times {value:.4g}", site,
        solve=solve, cost=1.0,
    )  # fmt: skip


def _powers(first: float, theta: float, count: int) -> Sequence[float]:
    """Rates that fall from the first by powers of a base, rounded as float32 rounds them."""
    steps = torch.arange(count, dtype=torch.float32) / count
    powers: list[float] = (1.0 / torch.tensor(theta) ** steps).double().tolist()
    return [first * power for power in powers]


def _positions(table: Table, site: Site) -> Iterator[Hypothesis]:
    rates, start = table.rates, table.start or 0.0
    reference = "positions of the tokens"
    low = float(-math.ceil(min(max(start, 0.0), 40.0)) - 4)

    def moved(value: float) -> tuple[Edit, ...]:
        return table.with_rates(rates, lambda p: p + value)

    def later(value: float) -> tuple[Edit, ...]:
        return table.with_rates(rates, lambda p: p + value if float(p.min()) > 0.5 else p)

    def solve(make: Callable[[float], tuple[Edit, ...]]) -> Solve:
        return Solve(make, low, 16.0, "integer", 0.0)

    yield Hypothesis(
        NAME, "offset", reference, "positions plus {value:.0f}", site, solve=solve(moved), cost=1.1
    )
    if start <= 0.5:
        return
    yield Hypothesis(
        NAME, "offset", reference, "plus {value:.0f} in calls that go on", site,
        solve=solve(later), cost=1.05,
    )  # fmt: skip
    again = table.with_rates(rates, lambda p: p - p.min())
    yield Hypothesis(
        NAME, "offset", "positions go on from call to call", "they start again in each call", site,
        again, cost=1.0,
    )  # fmt: skip
    yield from _restarts(table, site, start)


def _restarts(table: Table, site: Site, start: float) -> Iterator[Hypothesis]:
    """Positions that are counted from the end of what an earlier call read."""
    tape = table.view.tape
    first = table.nodes[0]
    path = table.view.path(first)
    sizes = sorted({
        tape.values[node.outputs[0]].shape[0]
        for span in tape.calls_of.get(path, ())[:8]
        for node in tape.nodes[span.start : max(span.stop, span.start)][:60]
        if node.name == first.name and node.outputs and tape.values[node.outputs[0]].shape
    })  # fmt: skip
    for size in sizes:
        if not 1 < size <= start + 0.5:
            continue
        edits = table.with_rates(table.rates, _less(size))
        yield Hypothesis(
            NAME, "offset", "positions go on from call to call",
            "they start again behind the first call", site, edits, cost=1.02, value=-float(size),
        )  # fmt: skip


def _less(size: int) -> Callable[[Tensor], Tensor]:
    return lambda p: p - size if float(p.min()) > 0.5 else p


def _sign(table: Table, site: Site) -> Hypothesis:
    edits = table.with_angles(torch.neg)
    return Hypothesis(NAME, "sign", "turned forwards", "backwards", site, edits, cost=1.0)


def _precision(table: Table, site: Site) -> Iterator[Hypothesis]:
    """Angles and rates in half precision: late positions run out of digits."""
    for dtype, name in _HALVES.items():

        def rounded(angles: Tensor, dtype: torch.dtype = dtype) -> Tensor:
            return angles.to(dtype).to(angles.dtype)

        yield Hypothesis(
            "dtype", "precision", "angles in float32", f"angles in {name}", site,
            table.with_angles(rounded), cost=1.1,
        )  # fmt: skip
        results = tuple(table.view.after(node, rounded) for node in table.nodes)
        if all(node.name != "polar" for node in table.nodes):
            yield Hypothesis(
                "dtype", "precision", "cosines and sines in float32", f"in {name}", site, results,
                cost=1.2,
            )  # fmt: skip
        if table.rates:
            coarse = torch.tensor(table.rates).to(dtype).double().tolist()
            yield Hypothesis(
                "dtype", "precision", "rates in float32", f"rates in {name}", site,
                table.with_rates(coarse), cost=1.3,
            )  # fmt: skip
