"""One line for a port that records itself: `with parity.record(...), tapping(model):`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version

from mlx import nn

from parity.capture import describe, tap
from parity.tensors import Role
from parity_mlx.arrays import Array
from parity_mlx.channels import Channels
from parity_mlx.hearing import Hearing
from parity_mlx.listening import listening

__all__ = ["tapping"]


@contextmanager
def tapping(
    model: nn.Module | Mapping[str, nn.Module], *, channels: str | Sequence[str] = "auto"
) -> Iterator[Channels]:
    """Record what the modules of `model` return, while a recording is on.

        with parity.record("port.h5"), parity_mlx.tapping(model):
            model(x)

    Args:
        model: a model, or models by the name that the reference has for them.
        channels: as the option of the backend: `auto`, `keep`, or globs over paths.

    Yields:
        What was moved from channels last to channels first: `.moved`.
    """
    chosen = Channels(channels)

    def record(path: str, slot: str, array: Array) -> None:
        tap(path, array, role=Role.OUTPUT, slot=slot)

    hearing = Hearing(chosen, lambda _path: True, record)
    with listening({"": model} if isinstance(model, nn.Module) else dict(model), hearing):
        yield chosen
    # Without this the capture would be one of torch, as others that are recorded in place.
    describe({"framework": "mlx", "framework_version": version("mlx"), **hearing.facts})
