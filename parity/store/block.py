"""Many records of one tap at once: what a recorder of small tensors hands over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from parity.tensors import Role, TensorSpec, Tier

__all__ = ["RecordBlock"]

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, slots=True, eq=False)
class RecordBlock:
    """Records of one path, role, slot and specification, by column.

    Attributes:
        path: of all of them.
        role: of all of them.
        slot: of all of them.
        spec: type and shape of each tensor.
        tier: how much of each is kept.
        data: the tensors, shape `(n, *spec.shape)`; read only for tier `tensor`.
        columns: `call`, `order`, `step`, `thread`, `duration_s`, `time_s`, each of length n, as in
            `TapRecord`.
        phases: of each record.
        sources: of each record.
        producers: of each record.
        statistics: the fields of `TensorStatistics`, each of shape `(n,)`.
        digests: of each record, empty where none; strings, or bytes of shape `(n,)`.
    """

    path: str
    role: Role
    slot: str
    spec: TensorSpec
    tier: Tier
    data: Array
    columns: Mapping[str, Sequence[float] | Array]
    phases: Sequence[str]
    sources: Sequence[str]
    producers: Sequence[tuple[int, ...]]
    statistics: Mapping[str, Array]
    digests: Sequence[str] | Array

    def __len__(self) -> int:
        return len(self.phases)
