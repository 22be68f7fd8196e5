"""Installs everything that records a run, and takes it off again."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from parity.backends.protocol import CaptureSink
from parity.capture.active import activate, deactivate
from parity.capture.options import Options
from parity.capture.recorder import Recorder

if TYPE_CHECKING:
    from torch import nn

__all__ = ["record_into"]


@contextmanager
def record_into(
    sink: CaptureSink,
    modules: nn.Module | Mapping[str, nn.Module] | None = None,
    options: Options | None = None,
) -> Iterator[Recorder]:
    """Record what runs inside the `with` block into `sink`.

    Args:
        sink: where records go; it decides again by its own plan.
        modules: a model, or models by the name their paths begin with; none for a program that
            calls `parity.tap` itself.
        options: what to record.

    Raises:
        ConfigError: an option names something that does not exist.
        InputError: another recording is on.
        NoiseTapeError: the run does not draw what the replayed noise holds.
    """
    chosen = options or Options()
    with ExitStack() as stack:
        recorder = Recorder(sink, chosen.plan)
        activate(recorder)
        stack.callback(deactivate, recorder)
        stack.callback(setattr, recorder, "closed", True)
        if modules or chosen.functions or chosen.phases or "torch" in sys.modules:
            from parity.capture.torch_recording import install  # noqa: PLC0415

            install(recorder, modules or {}, chosen, stack)
        yield recorder
