"""Hears what a candidate names while it runs: filters, counts, replaces, and records."""

from __future__ import annotations

import ctypes
import os
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import numpy as np

from parity.backends import CaptureSink
from parity.errors import BackendError, InputError
from parity.tensors import NoiseDraw, Role, TapKey, TapPlan
from parity_native import abi
from parity_native.views import Array, Lent, array_of, text_at

__all__ = ["Listener", "Tap"]


class Listener:
    """What is heard of one run.

    Args:
        plan: what is wanted.
        sink: where it goes. Arrays that it is handed are the candidate's own memory.
        replacements: what to put in a tap's place.
        max_bytes: largest tensor to believe in.

    Attributes:
        error: what went wrong; the candidate was told to stop.
    """

    def __init__(
        self,
        plan: TapPlan,
        sink: CaptureSink,
        replacements: Mapping[TapKey, Array],
        max_bytes: int,
    ) -> None:
        self._plan = plan
        self._sink = sink
        self._left = dict(replacements)
        self._replaced = frozenset((key.path, key.role) for key in replacements)
        self._max_bytes = max_bytes
        self._wanted: dict[tuple[str, Role], bool] = {}
        self._calls: Counter[TapKey] = Counter()
        self._lent: list[Lent] = []
        self._count = 0
        self._last: TapKey | None = None
        self.error: BaseException | None = None

    def finish(self) -> None:
        """The run is over: raise what went wrong in the tap, or a replacement that found no place.

        Raises:
            InputError: a replacement was for a tap that did not come.
        """
        if self.error is not None:
            raise self.located(self.error)
        if self._left:
            raise InputError(
                f"the run has no tap {next(iter(self._left))}, so it cannot be replaced",
                hint="`parity show` lists what a capture of this candidate holds",
            )

    def located(self, error: BaseException) -> BaseException:
        """`error`, saying also how far the run had come where the candidate is at fault."""
        if not isinstance(error, BackendError):
            return error
        seen = f"after {self._count} taps, the last of them {self._last}"
        seen = seen if self._count else "before its first tap"
        return BackendError(f"{error.what}, {seen}", where=error.where, hint=error.hint)

    def hear(self, tap: object, replacement: object) -> int:
        """Take one call of the tap, and say what the candidate is to do next."""
        if self.error is not None:
            return abi.ANSWER_STOP
        if not tap:
            raise BackendError("the candidate called the tap with NULL", where="a tap")
        given = tap.contents  # type: ignore[attr-defined]  # a pointer to abi.Tap
        path = text_at(given.tensor.name, "a name")
        if not path:
            raise BackendError("the candidate called the tap without a name", where="a tap")
        if given.kind == abi.KIND_NOISE:
            return self._noise(given, path)
        return self._tensor(given, path, replacement)

    def _noise(self, given: abi.Tap, path: str) -> int:
        values = np.array(array_of(given.tensor, path, self._max_bytes))
        source, phase = text_at(given.source, "a source"), text_at(given.phase, "a phase")
        self._sink.noise(NoiseDraw(values, path, source, phase))
        return abi.ANSWER_CONTINUE

    def _tensor(self, given: abi.Tap, path: str, replacement: object) -> int:
        role = abi.ROLES.get(given.role)
        if role is None:
            raise BackendError(f"the candidate used the unknown role {given.role}", where=path)
        wanted = self._wants(path, role)
        if given.kind == abi.KIND_ASK:
            return abi.ANSWER_CONTINUE if wanted else abi.ANSWER_SKIP
        if given.kind != abi.KIND_TENSOR:
            raise BackendError(f"the candidate used the unknown kind {given.kind}", where=path)
        if given.step < -1:
            raise BackendError(
                f"the candidate used the step {given.step}; steps count from 0, -1 is none",
                where=path,
            )
        return self._take(given, path, role, replacement) if wanted else abi.ANSWER_CONTINUE

    def _wants(self, path: str, role: Role) -> bool:
        found = self._wanted.get((path, role))
        if found is None:
            found = self._plan.wants_path(path, role) or (path, role) in self._replaced
            self._wanted[path, role] = found
        return found

    def _take(self, given: abi.Tap, path: str, role: Role, replacement: object) -> int:
        slot, phase = text_at(given.slot, "a slot"), text_at(given.phase, "a phase")
        tap = TapKey(path, role, slot, phase)
        key = tap._replace(call=self._calls[tap])
        self._calls[tap] += 1
        chosen = self._left.pop(key, None)
        if chosen is None and not self._plan.wants(key, given.step):
            return abi.ANSWER_CONTINUE
        array = array_of(given.tensor, path, self._max_bytes)
        if chosen is not None:
            array = self._put(chosen, array, key, replacement)
        if self._plan.wants(key, given.step):
            self._record(key, array, given)
        return abi.ANSWER_CONTINUE if chosen is None else abi.ANSWER_REPLACE

    def _record(self, key: TapKey, array: Array, given: abi.Tap) -> None:
        self._sink.record(
            key.path,
            array,
            role=key.role,
            slot=key.slot,
            phase=key.phase,
            call=key.call,
            step=given.step,
            source=text_at(given.source, "a source"),
        )
        self._count += 1
        self._last = key

    def _put(self, chosen: Array, array: Array, key: TapKey, replacement: object) -> Array:
        if not replacement:
            raise InputError("the candidate cannot replace this tap", where=str(key))
        chosen = chosen.astype(chosen.dtype.newbyteorder("="), copy=False)
        if (chosen.dtype, chosen.shape) != (array.dtype, array.shape):
            raise InputError(
                f"the replacement is {chosen.dtype}{list(chosen.shape)}; "
                f"the tap is {array.dtype}{list(array.shape)}",
                where=str(key),
            )
        # Kept to the end of the run: another thread may call the tap while this one still reads.
        lent = Lent(key.path, chosen)
        self._lent.append(lent)
        ctypes.memmove(
            replacement,  # type: ignore[arg-type]
            ctypes.byref(lent.tensor),
            ctypes.sizeof(abi.Tensor),
        )
        return chosen


class Tap:
    """The function that the candidate calls. Nothing that goes wrong in it gets into the candidate.

    Threads of the candidate may call it when the run is over, so it is kept for ever; the listener,
    and with it all that was heard, is not.

    Attributes:
        function: for `parity_run`.
    """

    def __init__(self, listener: Listener) -> None:
        """Hear for `listener`, as long as `hearing` lasts."""
        self._listener: Listener | None = listener
        self._lock = threading.Lock()
        self._process = os.getpid()
        self._hook = sys.unraisablehook
        self.function = abi.OnTap(self._call)
        _kept.append(self)

    @contextmanager
    def hearing(self) -> Iterator[None]:
        """Until it is left, calls are heard; afterwards they are told to stop."""
        self._hook, sys.unraisablehook = sys.unraisablehook, self._unraisable
        try:
            yield
        finally:
            sys.unraisablehook = self._hook
            with self._lock:
                self._listener = None

    def _call(self, _: int, tap: object, replacement: object) -> int:
        # An exception that left this function would be printed and forgotten.
        try:
            # A process that the candidate forked off holds the same files; it is not to write them.
            if os.getpid() != self._process:
                return abi.ANSWER_STOP
            with self._lock:
                return self._listener.hear(tap, replacement) if self._listener else abi.ANSWER_STOP
        except BaseException as error:
            self._failed(error)
            return abi.ANSWER_STOP

    def _unraisable(self, found: sys.UnraisableHookArgs) -> None:
        # Ctrl-C, or a test's alarm, can come on the way into `_call`: the tensor would be missing.
        if found.object == self._call and found.exc_value is not None:
            self._failed(found.exc_value)
        else:
            self._hook(found)

    def _failed(self, error: BaseException) -> None:
        if self._listener is not None:
            self._listener.error = self._listener.error or error


_kept: list[Tap] = []
