"""Sees the calls of modules without changing them.

A call is intercepted in front of the module's own machinery, where `Module.compile` installs its
compiled call. That was preferred to forward hooks for three reasons, each with a test: a hook on
a `TransformerEncoderLayer` switches off its fused path, so that the recorded run computes other
numbers; hooks registered by others run inside and what they return is what is recorded; and a
copy or a pickle of the module made meanwhile does not carry our wrapper along. It also costs a
tenth of a microsecond a call instead of two.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from parity.capture.calls import CallRecorder
from parity.capture.leaf_calls import leaf_call
from parity.capture.operations import unwatched
from parity.capture.selection import ModuleSelection, walk
from parity.capture.sink import StoreSink
from parity.capture.sites import Call, Site
from parity.capture.states import positional_names
from parity.tensors import Role, TapPlan

__all__ = ["Interception"]

_SLOT = "_compiled_call_impl"

# These choose a fused path, with other rounding, when no function mode is on.
_FUSED = (nn.MultiheadAttention, nn.TransformerEncoder, nn.TransformerEncoderLayer)


class Interception:
    """Wrappers around the calls of modules, until `remove`.

    Attributes:
        sites: the wrapped modules by path.
    """

    def __init__(self, calls: CallRecorder) -> None:
        self.sites: dict[str, Site] = {}
        self._calls = calls
        self._wrapped: list[tuple[nn.Module, Any, Any]] = []

    def install(
        self,
        roots: Mapping[str, nn.Module],
        plan: TapPlan,
        selection: ModuleSelection,
        *,
        inputs: bool,
        every: bool,
        steps: Mapping[str, set[str]],
    ) -> None:
        """Wrap the modules that are wanted.

        Args:
            roots: models by name.
            plan: which paths and roles are wanted.
            selection: which classes and depths are wanted.
            inputs: whether arguments are recorded too.
            every: also wrap what is not wanted, so that operations know where they ran.
            steps: paths whose call begins a step -> the phases it does so in.
        """
        for path, module, depth in walk(roots):
            chosen = selection.wants(module, depth)
            site = Site(
                path,
                inputs=chosen and inputs and plan.wants_path(path, Role.INPUT),
                outputs=chosen and plan.wants_path(path, Role.OUTPUT),
                names=positional_names(module.forward),
                steps=steps.get(path, ()),
                plain=_is_plain(module),
            )
            if site.inputs or site.outputs or site.steps or every:
                short = not (every or site.inputs or site.steps or self._calls.states)
                self._wrap(module, site, short=short and _is_leaf(module), watched=every)

    def remove(self) -> None:
        """Take every wrapper off again."""
        while self._wrapped:
            module, wrapper, earlier = self._wrapped.pop()
            if module.__dict__.get(_SLOT) is not wrapper:
                continue  # somebody replaced it meanwhile: it is theirs now
            if earlier is None:
                del module.__dict__[_SLOT]
            else:
                module.__dict__[_SLOT] = earlier

    def _wrap(self, module: nn.Module, site: Site, *, short: bool, watched: bool) -> None:
        earlier = module.__dict__.get(_SLOT)
        inner = module._call_impl if earlier is None else earlier
        if watched and isinstance(module, _FUSED):
            inner = unwatched(inner)
        sink = self._calls.recorder.sink
        if short and isinstance(sink, StoreSink):
            wrapper = leaf_call(self._calls, site, inner, sink)
        else:
            wrapper = _recorded(self._calls, site, inner)
        # Not by setattr: a ScriptModule refuses new attributes.
        module.__dict__[_SLOT] = wrapper
        self._wrapped.append((module, wrapper, earlier))
        self.sites[site.path] = site


def _recorded(calls: CallRecorder, site: Site, inner: Call) -> Call:
    recorder = calls.recorder

    def call(*args: Any, **kwargs: Any) -> Any:
        if recorder.closed:
            return inner(*args, **kwargs)
        return calls.run(site, inner, args, kwargs)

    return call


def _is_plain(module: nn.Module) -> bool:
    """Whether operations inside the module say no more than its own result does."""
    return type(module).__module__.startswith("torch.nn.modules.") and _is_leaf(module)


def _is_leaf(module: nn.Module) -> bool:
    return next(module.children(), None) is None
