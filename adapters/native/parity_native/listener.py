"""Hears what a candidate names while it runs: filters, counts, replaces, and records."""

from __future__ import annotations

import ctypes
import threading
from collections import Counter
from collections.abc import Mapping

import numpy as np

from parity.backends import CaptureSink
from parity.errors import BackendError, InputError
from parity.tensors import NoiseDraw, Role, TapKey, TapPlan
from parity_native import abi
from parity_native.views import Array, Lent, array_of, text_at

__all__ = ["Listener"]


class Listener:
    """The tap of one run. Nothing that goes wrong in it gets into the candidate.

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
        self._lent: Lent | None = None
        self._lock = threading.Lock()
        self._count = 0
        self._last: TapKey | None = None
        self._over = False
        self.error: BaseException | None = None
        self.function = abi.OnTap(self._hear)

    def finish(self) -> None:
        """The run is over: raise what went wrong in the tap, or a replacement that found no place.

        Raises:
            InputError: a replacement was for a tap that did not come.
        """
        with self._lock:
            self._over = True
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

    def _hear(self, _: int, tap: object, replacement: object) -> int:
        # An exception that left this function would be printed and forgotten.
        try:
            with self._lock:
                return self._answer(tap, replacement)
        except BaseException as error:
            self.error = self.error or error
            return abi.ANSWER_STOP

    def _answer(self, tap: object, replacement: object) -> int:
        if self._over or self.error is not None:
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
        if (chosen.dtype, chosen.shape) != (array.dtype, array.shape):
            raise InputError(
                f"the replacement is {chosen.dtype}{list(chosen.shape)}; "
                f"the tap is {array.dtype}{list(array.shape)}",
                where=str(key),
            )
        # Kept until the next call of the tap: the candidate reads it after this one.
        self._lent = Lent(key.path, chosen)
        ctypes.memmove(
            replacement,  # type: ignore[arg-type]
            ctypes.byref(self._lent.tensor),
            ctypes.sizeof(abi.Tensor),
        )
        return chosen
