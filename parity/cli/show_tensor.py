"""One tensor of a capture: its statistics, a small histogram, its first values."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from rich.table import Table
from rich.text import Text

from parity.cli.show_capture import printable, wide_console
from parity.errors import InputError
from parity.metrics import tensor_statistics
from parity.store import Capture
from parity.tensors import Role, TapRecord, TensorStatistics

__all__ = ["chosen", "facts", "print_tensor"]

Array = np.ndarray[Any, np.dtype[Any]]

BINS = 32
FIRST_VALUES = 8
BARS = " ▁▂▃▄▅▆▇█"
BLOCK = 1 << 20
GLOB = "*?["
# The role that says most about a tap comes first.
ROLES = (Role.OUTPUT, Role.TAP, Role.STATE, Role.INPUT, Role.PARAM)


def chosen(capture: Capture, tap: str, phase: str | None, call: int | None) -> int | None:
    """The position of the record that `tap`, `phase` and `call` name; None where `tap` is a glob.

    Raises:
        InputError: when there is no such record.
    """
    path, _, port = (tap, "", "") if tap in capture else tap.rpartition(":")
    path, port = (path, port) if path else (tap, "")
    if path not in capture and any(letter in tap for letter in GLOB):
        return None
    view = capture[path]
    records = view[port or _best_port(view.ports)].records
    fitting = [
        record
        for record in records
        if phase in {None, record.key.phase} and call in {None, record.key.call}
    ]
    if not fitting:
        wanted = [f"call {call}"] if call is not None else []
        wanted += [f"phase {phase!r}"] if phase is not None else []
        raise InputError(
            f"nothing was recorded for {' of '.join(wanted)}",
            where=f"{capture.path}: {path}",
            hint=f"parity show {capture.path} {path}; the last of it is {records[-1].key}",
        )
    return capture.position(fitting[0])


def _best_port(ports: tuple[str, ...]) -> str:
    return min(ports, key=lambda port: ROLES.index(Role(port.split(".")[0])))


def facts(capture: Capture, position: int) -> dict[str, Any]:
    """All that is known of a record, as JSON values; numbers that JSON does not know are null."""
    record = capture.records[position]
    found: dict[str, Any] = {
        "path": record.key.path,
        "port": record.key.port,
        "phase": record.key.phase,
        "call": record.key.call,
        "step": record.step,
        "order": record.order,
        "dtype": record.spec.dtype,
        "shape": list(record.spec.shape),
        "tier": str(record.tier),
        "source": record.source,
        "producers": list(record.producers),
        "thread": record.thread,
        "duration_s": _finite(record.duration_s),
        "digest": record.digest,
    }
    statistics = _statistics(capture, position)
    named = statistics._asdict() if statistics else {}
    found["statistics"] = {name: _finite(value) for name, value in named.items()} or None
    if capture.columns.offsets[position] >= 0:
        tensor = capture.view(position)
        counts, low, high = histogram(tensor)
        found["histogram"] = {"counts": counts, "low": _finite(low), "high": _finite(high)}
        found["first"] = [str(value) for value in _first(tensor)]
    return found


def print_tensor(capture: Capture, position: int) -> None:
    """Print one record, and its tensor where it was kept."""
    record = capture.records[position]
    console = wide_console()
    console.print(Text(printable(str(record.key)), style="bold"), Text(str(record.spec)))
    console.print(_grid(_rows(capture, record, _statistics(capture, position))))
    if capture.columns.offsets[position] < 0:
        console.print(Text("only its statistics were recorded, not the tensor", style="dim"))
        return
    tensor = capture.view(position)
    console.print(_histogram_line(tensor))
    first = ", ".join(str(value) for value in _first(tensor))
    console.print(Text(f"first   {first}{', …' if tensor.size > FIRST_VALUES else ''}"))


def _statistics(capture: Capture, position: int) -> TensorStatistics | None:
    recorded = capture.records[position].statistics
    if recorded or capture.columns.offsets[position] < 0:
        return recorded
    return tensor_statistics(capture.view(position))


def _rows(
    capture: Capture, record: TapRecord, statistics: TensorStatistics | None
) -> list[tuple[str, str]]:
    by_order = {found.order: found.key for found in capture.records} if record.producers else {}
    rows = [
        ("order", f"{record.order}" + (f", step {record.step}" if record.step >= 0 else "")),
        ("source", record.source),
        ("fed by", ", ".join(str(by_order.get(order, order)) for order in record.producers)),
        ("took", "" if math.isnan(record.duration_s) else f"{record.duration_s * 1e3:.3f} ms"),
        ("digest", record.digest),
    ]
    if statistics:
        rows += [(name, f"{value:.6g}") for name, value in statistics._asdict().items()]
    return rows


def _grid(rows: list[tuple[str, str]]) -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in rows:
        if value:
            grid.add_row(name.replace("_", " "), Text(printable(value)))
    return grid


def histogram(tensor: Array, bins: int = BINS) -> tuple[list[int], float, float]:
    """Counts of the finite elements (of complex ones, their magnitude) in `bins` equal bins.

    Args:
        tensor: any shape.
        bins: how many.

    Returns:
        The counts, and the smallest and largest finite element (NaN where there is none).
    """
    low, high = math.nan, math.nan
    for values in _finite_blocks(tensor):
        low, high = float(np.fmin(low, values.min())), float(np.fmax(high, values.max()))
    counts = np.zeros(bins, np.int64)
    if not math.isfinite(high - low):
        return counts.tolist(), low, high
    for values in _finite_blocks(tensor):
        counts += np.histogram(values, bins=bins, range=(low, high))[0]
    return counts.tolist(), low, high


def _finite_blocks(tensor: Array) -> Any:
    flat = tensor.reshape(-1)
    for start in range(0, flat.size, BLOCK):
        block = flat[start : start + BLOCK]
        numbers = np.abs(block) if block.dtype.kind == "c" else block.astype(np.float64)
        numbers = numbers[np.isfinite(numbers)]
        if numbers.size:
            yield numbers


def _histogram_line(tensor: Array) -> Text:
    counts, low, high = histogram(tensor)
    if not any(counts):
        return Text("no finite elements", style="dim")
    most = max(counts)
    bars = "".join(BARS[math.ceil(count / most * (len(BARS) - 1))] for count in counts)
    return Text.assemble(f"{low:.4g} ", (bars, "cyan"), f" {high:.4g}")


def _first(tensor: Array) -> list[Any]:
    return list(tensor.reshape(-1)[:FIRST_VALUES])


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
