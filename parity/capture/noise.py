"""The noise tape: every random draw of a run, recorded, or replayed from another run.

Drawing functions are wrapped where programs find them, instead of watched through a torch mode: a
mode costs every operation one to four microseconds, must be entered in each thread, and switches
off fused paths of torch; a wrapper costs nothing but when something is drawn.

Not seen are draws inside torch's own compiled code: dropout within
`scaled_dot_product_attention` or a recurrent layer, and alpha dropout.
"""

from __future__ import annotations

import functools
import sys
import threading
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

import numpy as np
import torch

from parity.capture.arrays import to_numpy
from parity.capture.draws import DRAWS, DROPOUTS, Draw
from parity.capture.origin import caller_line
from parity.capture.patching import Patches
from parity.capture.recorder import Recorder
from parity.capture.replay import Replay
from parity.capture.sites import Call
from parity.capture.values import UnrecordableError
from parity.tensors import NoiseDraw

__all__ = ["record_noise"]

# Packages that do not import torch's drawing functions by name; torch itself was patched by name.
_WITHOUT_DRAWS = frozenset({*sys.stdlib_module_names, "h5py", "numpy", "torch"} - {"__main__"})


def record_noise(
    recorder: Recorder,
    noise: bool | Sequence[NoiseDraw],
    patches: Patches,
    stack: ExitStack,
    *,
    exact: bool = True,
) -> None:
    """Record every draw of the run; replay `noise` when it holds draws.

    With `exact` off, a run may make fewer draws than the tape holds, or more, which it then makes
    itself.

    Raises:
        NoiseTapeError: while the run draws, or at its end, when it does not fit the draws.
    """
    if noise is False:
        return
    replay = None if noise is True else Replay(noise, exact=exact)
    tape = _Tape(recorder, replay)
    replacements: dict[int, Call] = {}
    for draw in (*DRAWS, *DROPOUTS):
        function = draw.function
        multiplies = draw.distribution == "dropout"
        wrapper = (_dropout if multiplies else _drawing)(tape, draw, function)
        patches.set(draw.owner, draw.name, wrapper)
        replacements[id(function)] = wrapper
    patches.substitute(replacements, skip=_WITHOUT_DRAWS)
    if replay is not None:
        stack.push(lambda kind, *_: replay.finish() if kind is None else None)


class _Tape:
    """Takes each draw as it is made."""

    def __init__(self, recorder: Recorder, replay: Replay | None) -> None:
        self.recorder = recorder
        self.replay = replay
        self._lock = threading.Lock()

    @property
    def idle(self) -> bool:
        """Whether draws go unseen now: after the recording, or within a draw that is seen."""
        return self.recorder.closed or self.recorder.here.quiet

    def take(
        self, draw: Draw, function: Call, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> torch.Tensor:
        """Draw, replace what was drawn when replaying, and record it."""
        # One draw at a time, so that the tape has the order of the generator.
        with self.recorder.here.unseen(), self._lock:
            drawn: torch.Tensor = function(*args, **kwargs)
            taped = self._record(draw, drawn, draw.parameters(args, kwargs))
            self.recorder.drawn(drawn, taped=taped)
        return drawn

    def _record(self, draw: Draw, drawn: torch.Tensor, parameters: dict[str, float]) -> bool:
        """Record a draw, and put in what the tape has for it; whether the tape had it, if any."""
        site, phase = caller_line(), self.recorder.here.phase
        try:
            array = to_numpy(drawn)
        except UnrecordableError as reason:
            self.recorder.skipped.setdefault(f"draw at {site}", str(reason))
            return True
        made = NoiseDraw(np.array(array), draw.distribution, site, phase, parameters)
        taped = made if self.replay is None else self.replay.next(made)
        if self.replay is not None and taped is not None:
            with torch.no_grad():
                drawn.copy_(_to_torch(taped.values, drawn))
        self.recorder.sink.noise(taped or made)
        return taped is not None


def _drawing(tape: _Tape, draw: Draw, function: Call) -> Call:
    @functools.wraps(function)
    def drawing(*args: Any, **kwargs: Any) -> Any:
        if tape.idle:
            return function(*args, **kwargs)
        return tape.take(draw, function, args, kwargs)

    return drawing


def _dropout(tape: _Tape, draw: Draw, function: Call) -> Call:
    in_place = draw.name.endswith("_")

    @functools.wraps(function)
    def dropout(input: torch.Tensor, p: float = 0.5, train: bool = True) -> torch.Tensor:  # noqa: A002
        if tape.idle or not train or p == 0.0:
            return function(input, p, train)  # type: ignore[no-any-return]
        # What torch computes itself, in two steps: the same draw, the same product.
        noise = tape.take(draw, function, (torch.ones_like(input), p, True), {})
        return input.mul_(noise) if in_place else input * noise

    return dropout


def _to_torch(values: np.ndarray[Any, np.dtype[Any]], like: torch.Tensor) -> torch.Tensor:
    if like.dtype is torch.bfloat16:
        return torch.from_numpy(np.array(values).view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(np.array(values))
