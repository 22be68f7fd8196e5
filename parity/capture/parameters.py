"""Records digests and statistics of parameters and buffers, so that two runs' weights compare."""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn

from parity.capture.recorder import Recorder
from parity.capture.selection import walk
from parity.capture.sites import Moment
from parity.tensors import NO_STEP, Role

__all__ = ["record_parameters"]

BEFORE = Moment("", 0, NO_STEP)  # the run begins


def record_parameters(recorder: Recorder, roots: Mapping[str, nn.Module]) -> None:
    """Record each parameter and buffer once, under the path of the module that holds it first."""
    seen: set[int] = set()
    for path, module, _ in walk(roots):
        own = [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]
        for name, tensor in own:
            if id(tensor) not in seen and recorder.plan.wants_path(path, Role.PARAM):
                seen.add(id(tensor))
                recorder.put(path, tensor, Role.PARAM, name, BEFORE)
