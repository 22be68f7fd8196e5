"""Sessions that give out intermediate values, a batch at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from parity.errors import BackendError
from parity_onnx.model import Model, Runtime, Session

__all__ = ["Part", "expose"]


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """Some of the values, and what gives them out.

    Attributes:
        values: their names.
        session: gives them out; None where the untouched model does.
        refused: why, for values that cannot be given out.
    """

    values: frozenset[str]
    session: Session | None = None
    refused: str = ""


def expose(model: Model, runtime: Runtime, values: Sequence[str], batch: int) -> Iterator[Part]:
    """Parts that together hold all `values`, in their order. One session is held at a time.

    Args:
        model: the model.
        runtime: how it is run.
        values: names of values, in execution order.
        batch: the most outputs that a session gets beyond the model's own.
    """
    own = {*model.outputs, *model.inputs}
    pending: list[str] = []
    quiet: list[str] = []
    for value in dict.fromkeys(values):
        (quiet if value in own else pending).append(value)
        if len(pending) == batch:
            yield from _parts(model, runtime, pending, quiet)
            pending, quiet = [], []
    yield from _parts(model, runtime, pending, quiet)


def _parts(
    model: Model, runtime: Runtime, more: Sequence[str], quiet: Sequence[str]
) -> Iterator[Part]:
    if not more:
        if quiet:
            yield Part(frozenset(quiet))
        return
    try:
        yield Part(frozenset((*more, *quiet)), model.session(runtime, more))
    except BackendError as error:
        if len(more) == 1:
            yield Part(frozenset(more), refused=error.what)
            yield from _parts(model, runtime, (), quiet)
            return
        half = len(more) // 2
        yield from _parts(model, runtime, more[:half], ())
        yield from _parts(model, runtime, more[half:], quiet)
