"""Runs MLX programs and records what their modules return."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

import mlx.core as mx

from parity.backends import Capabilities, CaptureSink
from parity.errors import BackendError
from parity.tensors import Case, Role, TapPlan
from parity_mlx.arrays import Array, to_numpy
from parity_mlx.channels import Channels
from parity_mlx.hearing import Hearing
from parity_mlx.listening import listening
from parity_mlx.program import build_program

__all__ = ["MlxBackend"]


class MlxBackend:
    """An MLX port, its modules' calls recorded in place."""

    name = "mlx"

    def __init__(
        self,
        *,
        program: object,
        python_path: str | Path | Sequence[str | Path] = (),
        prefix: str = "",
        channels: str | Sequence[str] = "auto",
        inputs: Mapping[str, Sequence[int]] | None = None,
        **options: object,
    ) -> None:
        """Take the options; what each means stands in `parity_mlx.ADAPTER.options`.

        Raises:
            BackendError: the program cannot be found, or is none.
            ConfigError: it does not take the options.
        """
        folders = (python_path,) if isinstance(python_path, str | Path) else tuple(python_path)
        self._channels = channels
        self._program = build_program(
            program, options, prefix=prefix, inputs=inputs, python_path=folders
        )

    def capabilities(self) -> Capabilities:
        """It records; where it runs is MLX's affair."""
        return Capabilities(devices=(_device(),))

    def capture(self, case: Case, plan: TapPlan, sink: CaptureSink) -> None:
        """Run `case` and record what `plan` wants."""
        program = self._program
        sink.describe({"framework": "mlx", "framework_version": version("mlx")})
        name = getattr(program, "name", "") or type(next(iter(program.modules.values()))).__name__
        sink.describe({"implementation": str(name), "device": _device()})
        sink.describe(dict(getattr(program, "facts", {})))

        def wants(path: str) -> bool:
            return plan.wants_path(path, Role.OUTPUT)

        def record(path: str, slot: str, array: Array) -> None:
            sink.record(path, array, role=Role.OUTPUT, slot=slot)

        hearing = Hearing(Channels(self._channels), wants, record)
        mx.random.seed(case.seed)
        with listening(program.modules, hearing):
            for output, value in (program.run(case) or {}).items():
                if wants(output):
                    record(output, "", _returned(output, value))
        sink.describe(hearing.facts)


def _returned(output: str, value: object) -> Array:
    if not isinstance(value, mx.array):
        raise BackendError(
            f"run(case) returned a {type(value).__name__} as {output!r}; needed are arrays of MLX",
            where="program",
        )
    return to_numpy(value)


def _device() -> str:
    return str(mx.default_device().type).rpartition(".")[2]
