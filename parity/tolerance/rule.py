"""A rule: what a tap's metrics must fulfil to be accepted."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any, Literal

from parity.errors import ConfigError
from parity.tolerance.floors import dtype_floor

__all__ = ["BOUNDS", "Rule"]

# Bound, metric it applies to, and whether the metric must not exceed it or not fall below it.
BOUNDS: tuple[tuple[str, str, Literal["<=", ">="]], ...] = (
    ("max_rel_l2", "rel_l2", "<="),
    ("max_rel_linf", "rel_linf", "<="),
    ("max_abs", "max_abs", "<="),
    ("max_rmse", "rmse", "<="),
    ("max_ulp", "max_ulp", "<="),
    ("max_mismatch_share", "mismatch_share", "<="),
    ("min_cosine", "cosine", ">="),
    ("min_pearson", "pearson", ">="),
    ("min_snr_db", "snr_db", ">="),
)

# Devices that flush subnormal float32 numbers to zero are not at fault.
SMALLEST_NORMAL_FLOAT32 = 2.0**-126


@dataclass(frozen=True, slots=True)
class Rule:
    """Bounds on the metrics of a tap. Without any, its error is measured against its noise floor.

    With bounds, all of them must hold, and the noise floor only decides what the verdict is
    called. A metric that is NaN fulfils no bound; tensors with the same bits fulfil all.

    Attributes:
        max_rel_l2: of `Metrics.rel_l2`.
        max_rel_linf: of `Metrics.rel_linf`.
        max_abs: of `Metrics.max_abs`.
        max_rmse: of `Metrics.rmse`.
        max_ulp: of `Metrics.max_ulp`.
        max_mismatch_share: of `Metrics.mismatch_share`, counted with `rtol` and `atol`; 0 when
            one of these is given and this is not.
        min_cosine: of `Metrics.cosine`.
        min_pearson: of `Metrics.pearson`.
        min_snr_db: of `Metrics.snr_db`.
        rtol: relative tolerance of an element.
        atol: absolute tolerance of an element.
        exact: only the same bits are accepted.
        noise_factor: how many times the noise floor still counts as noise.
        precision: the dtype that the candidate computes in, whatever it dumps (`float16`): the
            noise floor of taps that have one is at least that of this dtype.
        negligible_abs: an error not above this anywhere counts as noise, however large it is
            beside a reference of (almost) zeros.
        any_dtype: compare tensors whose dtypes differ, rather than to report that they do.
    """

    max_rel_l2: float | None = None
    max_rel_linf: float | None = None
    max_abs: float | None = None
    max_rmse: float | None = None
    max_ulp: float | None = None
    max_mismatch_share: float | None = None
    min_cosine: float | None = None
    min_pearson: float | None = None
    min_snr_db: float | None = None
    rtol: float | None = None
    atol: float | None = None
    exact: bool = False
    noise_factor: float = 2.0
    precision: str = ""
    negligible_abs: float = SMALLEST_NORMAL_FLOAT32
    any_dtype: bool = False

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name in {"exact", "any_dtype"}:
                _check_flag(field.name, value)
            elif field.name == "precision":
                _check_precision(value)
            elif value is not None:
                _check_number(field.name, value)

    @property
    def bounds(self) -> tuple[tuple[str, Literal["<=", ">="], float], ...]:
        """The bounds that are set: metric, direction, limit."""
        named = ((metric, way, self._limit(bound)) for bound, metric, way in BOUNDS)
        return tuple((metric, way, limit) for metric, way, limit in named if limit is not None)

    def _limit(self, bound: str) -> float | None:
        limit: float | None = getattr(self, bound)
        counts_elements = self.rtol is not None or self.atol is not None
        if bound == "max_mismatch_share" and limit is None and counts_elements:
            return 0.0
        return limit


def _check_flag(name: str, value: Any) -> None:
    if not isinstance(value, bool):
        raise ConfigError(f"{name} = {value!r} is neither true nor false")


def _check_precision(value: Any) -> None:
    if value != "" and not (isinstance(value, str) and dtype_floor(value) > 0):
        raise ConfigError(
            f"precision {value!r} is not a floating-point dtype",
            hint="use float16, bfloat16, float32 or float64",
        )


def _check_number(name: str, value: Any) -> None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    signed = name in {"min_cosine", "min_pearson", "min_snr_db"}
    if not is_number or math.isnan(value) or (value < 0 and not signed):
        raise ConfigError(
            f"the bound {name} = {value!r} is not a number that a metric can be held against",
            hint="use a number" if signed else "use a number of at least 0",
        )
