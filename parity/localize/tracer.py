"""Records a tape while the reference runs."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from parity.capture.active import activate, deactivate
from parity.capture.calls import CallRecorder
from parity.capture.functions import record_functions, wrap_phases
from parity.capture.modules import Interception
from parity.capture.noise import record_noise
from parity.capture.operations import operation_name
from parity.capture.options import Options
from parity.capture.origin import caller_line
from parity.capture.patching import Patches
from parity.capture.recorder import Recorder
from parity.capture.selection import ModuleSelection, named_roots
from parity.capture.sites import Call, Moment, Site
from parity.capture.threads import follow_threads
from parity.localize.tape import LEAF, Graph, Leaf, Node, Ref, Span, Tap, Value
from parity.tensors import NoiseDraw, Role, TapKey, TapPlan

__all__ = ["Intervention", "Operation", "Place", "Tracer", "trace_into"]

Operation = tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]


class Place(NamedTuple):
    """Which operation of a run this is.

    Attributes:
        path: of the call it runs in; empty outside all.
        phase: of that call.
        call: number of that call in its phase.
        name: of the operation.
        occurrence: how often an operation of that name ran in that call before.
    """

    path: str
    phase: str
    call: int
    name: str
    occurrence: int


# What to run instead of an operation of the live run; None to run it as it is.
Intervention = Callable[[Place, Operation], Operation | None]

_IN_PLACE = frozenset({
    "__setitem__", "__iadd__", "__isub__", "__imul__", "__itruediv__", "__ifloordiv__", "__imod__",
    "__ipow__", "__iand__", "__ior__", "__ixor__", "__ilshift__", "__irshift__", "__idiv__",
})  # fmt: skip
_OF_NO_VALUE = frozenset({"requires_grad_", "share_memory_", "pin_memory", "backward"})


@contextmanager
def trace_into(
    graph: Graph,
    modules: nn.Module | Mapping[str, nn.Module],
    options: Options,
    intervention: Intervention | None = None,
) -> Iterator[Tracer]:
    """Record the operations that run inside the `with` block into `graph`.

    Args:
        graph: empty lists.
        modules: the models by name, as `parity.capture.record_into` takes them.
        options: phases, steps, functions and noise; what concerns recording of tensors is ignored.
        intervention: puts other operations in the place of some while the program runs, so that
            what follows (lengths, branches) follows from them.
    """
    roots = named_roots(modules)
    with ExitStack() as stack:
        tracer = Tracer(graph, roots, intervention)
        activate(tracer)
        stack.callback(deactivate, tracer)
        stack.callback(setattr, tracer, "closed", True)
        patches = Patches()
        stack.callback(patches.remove)
        record_noise(tracer, options.noise, patches, stack, exact=intervention is None)
        calls = _Calls(tracer, states=False)
        steps: dict[str, set[str]] = {}
        for phase, path in options.steps.items():
            steps.setdefault(path, set()).add(phase)
        interception = Interception(calls)
        stack.callback(interception.remove)
        everything = TapPlan()
        interception.install(
            roots, everything, ModuleSelection(), inputs=True, every=True, steps=steps
        )
        record_functions(
            options.functions, calls, patches, roots, everything, inputs=True, steps=steps
        )
        wrap_phases(options.phases, tracer, patches, roots)
        follow_threads(tracer, patches, lambda: _Mode(tracer))
        stack.enter_context(_Mode(tracer))
        yield tracer


class _Nowhere:
    """A sink for a recorder that keeps nothing."""

    def describe(self, facts: Mapping[str, str | int | float | bool]) -> None:
        """Nothing is described."""

    def noise(self, draw: NoiseDraw) -> None:
        """Draws are leaves of the tape."""

    def record(self, path: str, array: Any, **_: Any) -> int | None:
        """Tensors are values of the tape."""


class Tracer(Recorder):
    """A recorder that keeps the operations instead of the tensors."""

    def __init__(
        self,
        graph: Graph,
        roots: Mapping[str, nn.Module],
        intervention: Intervention | None = None,
    ) -> None:
        super().__init__(_Nowhere())
        self.graph = graph
        self._roots = roots
        self._known: dict[int, tuple[weakref.ref[torch.Tensor], int]] = {}
        self._groups: dict[int, tuple[int, Any]] = {}
        self._next_group = 0
        self._leaf_groups: dict[int, list[int]] = {}
        self._counts: dict[tuple[str, Role, str, str], int] = {}
        self._occurrences: dict[tuple[int, str], int] = {}
        self._threads: dict[int, int] = {}
        self._lock = threading.RLock()
        self._names = _parameter_names(roots)
        self.spans = threading.local()
        self._intervention = intervention

    def put(
        self,
        path: str,
        leaf: Any,
        role: Role,
        slot: str,
        at: Moment,
        **_: Any,
    ) -> int | None:
        """Note that a value is captured under this name, now."""
        if self.closed or not isinstance(leaf, torch.Tensor):
            return None
        with self._lock:
            call = self._number(path, role, slot, at)
            value = self.value_of(leaf)
            key = TapKey(path, role, slot, at.phase, call)
            running = self.running
            span = running[-1] if running else -1
            self.graph.taps.append(Tap(key, value, len(self.graph.nodes), span, at.step))
        return None

    def drawn(self, tensor: torch.Tensor, *, taped: bool) -> None:
        """A tensor was drawn at random: from here on it is a leaf."""
        with self._lock:
            self._known.pop(id(tensor), None)
            value = self._leaf(tensor, copy=True)
            self.graph.draws.append(value)
            if not taped:
                self.graph.loose.append(value)

    @property
    def running(self) -> list[int]:
        """The calls that run in this thread, outermost first."""
        found: list[int] | None = getattr(self.spans, "running", None)
        if found is None:
            found = self.spans.running = []
        return found

    def open(
        self, site: Site, at: Moment, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> Span:
        """A call begins."""
        with self._lock:
            running, spans = self.running, self.graph.spans
            span = Span(
                len(spans),
                site.path,
                self._module(site.path),
                self.as_refs(args[site.skip :]),
                self.as_refs(dict(kwargs)),
                start=len(self.graph.nodes),
                parent=running[-1] if running else -1,
                phase=at.phase,
                call=at.call or 0,
                step=at.step,
                thread=self._threads.setdefault(threading.get_ident(), len(self._threads)),
            )
            spans.append(span)
        running.append(span.index)
        return span

    def close(self, span: Span, result: Any) -> None:
        """A call ended."""
        with self._lock:
            span.result = self.as_refs(result)
            span.stop = len(self.graph.nodes)

    def run(
        self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """Call a torch function and note it."""
        if self.closed or self.here.quiet:
            return function(*args, **kwargs)
        name = operation_name(function) or getattr(function, "__name__", "")
        if name == "__deepcopy__":
            function, name, args, kwargs = torch.clone, "clone", args[:1], {}
        place = self._place(name)
        if self._intervention is not None and name:
            operation = self._intervention(place, (function, args, kwargs))
            function, args, kwargs = operation or (function, args, kwargs)
        written = _written(function, args, kwargs)
        with self._lock:
            for tensor in written:
                self._keep_before_write(tensor)
            taken = self.as_refs(args), self.as_refs(kwargs)
        result = function(*args, **kwargs)
        if isinstance(result, bool | int | float | str | torch.dtype | torch.device | torch.Size):
            return result
        with self._lock:
            self._note(
                function, place, given=(args, kwargs), taken=taken, written=written, result=result
            )
        return result

    def _place(self, name: str) -> Place:
        """Where the operation of that name that begins now stands."""
        running = self.running
        index = running[-1] if running else -1
        with self._lock:
            occurrence = self._occurrences.get((index, name), 0)
            self._occurrences[index, name] = occurrence + 1
        if index < 0:
            return Place("", "", 0, name, occurrence)
        span = self.graph.spans[index]
        return Place(span.path, span.phase, span.call, name, occurrence)

    def _note(
        self,
        function: Callable[..., Any],
        place: Place,
        *,
        given: tuple[tuple[Any, ...], dict[str, Any]],
        taken: tuple[Any, Any],
        written: Sequence[torch.Tensor],
        result: Any,
    ) -> None:
        inputs = list(_tensors(given))
        made = [t for t in _tensors(result) if not any(t is one for one in inputs)]
        if (not made and not written) or place.name in _OF_NO_VALUE:
            return
        graph, index = self.graph, len(self.graph.nodes)
        running = self.running
        span = running[-1] if running else -1
        outputs = tuple(self._made(tensor, index, inputs) for tensor in made)
        read = tuple(dict.fromkeys(self.value_of(tensor) for tensor in inputs))
        graph.nodes.append(
            Node(
                index,
                function,
                place.name,
                taken[0],
                taken[1],
                self.as_refs(result),
                read,
                outputs,
                tuple(self.value_of(tensor) for tensor in written),
                span,
                place.occurrence,
                caller_line(),
            )
        )

    def value_of(self, tensor: torch.Tensor) -> int:
        """The value that a tensor is; a new leaf if no operation made it."""
        known = self._known.get(id(tensor))
        if known is not None and known[0]() is tensor:
            return known[1]
        return self._leaf(tensor, copy=False)

    def as_refs(self, value: Any) -> Any:
        """Nested arguments or results with references in the place of tensors."""
        if isinstance(value, torch.Tensor):
            return Ref(self.value_of(value))
        if isinstance(value, tuple):
            return tuple(self.as_refs(item) for item in value)
        if isinstance(value, list):
            return [self.as_refs(item) for item in value]
        if isinstance(value, dict):
            return {name: self.as_refs(item) for name, item in value.items()}
        if isinstance(value, slice):
            return slice(*self.as_refs((value.start, value.stop, value.step)))
        return value

    def _leaf(self, tensor: torch.Tensor, *, copy: bool) -> int:
        name = self._names.get(id(tensor), "")
        value = self._add(tensor, LEAF, self._group(tensor, ()), name)
        self.graph.values[value].trained = isinstance(tensor, nn.Parameter)
        kept = tensor.detach().clone() if copy else tensor.detach()
        self.graph.leaves[value] = Leaf(kept)
        if not copy:
            group = self.graph.values[value].group
            self._leaf_groups.setdefault(group, []).append(value)
        return value

    def _made(self, tensor: torch.Tensor, node: int, inputs: Sequence[torch.Tensor]) -> int:
        return self._add(tensor, node, self._group(tensor, inputs))

    def _add(self, tensor: torch.Tensor, node: int, group: int, name: str = "") -> int:
        values = self.graph.values
        values.append(Value(node, tuple(tensor.shape), tensor.dtype, group, name))
        self._known[id(tensor)] = (weakref.ref(tensor), len(values) - 1)
        return len(values) - 1

    def _group(self, tensor: torch.Tensor, inputs: Sequence[torch.Tensor]) -> int:
        """The group of a new value: that of an input whose memory it shares, else a new one."""
        place = _storage(tensor)
        if place is not None and place in self._groups:
            group, alive = self._groups[place]
            if any(_storage(one) == place for one in inputs) or alive() is not None:
                return group
        self._next_group += 1
        if place is not None:
            self._groups[place] = (self._next_group, weakref.ref(tensor))
        return self._next_group

    def _keep_before_write(self, tensor: torch.Tensor) -> None:
        """Copy what a leaf holds before it is overwritten for the first time."""
        group = self.graph.values[self.value_of(tensor)].group
        for value in self._leaf_groups.pop(group, ()):
            leaf = self.graph.leaves[value]
            leaf.tensor = leaf.tensor.clone()

    def _number(self, path: str, role: Role, slot: str, at: Moment) -> int:
        if at.call is not None:
            return at.call
        name = (path, role, slot, at.phase)
        self._counts[name] = self._counts.get(name, -1) + 1
        return self._counts[name]

    def _module(self, path: str) -> nn.Module | None:
        for root, model in self._roots.items():
            inner = path.removeprefix(root).removeprefix(".") if path.startswith(root) else None
            if inner is None:
                continue
            try:
                return model.get_submodule(inner if inner != "(root)" else "")
            except AttributeError:
                continue
        return None


class _Calls(CallRecorder):
    """Notes calls as spans of the tape."""

    def run(self, site: Site, inner: Call, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """Call `inner`, note it as a call of `site`, and return its result untouched."""
        tracer = self.recorder
        assert isinstance(tracer, Tracer)  # noqa: S101 - made by trace_into
        here = tracer.here
        with here.unseen():
            frame = self._enter(site, here)
            span = tracer.open(site, frame.at, args, kwargs)
            self._before(frame, args, kwargs)
        here.stack.append(frame)
        try:
            result = inner(*args, **kwargs)
        finally:
            here.stack.pop()
            tracer.running.pop()
        with here.unseen():
            tracer.close(span, result)
            tracer.running.append(span.index)
            self.record_result(frame, result, 0.0)
            tracer.running.pop()
        return result


class _Mode(TorchFunctionMode):
    """Sends every torch call of one thread through the tracer."""

    def __init__(self, tracer: Tracer) -> None:
        super().__init__()
        self._tracer = tracer

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        return self._tracer.run(func, args, kwargs or {})


def _tensors(value: Any) -> Iterator[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, tuple | list):
        for item in value:
            yield from _tensors(item)
    elif isinstance(value, dict):
        for item in value.values():
            yield from _tensors(item)
    elif isinstance(value, slice):
        yield from _tensors((value.start, value.stop, value.step))


def _written(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> tuple[torch.Tensor, ...]:
    """The tensors that an operation changes in place."""
    name = getattr(function, "__name__", "")
    if "out" in kwargs and kwargs["out"] is not None:
        return tuple(_tensors(kwargs["out"]))
    if name in _OF_NO_VALUE:
        return ()
    in_place = name in _IN_PLACE or (name.endswith("_") and not name.endswith("__"))
    if (in_place or kwargs.get("inplace") is True) and args:
        return tuple(_tensors(args[0]))
    return ()


def _storage(tensor: torch.Tensor) -> int | None:
    try:
        return int(tensor.untyped_storage()._cdata)
    except (AttributeError, NotImplementedError, RuntimeError):
        return None


def _parameter_names(roots: Mapping[str, nn.Module]) -> dict[int, str]:
    found: dict[int, str] = {}
    for root, model in roots.items():
        for name, tensor in (*model.named_parameters(), *model.named_buffers()):
            found.setdefault(id(tensor), ".".join(part for part in (root, name) if part))
    return found
