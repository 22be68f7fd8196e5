"""A candidate's shared library, loaded into this process."""

from __future__ import annotations

import ctypes
import json
import os
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from parity.backends import CaptureSink
from parity.errors import BackendError, InputError
from parity.tensors import Case, TapKey, TapPlan
from parity_native import abi
from parity_native.abi import Status
from parity_native.description import Description, read_description
from parity_native.listener import Listener, Tap
from parity_native.views import Array, Lent

__all__ = ["Candidate", "check_file"]

_FUNCTIONS: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "parity_abi_version": (ctypes.c_uint32, ()),
    "parity_open": (ctypes.c_int32, (ctypes.c_char_p, ctypes.POINTER(ctypes.c_void_p))),
    "parity_describe": (ctypes.c_char_p, (ctypes.c_void_p,)),
    "parity_run": (
        ctypes.c_int32,
        (ctypes.c_void_p, ctypes.POINTER(abi.Tensor), ctypes.c_size_t, abi.OnTap, ctypes.c_void_p),
    ),
    "parity_last_error": (ctypes.c_char_p, (ctypes.c_void_p,)),
    "parity_close": (None, (ctypes.c_void_p,)),
}
_HEADER = "adapters/native/include/parity_candidate.h"


def check_file(library: Path) -> None:
    """Raise `InputError` where there is no such file."""
    if not library.is_file():
        raise InputError(
            "no such library",
            where=str(library),
            hint=f"build it first; a relative path starts from the current folder, {Path.cwd()}",
        )


class Candidate:
    """An open candidate. It is closed when nothing refers to it any more.

    Args:
        library: the shared library.
        options: the configuration that it is opened with.

    Raises:
        InputError: there is no such file, or the candidate cannot use the options.
        BackendError: it is no library, of another ABI version, or fails to open.
    """

    def __init__(self, library: Path, options: Mapping[str, object]) -> None:
        check_file(library)
        self._where = str(library)
        self._library = self._load(library)
        self._handle = ctypes.c_void_p()
        config = _json(dict(options), "the options")
        status = self._library.parity_open(config, ctypes.byref(self._handle))
        if self._handle:
            # The library stays loaded: unloading is rarely safe. Nor is a process's end the time to
            # run foreign code: the system takes everything back then.
            close = weakref.finalize(self, self._library.parity_close, self._handle)
            close.atexit = False
        if status != Status.OK:
            raise self._failure(status, "parity_open")
        if not self._handle:
            raise self._broken("parity_open said PARITY_OK and gave no candidate")
        self.description = self._describe()

    def run(
        self,
        case: Case,
        plan: TapPlan,
        sink: CaptureSink,
        replacements: Mapping[TapKey, Array],
        max_bytes: int,
    ) -> None:
        """Run `case`, and hand what `plan` wants to `sink`, as views of the candidate's memory.

        Raises:
            InputError: the candidate cannot use the case, or a replacement does not fit.
            BackendError: it failed, or broke its contract.
        """
        lent = _inputs(case)
        inputs = (abi.Tensor * len(lent))(*(one.tensor for one in lent))
        listener = Listener(plan, sink, replacements, max_bytes)
        tap, process = Tap(listener), os.getpid()
        with tap.hearing():
            status = self._library.parity_run(self._handle, inputs, len(lent), tap.function, None)
        if os.getpid() != process:
            os._exit(1)  # the candidate forked, and this is the copy: it must not go on as parity
        if listener.error is None and status != Status.OK:
            raise listener.located(self._failure(status, "parity_run"))
        listener.finish()

    def _load(self, path: Path) -> ctypes.CDLL:
        try:
            library = ctypes.CDLL(str(path.resolve()))
        except OSError as error:
            raise BackendError(
                f"cannot be loaded: {error}",
                where=self._where,
                hint="`file` says what it is; `ldd` what it lacks",
            ) from error
        for name, (result, arguments) in _FUNCTIONS.items():
            if not hasattr(library, name):
                raise self._broken(f"exports no function {name}")
            function = getattr(library, name)
            function.restype, function.argtypes = result, arguments
            if name == "parity_abi_version" and (version := function()) != abi.ABI_VERSION:
                raise BackendError(
                    f"is built for version {version} of the ABI; this parity knows version "
                    f"{abi.ABI_VERSION}",
                    where=self._where,
                    hint=f"build it again with {_HEADER} of this version",
                )
        return library

    def _describe(self) -> Description:
        try:
            return read_description(self._library.parity_describe(self._handle))
        except ValueError as error:
            raise self._broken(
                f"parity_describe gave no JSON object with `name` and `facts.framework`: {error}"
            ) from error

    def _failure(self, status: int, function: str) -> BackendError | InputError:
        raw = self._library.parity_last_error(self._handle) if self._handle else None
        said = (raw or b"").decode(errors="replace") or "it did not say why"
        if status == Status.BAD_INPUT:
            return InputError(said, where=self._where)
        if status == Status.PANIC:
            return BackendError(f"the candidate panicked: {said}", where=self._where)
        if status == Status.ERROR:
            return BackendError(f"the candidate failed: {said}", where=self._where)
        return self._broken(f"{function} returned the status {status}, which means nothing here")

    def _broken(self, what: str) -> BackendError:
        return BackendError(what, where=self._where, hint=f"see {_HEADER}")


def _inputs(case: Case) -> list[Lent]:
    """A case as `parity_run` takes it; its arrays are lent without a copy."""
    draws = case.noise
    about = {
        "name": case.name,
        "inputs": dict(case.inputs),
        "seed": case.seed,
        "noise": None
        if draws is None
        else [
            {
                "distribution": draw.distribution,
                "site": draw.site,
                "phase": draw.phase,
                "parameters": dict(draw.parameters),
            }
            for draw in draws
        ],
    }
    text = np.frombuffer(_json(about, f"the case {case.name}"), np.uint8)
    arrays = [Lent(f"arrays.{name}", array) for name, array in case.arrays.items()]
    noise = [Lent(f"noise.{number}", draw.values) for number, draw in enumerate(draws or ())]
    return [Lent("case", text), *arrays, *noise]


def _json(value: Mapping[str, object], where: str) -> bytes:
    try:
        return json.dumps(value, allow_nan=False).encode()
    except (TypeError, ValueError) as error:
        raise InputError(
            f"cannot be handed to a candidate as JSON: {error}",
            where=where,
            hint="texts, finite numbers, truths, and lists and tables of them can",
        ) from None
