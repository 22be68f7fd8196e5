"""A comparison as text, and as JSON values."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

from parity_coreml.attribution import Row
from parity_coreml.check import Checked
from parity_coreml.returned import Returned

__all__ = ["checked_to_dict", "checked_to_text"]

_MOST = 5


def checked_to_text(checked: Checked) -> str:
    """What a person wants to know, the verdict first."""
    return "\n".join(_lines(checked)) + "\n"


def _lines(checked: Checked) -> Iterator[str]:
    yield _verdict(checked)
    yield f"  {checked.package.name} ({checked.precision}): {', '.join(checked.runners)}"
    if checked.by_values:
        yield "  converted elsewhere: what the values are was found by what both compute;"
        yield "  other weights than these would show as the converter's faults"
    yield ""
    yield from _export(checked)
    yield from _converter(checked)
    for what, rows in (("precision", checked.precise), ("runtime", checked.runtime)):
        for row in rows[:_MOST]:
            yield f"  {what:<11}{_place(row)}"
            yield f"{'':13}{_measured(row, what)}"
        if len(rows) > _MOST:
            yield f"{'':13}and {len(rows) - _MOST} more"
    for name in checked.wrong_states:
        error = checked.states[name]
        yield f"  {'state':<11}{name} is not kept as torch keeps it: off by {error:.1e}"
    for name, error in checked.starts.items():
        yield f"  {'state':<11}{name} starts as zeros in Core ML and not in torch: the outputs move"
        yield f"{'':13}by {error:.1e}. Write it before the first step, or make it an argument"
    yield from _outputs(checked)
    yield from _compared(checked)


def _verdict(checked: Checked) -> str:
    if checked.holds is None:
        where = " on the device" if checked.rows else ""
        return f"? Nothing could be compared{where}."
    if checked.holds:
        return "✓ Every operation that was compared computes what torch computes."
    said = [
        f"by {who} {_count({row.value for row in rows})}"
        for who, rows in (
            ("the converter", checked.converter),
            ("the precision", checked.precise),
            ("the runtime", checked.runtime),
        )
        if rows
    ]
    if checked.export:
        said.insert(0, f"by torch.export {len({each.name for each in checked.export})} outputs")
    if checked.silent:
        said.append(f"{len(checked.silent)} outputs without a number from the device")
    if checked.wrong_states:
        said.append(f"{len(checked.wrong_states)} of {len(checked.states)} states")
    if checked.starts:
        said.append(f"the start of {len(checked.starts)} of {len(checked.states)} states")
    return f"✗ Wrong: {', '.join(said)}."


def _count(values: set[str]) -> str:
    return f"{len(values)} operation{'s' if len(values) > 1 else ''}"


def _export(checked: Checked) -> Iterator[str]:
    for each in checked.export[:_MOST]:
        yield f"  {'export':<11}{each.name}, step {each.step}: the module returns something else"
        said = f"off by {each.error:.1e}, of which rounding explains {each.floor:.1e}"
        yield f"{'':13}than the graph of it: {said}"


def _converter(checked: Checked) -> Iterator[str]:
    first: dict[str, Row] = {}
    for row in checked.converter:
        first.setdefault(row.value, row)
    causes = checked.causes
    explained = sorted(
        (row for row in first.values() if row.value in causes), key=_cause_of(checked)
    )
    for cause, group in groupby(explained, key=_cause_of(checked)):
        rows = list(group)
        yield f"  {'converter':<11}{cause}, at {_count({row.value for row in rows})}"
        for row in rows[:_MOST]:
            after = causes[row.value].after
            yield f"{'':13}{_place(row)}: {row.local:.1e}, repaired {after:.1e}"
        if known := causes[rows[0].value].known:
            yield f"{'':13}known: {known}"
    unexplained = [row for row in first.values() if row.value not in causes]
    for row in unexplained[:_MOST]:
        yield f"  {'converter':<11}{_place(row)}: no cause found"
        yield f"{'':13}{_measured(row, 'converter')}"
    if len(unexplained) > _MOST:
        yield f"{'':13}and {len(unexplained) - _MOST} more"


def _cause_of(checked: Checked) -> Any:
    return lambda row: str(checked.causes[row.value])


def _place(row: Row) -> str:
    inside = row.node.modules[-1] if row.node.modules else ""
    where = ", ".join(filter(None, (inside, row.node.source)))
    return f"{row.kind} {row.value} ({where})" if where else f"{row.kind} {row.value}"


def _measured(row: Row, what: str) -> str:
    error, floor = {
        "converter": (row.local, max(row.floor, row.constants)),
        "precision": (row.rounded, row.rounded_floor),
        "runtime": (row.device_local, row.device_floor),
    }[what]
    return f"off by {error:.1e}, of which rounding explains {floor:.1e}"


def _outputs(checked: Checked) -> Iterator[str]:
    for name, error in checked.outputs.items():
        device = checked.device_outputs.get(name)
        also = "" if device is None else f", on the device {device:.1e}"
        yield f"  {'output':<11}{name}: {error:.1e}{also}"


def _compared(checked: Checked) -> Iterator[str]:
    yield ""
    yield f"  compared: {checked.coverage}"
    if checked.device_coverage is not None:
        yield f"  on the device: {checked.device_coverage}"
    yield from _some("not compared, no value in the program", checked.unplaced)
    yield from _some("not compared, nothing finite in torch's own value", checked.nothing)
    yield from _some("not compared, edges", checked.coverage.edges.left)
    yield from _some("not compared, parameters", checked.coverage.parameters.left)
    missing = [f"{each.name} ({each.reason})" for each in checked.missing]
    yield from _some("the device gave nothing for", missing)
    changed = [f"{name} by {error:.1e}" for name, error in checked.changed.items()]
    yield from _some("moved on the device when further values came out", changed)
    yield from _some("by coremltools' constant folding", checked.inferred)


def _some(what: str, names: Sequence[str]) -> Iterator[str]:
    if names:
        rest = f" and {len(names) - _MOST} more" if len(names) > _MOST else ""
        yield f"  {what}: {', '.join(names[:_MOST])}{rest}"


def checked_to_dict(checked: Checked) -> dict[str, Any]:
    """Everything, as JSON values; numbers that JSON has not are null."""
    return {
        "holds": checked.holds,
        "package": str(checked.package),
        "precision": checked.precision,
        "map": "by values" if checked.by_values else "by the converter",
        "runners": list(checked.runners),
        "causes": [_cause(name, cause) for name, cause in checked.causes.items()],
        "operations": [_operation(row) for row in checked.rows],
        "outputs": {name: _number(error) for name, error in checked.outputs.items()},
        "device_outputs": {name: _number(error) for name, error in checked.device_outputs.items()},
        "states": {name: _number(error) for name, error in checked.states.items()},
        "starts": {name: _number(error) for name, error in checked.starts.items()},
        "coverage": _coverage(checked.coverage),
        "device_coverage": _coverage(checked.device_coverage),
        "returned": [_returned(each) for each in checked.returned],
        "nothing": list(checked.nothing),
        "missing": [{"name": each.name, "reason": each.reason} for each in checked.missing],
        "changed": {name: _number(error) for name, error in checked.changed.items()},
        "unplaced": list(checked.unplaced),
        "inferred": list(checked.inferred),
    }


def _cause(value: str, cause: Any) -> dict[str, Any]:
    names = ("operation", "kind", "argument", "known", "tensor")
    said = {name: getattr(cause, name) for name in names}
    should = None if cause.tensor else _plain(cause.should)
    numbers = {"before": _number(cause.before), "after": _number(cause.after)}
    return {"value": value, **said, "has": _plain(cause.has), "should": should, **numbers}


def _plain(value: Any) -> Any:
    plain = value.tolist() if hasattr(value, "tolist") else value
    return _number(plain) if isinstance(plain, float) else plain


def _returned(each: Returned) -> dict[str, Any]:
    said = {"step": each.step, "name": each.name}
    return {**said, "error": _number(each.error), "floor": _number(each.floor)}


def _operation(row: Row) -> dict[str, Any]:
    return {
        "step": row.step,
        "node": row.node.name,
        "target": row.node.target,
        "module": row.node.modules[-1] if row.node.modules else "",
        "source": row.node.source,
        "value": row.value,
        "kind": row.kind,
        "precision": row.precision,
        "wrong_by": _wrong_by(row),
        "missing": row.missing,
        **{
            name: _number(getattr(row, name))
            for name in (
                "error",
                "local",
                "floor",
                "constants",
                "rounded",
                "rounded_floor",
                "device_error",
                "device_local",
                "device_floor",
            )
        },
    }


def _wrong_by(row: Row) -> list[str]:
    sides = {
        "converter": row.by_converter,
        "precision": row.by_precision,
        "runtime": row.by_runtime,
    }
    return [who for who, wrong in sides.items() if wrong]


def _coverage(coverage: Any) -> Any:
    if coverage is None:
        return None
    return {
        name: {"compared": share.compared, "total": share.total, "left": list(share.left)}
        for name in ("modules", "parameters", "edges")
        for share in (getattr(coverage, name),)
    }


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None
