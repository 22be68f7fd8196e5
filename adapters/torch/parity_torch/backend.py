"""Runs a torch program under a recorder."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path

import torch

from parity.backends import Capabilities, CaptureSink
from parity.capture import Options, Recorder, record_into, tap
from parity.errors import ConfigError
from parity.tensors import Case, Role, TapPlan
from parity_torch.build import build_program

__all__ = ["TorchBackend"]

Recording = Callable[[Mapping[str, torch.nn.Module], Options], AbstractContextManager[Recorder]]


class TorchBackend:
    """A PyTorch implementation, run in this process."""

    name = "torch"

    def __init__(
        self,
        *,
        program: object,
        python_path: str | Path | Sequence[str | Path] = ".",
        threads: int | str = 1,
        operations: bool | str | Sequence[str] = False,
        states: bool | str = False,
        params: bool | str = True,
        tap_classes: str | Sequence[str] = "*",
        tap_depth: int | str | None = None,
        tap_leaves: bool | str = False,
        **program_options: object,
    ) -> None:
        """Build the program; what each option means stands in `parity_torch.ADAPTER.options`.

        Raises:
            BackendError: the program cannot be found, built, or run by us.
            ConfigError: an option cannot be used.
        """
        folders = (python_path,) if isinstance(python_path, str | Path) else tuple(python_path)
        self._threads = _count("threads", threads)
        self._operations = _globs(operations)
        self._states = _switch("states", states)
        self._params = _switch("params", params)
        self._classes = _listed(tap_classes)
        self._depth = None if tap_depth is None else _count("tap_depth", tap_depth, least=0)
        self._leaves = _switch("tap_leaves", tap_leaves)
        with _threads(self._threads):
            self._program = build_program(program, program_options, folders)

    def capabilities(self) -> Capabilities:
        """It records states too; where it runs is the program's affair."""
        return Capabilities(states=self._states)

    def capture(self, case: Case, plan: TapPlan, sink: CaptureSink) -> None:
        """Run `case` with its seed and noise, and record what `plan` wants."""
        sink.describe({"framework": "torch", "framework_version": torch.__version__})
        sink.describe({"implementation": self._program.name, **self._program.facts})
        sink.describe({"threads": self._threads})
        recorder = self.rerun(case, partial(record_into, sink), plan)
        if recorder.skipped:
            skipped = (f"{port} ({reason})" for port, reason in recorder.skipped.items())
            sink.describe({"skipped": "; ".join(skipped)})

    def rerun(self, case: Case, recording: Recording, plan: TapPlan | None = None) -> Recorder:
        """Run `case` with its seed and noise while `recording` of the modules is on.

        Threads, generators and modes of torch are as before afterwards.

        Args:
            case: what to run.
            recording: given the modules by name and the options of a recording, a context in
                which that recorder hears the run.
            plan: what is wanted; everything by default.
        """
        program, wanted = self._program, plan or TapPlan()
        # Not inside: the run starts when the recorder is in place.
        with _threads(self._threads), torch.random.fork_rng(), torch.no_grad():
            torch.manual_seed(case.seed)
            with recording(program.modules, self._options(case, wanted)) as recorder:
                for name, value in program.run(case).items():
                    if wanted.wants_path(name, Role.OUTPUT):
                        tap(name, value, role=Role.OUTPUT)
        return recorder

    def _options(self, case: Case, plan: TapPlan) -> Options:
        program = self._program
        return Options(
            plan=plan,
            functions=program.functions,
            operations=self._operations,
            phases=program.phases,
            steps=program.steps,
            noise=True if case.noise is None else case.noise,
            states=self._states,
            params=self._params,
            classes=self._classes,
            depth=self._depth,
            leaves=self._leaves,
        )


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _count(option: str, given: int | str, *, least: int = 1) -> int:
    try:
        count = int(given)
    except ValueError as error:
        raise ConfigError(f"not a whole number: {given!r}", where=option) from error
    if count < least:
        raise ConfigError(f"needs at least {least}, got {count}", where=option)
    return count


_WORDS: Mapping[object, bool] = {
    True: True, "true": True, "yes": True, "1": True,
    False: False, "false": False, "no": False, "0": False,
}  # fmt: skip


def _switch(option: str, given: bool | str) -> bool:
    word = given.lower() if isinstance(given, str) else given
    if word not in _WORDS:
        raise ConfigError(f"neither true nor false: {given!r}", where=option)
    return _WORDS[word]


def _globs(given: bool | str | Sequence[str]) -> bool | Sequence[str]:
    if not isinstance(given, bool | str):
        return tuple(given)
    word = given.lower() if isinstance(given, str) else given
    return _WORDS[word] if word in _WORDS else _listed(str(given))


def _listed(given: str | Sequence[str]) -> tuple[str, ...]:
    return tuple(given.split(",")) if isinstance(given, str) else tuple(given)
