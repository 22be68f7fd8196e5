"""The reference of a configuration, built once a run, in this process, to be run again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from parity.backends import Adapter, Backend, find, load, resolve
from parity.errors import BackendError, InputError
from parity.run.config import Config
from parity.store import open_capture
from parity.tensors import Role

if TYPE_CHECKING:
    from parity.localize.reference import Reference

__all__ = ["References", "reference_on", "refuse_another_run"]

# So many tensors of a run tell whether it is the one that a capture holds.
_SAMPLES = 12


class References:
    """Hands out the reference on each case; the program behind it is built at the first.

    Args:
        config: whose reference it is.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self._backend: Backend | None = None
        self._last: tuple[Path, Reference] | None = None

    def on(self, capture: Path) -> Reference:
        """The reference on the case that it ran in a capture of it.

        Raises:
            ParityError: it cannot be built here, or not run again operation by operation.
        """
        # Candidates come case by case, and the trace of a run is large: one is kept.
        if self._last is None or self._last[0] != capture:
            self._last = None
            self._last = (capture, reference_on(self._built(), capture))
        return self._last[1]

    def _built(self) -> Backend:
        if self._backend is None:
            config = self._config
            folders = [config.resolve(folder) for folder in (*config.subject.python_path, ".")]
            name = config.reference.backend
            _refuse_what_only_dumps(name, folders)
            self._backend = load(name, config.reference.options, python_path=folders)
        return self._backend


def reference_on(backend: Backend, capture: Path) -> Reference:
    """The reference that a backend runs, on the case and the noise of a capture of it.

    Raises:
        InputError: the capture does not say which case was run.
        BackendError: the backend cannot be run again operation by operation.
    """
    with open_capture(capture) as file:
        case = file.case
    if case is None:
        raise InputError(
            "does not say which case was run, so the reference cannot be run on it again",
            where=str(capture),
            hint="record it with `parity capture`, which stores the case",
        )
    from parity.localize.reference import Reference  # noqa: PLC0415 - loads torch

    return Reference.of_backend(backend, case, capture=capture)


def refuse_another_run(reference: Reference) -> None:
    """Compare some tensors of the reference's run, its last among them, with its capture.

    Raises:
        InputError: the program is not the one that was captured: what is wrong with the candidate
            could then not be told from what differs between the two.
    """
    from parity.localize.reproduce import Reproduction  # noqa: PLC0415
    from parity.localize.whole_run import forward  # noqa: PLC0415 - loads torch

    tape = reference.tape
    taps = [tap for tap in tape.taps if tap.key.role in (Role.OUTPUT, Role.TAP)]
    chosen = [*taps[:: max(1, len(taps) // _SAMPLES)], *taps[-1:]]
    reproduction = Reproduction(reference.capture, tape)
    for tap, tensor in zip(chosen, forward(tape, chosen), strict=True):
        reproduction.check(tap, tensor)


def _refuse_what_only_dumps(name: str, folders: Sequence[Path]) -> None:
    """Building a backend may load gigabytes; one whose class has no `rerun` need not be built."""
    found = find(name, python_path=folders)
    if isinstance(found, Adapter):
        found = resolve(found.factory)
    if isinstance(found, type) and not callable(getattr(found, "rerun", None)):
        raise BackendError(
            f"the reference's backend, {name!r}, only dumps tensors, and a diagnosis runs the "
            "reference again, operation by operation",
            hint="name a torch program as the reference",
        )
