"""Records functional operations, which no module reports: attention, GELU, splits, cache writes.

An operation is named after the module or function it runs in: `layers.0::gelu`, and
`layers.0::add`, `layers.0::add.1` for the first and second addition in one call of that module.
So the n-th call of every operation is that of its module.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from fnmatch import fnmatchcase
from time import perf_counter_ns
from typing import Any

import torch
from torch import overrides
from torch.overrides import TorchFunctionMode

from parity.capture.flatten import leaves
from parity.capture.origin import caller_line
from parity.capture.recorder import Recorder
from parity.capture.sites import Frame, Site
from parity.tensors import Role

__all__ = ["Operations", "operation_name", "unwatched"]

# The plain name of what Python's operators call.
_OPERATORS = {
    "__add__": "add", "__radd__": "add", "__iadd__": "add_",
    "__sub__": "sub", "__rsub__": "sub", "__isub__": "sub_",
    "__mul__": "mul", "__rmul__": "mul", "__imul__": "mul_",
    "__truediv__": "div", "__rtruediv__": "div", "__rdiv__": "div", "__div__": "div",
    "__itruediv__": "div_", "__idiv__": "div_",
    "__matmul__": "matmul", "__rmatmul__": "matmul",
    "__pow__": "pow", "__rpow__": "pow", "__neg__": "neg",
    "__gt__": "gt", "__ge__": "ge", "__lt__": "lt", "__le__": "le", "__eq__": "eq", "__ne__": "ne",
    "__getitem__": "getitem", "__setitem__": "setitem",
}  # fmt: skip

# They change no number: what goes in comes out in another shape, or somewhere else.
_LAYOUT = frozenset({
    "alias", "as_strided", "clone", "contiguous", "cpu", "cuda", "detach", "expand", "expand_as",
    "flatten", "movedim", "narrow", "permute", "ravel", "requires_grad_", "reshape", "select",
    "squeeze", "swapaxes", "t", "transpose", "unflatten", "unsqueeze", "view", "view_as",
})  # fmt: skip
# Their results hold whatever lay in that memory before.
_UNFILLED = frozenset({"empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided"})


def operation_name(function: Callable[..., Any]) -> str:
    """The plain name of a torch function; empty for attributes and for what yields no tensor."""
    name: str = getattr(function, "__name__", "")
    if name in _OPERATORS:
        return _OPERATORS[name]
    return "" if name.startswith("__") else name


def unwatched(inner: Callable[..., Any]) -> Callable[..., Any]:
    """`inner`, called without our mode: torch's fused paths are taken only when there is none."""

    @functools.wraps(inner)
    def call(*args: Any, **kwargs: Any) -> Any:
        mode = overrides._get_current_function_mode()  # type: ignore[no-untyped-call]
        if not isinstance(mode, _Mode):
            return inner(*args, **kwargs)
        with overrides._pop_mode_temporarily():
            return inner(*args, **kwargs)

    return call


class Operations:
    """What is recorded of functional operations.

    Args:
        recorder: where records go.
        patterns: globs over operation names (`gelu`, `scaled_dot_product_attention`, `*add*`), or
            True for all that compute: all but changes of layout.
    """

    def __init__(self, recorder: Recorder, patterns: Sequence[str] | bool) -> None:
        self._recorder = recorder
        self._patterns = patterns
        self._names: dict[Callable[..., Any], tuple[str, bool]] = {}
        self._paths: dict[str, bool] = {}
        self._outside = Site("")

    def within(self) -> AbstractContextManager[Any]:
        """A context in which the operations of the entering thread are seen."""
        return _Mode(self)

    def run(
        self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """Call a torch function, record it if it is wanted, and return its result untouched."""
        name, wanted = self._name(function)
        if not name or self._recorder.closed or self._recorder.here.quiet:
            return function(*args, **kwargs)
        start = perf_counter_ns()
        result = function(*args, **kwargs)
        stop = perf_counter_ns()
        # What landed, not the whole cache that it was written into.
        value = args[0][args[1]] if name == "setitem" else result
        fed = self._fed_by(args, kwargs)
        frame = self._frame()
        path = self._path(frame, name) if wanted else ""
        if path and self._wants(frame, path):
            self._record(frame, path, value, fed, (stop - start) * 1e-9)
        else:
            self._pass_on(value, fed)
        self._recorder.here.overhead_ns += perf_counter_ns() - stop
        return result

    def _record(
        self, frame: Frame, path: str, value: Any, fed: tuple[int, ...], duration_s: float
    ) -> None:
        source = caller_line()
        for slot, leaf in leaves(value, torch.Tensor):
            order = self._recorder.put(
                path,
                leaf,
                Role.OUTPUT,
                slot,
                frame.at,
                source=source,
                producers=fed,
                duration_s=duration_s,
            )
            self._recorder.derive(leaf, order)

    def _pass_on(self, value: Any, fed: tuple[int, ...]) -> None:
        """An operation that is not recorded hands on what fed it."""
        lineage = self._recorder.lineage
        if fed and lineage is not None:
            for _, leaf in leaves(value, torch.Tensor):
                lineage.set(leaf, fed)

    def _name(self, function: Callable[..., Any]) -> tuple[str, bool]:
        known = self._names.get(function)
        if known is None:
            name = operation_name(function)
            known = self._names[function] = (name, bool(name) and self._wants_name(name))
        return known

    def _wants_name(self, name: str) -> bool:
        if isinstance(self._patterns, bool):
            return self._patterns and name not in _LAYOUT | _UNFILLED
        return any(fnmatchcase(name, pattern) for pattern in self._patterns)

    def _wants(self, frame: Frame, path: str) -> bool:
        if not frame.wanted or frame.site.plain:
            return False
        wanted = self._paths.get(path)
        if wanted is None:
            wanted = self._paths[path] = self._recorder.plan.wants_path(path, Role.OUTPUT)
        return wanted

    def _frame(self) -> Frame:
        stack = self._recorder.here.stack
        return stack[-1] if stack else Frame(_OUTSIDE, self._recorder.now(), wanted=True)

    def _path(self, frame: Frame, name: str) -> str:
        occurrence = frame.occurrence(name)
        return f"{frame.site.path}::{name}" + (f".{occurrence}" if occurrence else "")

    def _fed_by(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[int, ...]:
        lineage = self._recorder.lineage
        if lineage is None:
            return ()
        return lineage.of(leaf for _, leaf in leaves((args, kwargs), torch.Tensor))


_OUTSIDE = Site("")  # operations outside every module and function are counted through


class _Mode(TorchFunctionMode):
    """Sends every torch call of one thread through `Operations.run`."""

    def __init__(self, operations: Operations) -> None:
        super().__init__()
        self._operations = operations

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        return self._operations.run(func, args, kwargs or {})
