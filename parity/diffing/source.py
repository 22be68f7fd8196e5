"""Where a diff gets its tensors from: a capture file, or arrays in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np

from parity.diffing.near import near
from parity.errors import InputError
from parity.metrics import digest, tensor_statistics
from parity.store import Capture
from parity.tensors import Role, TapKey, TapRecord, TensorSpec

__all__ = ["Array", "ArraySource", "CaptureSource", "FloorSource", "ModelSource", "TensorSource",
           "turned_axes"]  # fmt: skip

Array = np.ndarray[Any, np.dtype[Any]]
# Bytes `(m,)` uint8; of each record the first byte, -1 for none, and the size: int64 `(n,)` each.
Slab = tuple[Array, Array, Array]


class TensorSource(Protocol):
    """Records and, on demand, their tensors."""

    @property
    def label(self) -> str:
        """What to call this side: a file name, or `reference`."""
        ...

    @property
    def records(self) -> Sequence[TapRecord]:
        """All records, in execution order."""
        ...

    @property
    def facts(self) -> Mapping[str, Any]:
        """What is known of the run: implementation, framework, precision, hardware."""
        ...

    @property
    def notes(self) -> Sequence[str]:
        """Why this side cannot stand for a whole run, in sentences; empty where it can."""
        ...

    def view(self, position: int) -> Array:
        """The tensor of `records[position]`, read-only and valid until `release`."""
        ...

    def slab(self) -> Slab | None:
        """All tensors as parts of one array of bytes, where they lie so."""
        ...

    def release(self) -> None:
        """Let go of the memory behind the views handed out so far."""
        ...


@runtime_checkable
class ModelSource(Protocol):
    """A source that tells of the model beyond its records."""

    @property
    def modules(self) -> Mapping[str, int]:
        """Parameter elements by path of every module that can be called; empty if unknown."""
        ...

    @property
    def remarks(self) -> Sequence[str]:
        """What this side says that it could not record, in sentences."""
        ...


@runtime_checkable
class FloorSource(Protocol):
    """A source whose noise floors were measured, or could be."""

    @property
    def can_calibrate(self) -> bool:
        """Whether they can be measured and kept with it."""
        ...

    @property
    def floor_precisions(self) -> Sequence[str]:
        """The precisions that they were measured for."""
        ...

    def floors(self, precision: str) -> Array:
        """The floor of each record for a port of this precision, float64 `(n,)`; NaN if unknown."""
        ...

    def unstable(self, precision: str) -> Array:
        """Where rounding alone changed integers or truth values, bool `(n,)`."""
        ...


class CaptureSource:
    """The tensors of a capture file, memory-mapped."""

    def __init__(self, capture: Capture, label: str) -> None:
        self.label = label
        self.capture = capture
        self.records: Sequence[TapRecord] = capture.records
        self.facts: Mapping[str, Any] = capture.meta.as_dict()
        self.notes: Sequence[str] = () if capture.complete else (_incomplete(near(label), capture),)
        self.modules: Mapping[str, int] = capture.modules
        self.remarks: Sequence[str] = _remarks(label, capture)
        self.can_calibrate = capture.complete
        self.floor_precisions: Sequence[str] = capture.floor_precisions

    def floors(self, precision: str) -> Array:
        """The noise floors that are stored in the file."""
        return self.capture.floors(precision)

    def unstable(self, precision: str) -> Array:
        """What flipped while they were measured."""
        return self.capture.unstable(precision)

    def view(self, position: int) -> Array:
        """The tensor of `records[position]`, of the shape and type in its specification."""
        return self.capture.view(position)

    def slab(self) -> Slab:
        """The mapped file, and where in it each record's tensor lies."""
        return self.capture.slab()

    def release(self) -> None:
        """Give the mapped pages back to the system."""
        self.capture.release()


class ArraySource:
    """Named arrays in memory, in the mapping's order, each as one call of an explicit tap."""

    def __init__(self, arrays: Mapping[str, Any], label: str) -> None:
        self.label = label
        self.facts: Mapping[str, Any] = {}
        self.notes: Sequence[str] = ()
        for name in arrays:
            if not isinstance(name, str) or not name:
                raise InputError(
                    f"{name!r} is no name of a tensor",
                    where=label,
                    hint="use texts that are not empty: {'encoder': ...}",
                )
        self._arrays = [_as_array(name, value) for name, value in arrays.items()]
        self.records: Sequence[TapRecord] = tuple(
            TapRecord(
                key=TapKey(name, Role.TAP),
                spec=TensorSpec(array.dtype.name, array.shape),
                order=order,
                statistics=tensor_statistics(array),
                digest=digest(array),
            )
            for order, (name, array) in enumerate(zip(arrays, self._arrays, strict=True))
        )

    def view(self, position: int) -> Array:
        """The array behind `records[position]`."""
        return self._arrays[position]

    def slab(self) -> None:
        """There is none: the arrays lie where they lie."""

    def release(self) -> None:
        """Nothing to do: the arrays are the caller's."""


def _incomplete(label: str, capture: Capture) -> str:
    return (
        f"{label} is incomplete: its run did not come to an end after {len(capture.records):,} "
        "records, so what is missing at the end was perhaps never reached"
    )


def turned_axes(source: TensorSource) -> list[tuple[int, ...]]:
    """The fact `turned`: into which orders of axes a recorder brought some of its tensors.

    Written as `0 2 1, 0 3 1 2`. What is no order of axes is passed over: files are other people's.
    """
    told = (source.facts.get("extra") or {}).get("turned")
    words = [part.split() for part in told.split(",")] if isinstance(told, str) else []
    found = [tuple(map(int, axes)) for axes in words if all(axis.isdecimal() for axis in axes)]
    return [order for order in found if sorted(order) == list(range(len(order)))]


def _remarks(label: str, capture: Capture) -> tuple[str, ...]:
    """The facts `remarks` and `skipped`: what a reader should know, and what is not recorded."""
    words = {"remarks": f"{label}: ", "skipped": f"{label} has not recorded "}
    said = {name: capture.meta.extra.get(name) for name in words}
    return tuple(
        words[name] + text for name, text in said.items() if isinstance(text, str) and text
    )


def _as_array(name: str, value: Any) -> Array:
    """`value` as a numpy array; torch tensors come without importing torch."""
    if hasattr(value, "detach"):
        value = value.detach().cpu()
        if str(value.dtype) == "torch.bfloat16":
            # numpy has no bfloat16: take the bits and name them.
            import ml_dtypes  # noqa: PLC0415 - only tensors of this type need it

            bits = value.contiguous().view(_int16_of(value)).numpy()
            return bits.view(ml_dtypes.bfloat16)  # type: ignore[no-any-return]
        return np.asarray(value.numpy())
    array = np.asarray(value)
    if array.dtype == object:
        raise InputError("is not a numeric array", where=name, hint="pass numpy arrays or tensors")
    return array


def _int16_of(tensor: Any) -> Any:
    """The int16 type of torch, reached through the tensor so that torch is not imported here."""
    import sys  # noqa: PLC0415

    return sys.modules[type(tensor).__module__.split(".")[0]].int16
