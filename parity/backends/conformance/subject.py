"""What is examined, and the words in which checks speak."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from unittest import SkipTest

from parity.backends.memory import MemorySink, Recorded
from parity.backends.protocol import Array, Backend
from parity.tensors import Case, TapPlan, TensorSpec

__all__ = ["Broken", "Inapplicable", "Subject", "difference", "run", "same_bits"]


class Broken(AssertionError):  # noqa: N818  what it says is a finding about a backend
    """The backend breaks its contract."""


class Inapplicable(SkipTest):
    """The check has nothing to check on this backend or case. pytest counts it as skipped."""


@dataclass(frozen=True, slots=True, eq=False)
class Subject:
    """A backend under examination.

    Attributes:
        make: opens it anew, ready to run.
        case: a small one; the checks run it some thirty times.
        expected: types and shapes that the author knows, of first calls, by path and port
            (`decoder.norm:output`).
        bad_case: a case that the backend must refuse, or None.
    """

    make: Callable[[], Backend]
    case: Case
    expected: Mapping[str, TensorSpec] = field(default_factory=dict)
    bad_case: Case | None = None


def run(
    subject: Subject,
    *,
    backend: Backend | None = None,
    plan: TapPlan | None = None,
    case: Case | None = None,
) -> MemorySink:
    """What the backend, by default a fresh one, records."""
    sink = MemorySink(plan)
    (backend or subject.make()).capture(case or subject.case, sink.plan, sink)
    return sink


def same_bits(left: Array, right: Array) -> bool:
    """Whether two arrays of any shape agree in type, shape and every bit."""
    same_form = left.dtype == right.dtype and left.shape == right.shape
    return same_form and left.tobytes() == right.tobytes()


def difference(left: Sequence[Recorded], right: Sequence[Recorded]) -> str:
    """In words, the first thing in which two lists of records differ; empty when they are equal."""
    for one, other in zip(left, right, strict=False):
        if one.key != other.key:
            return f"{one.key} in one, {other.key} in the other"
        if one.step != other.step:
            return f"{one.key} at step {one.step} in one, {other.step} in the other"
        if one.spec != other.spec:
            return f"{one.key} is {one.spec} in one, {other.spec} in the other"
        if not same_bits(one.array, other.array):
            return f"the values of {one.key} differ"
    if len(left) != len(right):
        longer = max(left, right, key=len)
        return f"{longer[min(len(left), len(right))].key} is in one only"
    return ""
