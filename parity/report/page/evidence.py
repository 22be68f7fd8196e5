"""What a page shows beside the numbers of a comparison: tensors, sounds, where the runs ran."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from parity.localize import Localization  # loads torch

__all__ = ["Evidence", "Sound", "TensorPair"]

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, slots=True, eq=False)
class Sound:
    """One signal of both sides, to look at and to listen to.

    Attributes:
        title: what it is called.
        reference: samples of shape `(n,)`, full scale at 1.
        candidate: samples of shape `(m,)`, full scale at 1.
        sample_rate: of both, in hertz.
    """

    title: str
    reference: Array
    candidate: Array
    sample_rate: int


@dataclass(frozen=True, slots=True, eq=False)
class TensorPair:
    """The tensors behind one row of a comparison.

    Attributes:
        row: the row's place in the result's table.
        reference: of any shape.
        candidate: of the same shape.
    """

    row: int
    reference: Array
    candidate: Array


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """What a page shows beside the numbers.

    Attributes:
        tensors: a few of the compared tensors, the most telling first.
        sounds: signals to listen to.
        environments: of both runs, by side, as their captures state them.
        localization: for every tensor whether its error enters there; None where nobody measured
            that. Without it, the taps that a diagnosis names count as such.
        edges: `(from, to)` taps of the reference: one's tensor fed the other's.
    """

    tensors: tuple[TensorPair, ...] = ()
    sounds: tuple[Sound, ...] = ()
    environments: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    localization: Localization | None = None
    edges: tuple[tuple[str, str], ...] = ()
