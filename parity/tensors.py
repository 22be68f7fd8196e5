"""The value types that every part of the library exchanges: keys, specifications, cases, plans.

Nothing here does work or loads more than numpy. What a capture holds by the ten thousand (keys,
statistics, records) are named tuples, which are made four times as fast as frozen dataclasses.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

import numpy as np

__all__ = [
    "Case",
    "NoiseDraw",
    "Role",
    "TapKey",
    "TapPlan",
    "TapRecord",
    "TensorSpec",
    "TensorStatistics",
    "Tier",
]

NO_STEP = -1


class Role(StrEnum):
    """What a recorded tensor was at its tap."""

    INPUT = "input"
    OUTPUT = "output"
    PARAM = "param"
    STATE = "state"
    TAP = "tap"


class Tier(StrEnum):
    """How much of a tensor is kept. Each tier includes what stands before it."""

    STATS = "stats"
    DIGEST = "digest"
    TENSOR = "tensor"


class TapKey(NamedTuple):
    """The name of one recorded tensor within a capture.

    Attributes:
        path: dotted path of the module, function or explicit tap (`flow_lm.out_norm`).
        role: input, output, param, state or tap.
        slot: which of several tensors of that role: empty for the first or only one, else its
            position (`1`), keyword (`text_embeddings`) or nested place (`1.key`).
        phase: the named stretch of the run (`generate`); empty when the run has no phases.
        call: how often this tap had run before in this phase, from 0.
    """

    path: str
    role: Role = Role.TAP
    slot: str = ""
    phase: str = ""
    call: int = 0

    @property
    def port(self) -> str:
        """Role and slot in one word: `output`, `output.1`, `input.text_embeddings`."""
        return f"{self.role}.{self.slot}" if self.slot else str(self.role)

    def __str__(self) -> str:
        phase = f"@{self.phase}" if self.phase else ""
        return f"{self.path}:{self.port}{phase}#{self.call}"


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """Element type and shape of a tensor.

    Attributes:
        dtype: numpy's name of the element type, with `ml_dtypes`' names beside it (`bfloat16`).
        shape: the extent of each axis; `()` for a scalar.
    """

    dtype: str
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    def __str__(self) -> str:
        return f"{self.dtype}[{','.join(map(str, self.shape))}]"


class TensorStatistics(NamedTuple):
    """Statistics of one tensor; mean to L2 are over its finite elements, NaN where there are none.

    For complex tensors they are those of the magnitude; for bool, of 0 and 1.
    """

    count: int  # type: ignore[assignment]  # a tuple's method of that name is not missed
    mean: float
    std: float
    min: float
    max: float
    l2: float
    nan_count: int
    inf_count: int
    zero_count: int


class TapRecord(NamedTuple):
    """One recorded tensor, without its data.

    Attributes:
        key: its name.
        spec: its type and shape.
        order: its position in the run's execution order, from 0; unique within a capture.
        step: the autoregressive step it belongs to, or -1.
        source: the line that produced it (`mlp.py:95`), or empty.
        producers: the `order` of the recorded tensors that fed it.
        duration_s: wall time of the call that produced it, or NaN.
        thread: number of the thread it ran on, in order of first appearance.
        tier: how much of it was kept.
        statistics: of its elements, or None where the writer computed none.
        digest: hexadecimal xxh3-128 of its C-ordered bytes, or empty.
        time_s: when it was recorded, in seconds since the recording began, or NaN.
    """

    key: TapKey
    spec: TensorSpec
    order: int
    step: int = NO_STEP
    source: str = ""
    producers: tuple[int, ...] = ()
    duration_s: float = math.nan
    thread: int = 0
    tier: Tier = Tier.TENSOR
    statistics: TensorStatistics | None = None
    digest: str = ""
    time_s: float = math.nan


@dataclass(frozen=True, slots=True, eq=False)
class NoiseDraw:
    """One random draw of a run, as it came out.

    Attributes:
        values: the drawn tensor, of any shape.
        distribution: `normal`, `uniform`, `bernoulli`, `multinomial`, ...: the drawing function.
        site: the source line that asked for it (`flow_lm.py:148`).
        phase: the phase it was drawn in.
        parameters: of the distribution, as far as they are numbers (`mean`, `std`).
    """

    values: np.ndarray[Any, np.dtype[Any]]
    distribution: str
    site: str = ""
    phase: str = ""
    parameters: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """One input of a subject.

    Attributes:
        name: unique among the subject's cases.
        inputs: JSON values (text, voice, temperature).
        arrays: input tensors by name, of any shape.
        seed: of the run's random generator.
        noise: draws to replay instead of drawing, in order; None to draw.
    """

    name: str
    inputs: Mapping[str, Any] = field(default_factory=dict)
    arrays: Mapping[str, np.ndarray[Any, np.dtype[Any]]] = field(default_factory=dict)
    seed: int = 0
    noise: tuple[NoiseDraw, ...] | None = None

    def with_noise(self, noise: tuple[NoiseDraw, ...]) -> Case:
        """The same case, replaying `noise`."""
        return replace(self, noise=noise)

    def digest(self) -> str:
        """Hexadecimal SHA-256 over everything the run can depend on, noise tape included."""
        text = json.dumps(
            {"inputs": dict(self.inputs), "seed": self.seed}, sort_keys=True, ensure_ascii=True
        )
        sha = hashlib.sha256(text.encode())
        for name in sorted(self.arrays):
            _update(sha, name, self.arrays[name])
        sha.update(b"tape" if self.noise is not None else b"drawn")
        for draw in self.noise or ():
            _update(sha, draw.distribution, draw.values)
        return sha.hexdigest()


def _update(sha: hashlib._Hash, label: str, array: np.ndarray[Any, np.dtype[Any]]) -> None:
    sha.update(f"{label}:{array.dtype}:{array.shape}".encode())
    sha.update(np.ascontiguousarray(array).tobytes())


@dataclass(frozen=True, slots=True)
class TapPlan:
    """Which tensors to record, and how much of each. Pushed down to the backend.

    Attributes:
        include: glob patterns over paths, of which one must match.
        exclude: glob patterns over paths, of which none may match.
        roles: the roles to record; None for all.
        phases: the phases to record; None for all.
        calls: half-open range of call numbers `(first, stop)`; None for all.
        steps: half-open range of step numbers `(first, stop)`; None for all.
        tier: how much to keep of each.
    """

    include: tuple[str, ...] = ("*",)
    exclude: tuple[str, ...] = ()
    roles: frozenset[Role] | None = None
    phases: frozenset[str] | None = None
    calls: tuple[int, int] | None = None
    steps: tuple[int, int] | None = None
    tier: Tier = Tier.TENSOR

    def wants_path(self, path: str, role: Role) -> bool:
        """Whether any call of this tap can be wanted; callers may cache the answer."""
        if self.roles is not None and role not in self.roles:
            return False
        if not any(fnmatchcase(path, pattern) for pattern in self.include):
            return False
        return not any(fnmatchcase(path, pattern) for pattern in self.exclude)

    def wants_call(self, phase: str, call: int, step: int = NO_STEP) -> bool:
        """Whether this call of a wanted tap is wanted."""
        if self.phases is not None and phase not in self.phases:
            return False
        if self.calls is not None and not self.calls[0] <= call < self.calls[1]:
            return False
        return self.steps is None or self.steps[0] <= step < self.steps[1]

    def wants(self, key: TapKey, step: int = NO_STEP) -> bool:
        """Whether the tensor named `key` is to be recorded."""
        return self.wants_path(key.path, key.role) and self.wants_call(key.phase, key.call, step)
