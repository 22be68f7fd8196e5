"""Checks on what a backend records."""

from __future__ import annotations

import time
from collections import Counter, defaultdict

import numpy as np

from parity.backends.conformance.subject import Broken, Inapplicable, Subject, run
from parity.backends.memory import MemorySink
from parity.backends.protocol import Array, Capabilities
from parity.tensors import Role, TapKey

__all__ = [
    "arrays_hold_still",
    "calls_are_counted_from_zero",
    "describes_its_framework",
    "expected_types_and_shapes",
    "keys_are_unique",
    "names_are_usable",
    "records_something",
    "says_what_it_is",
    "tensors_are_numbers",
]

# Long enough for another thread or device to go on writing, short enough for a thousand records.
_PATIENCE_S = 0.002
_UNUSABLE = ("\0", "\n", "\r")


def says_what_it_is(subject: Subject) -> None:
    """It has a name, and capabilities with at least one device."""
    backend = subject.make()
    if not (isinstance(backend.name, str) and backend.name):
        raise Broken(f"its name is {backend.name!r}")
    capabilities = backend.capabilities()
    if not isinstance(capabilities, Capabilities):
        raise Broken(f"capabilities() returned {type(capabilities).__name__}")
    if not (capabilities.capture and capabilities.devices):
        raise Broken(f"it cannot capture, or runs nowhere: {capabilities}")


def records_something(subject: Subject) -> None:
    """A run under the widest plan records at least one tensor."""
    if not run(subject).records:
        raise Broken("a run under the widest plan recorded nothing")


def describes_its_framework(subject: Subject) -> None:
    """A run states the fact `framework`."""
    if not run(subject).facts.get("framework"):
        raise Broken("the run never called sink.describe with the fact 'framework'")


def keys_are_unique(subject: Subject) -> None:
    """No two tensors of a run have the same key."""
    counts = Counter(record.key for record in run(subject).records)
    twice = [str(key) for key, count in counts.items() if count > 1]
    if twice:
        raise Broken(f"recorded more than once: {', '.join(twice[:5])}")


def names_are_usable(subject: Subject) -> None:
    """Paths are dotted names, roles are roles, calls and steps are whole numbers."""
    for record in run(subject).records:
        key = record.key
        text = (key.path, key.slot, key.phase)
        if not key.path or any(mark in part for part in text for mark in _UNUSABLE):
            raise Broken(f"{key!r} holds an empty path, a line break or a NUL")
        if key.path != key.path.strip(". "):
            raise Broken(f"the path {key.path!r} begins or ends with a dot or a space")
        if not isinstance(key.role, Role):
            raise Broken(f"{key} has the role {key.role!r}, which is not a parity.tensors.Role")
        if type(key.call) is not int or type(record.step) is not int:
            raise Broken(f"{key} has a call or step that is not an int")
        if key.call < 0 or record.step < -1:
            raise Broken(f"{key} at step {record.step} is numbered below zero")


def calls_are_counted_from_zero(subject: Subject) -> None:
    """The calls of each tap in each phase are 0, 1, 2, ... in execution order."""
    calls: dict[TapKey, list[int]] = defaultdict(list)
    for record in run(subject).records:
        key = record.key
        calls[TapKey(key.path, key.role, key.slot, key.phase)].append(key.call)
    for tap, numbers in calls.items():
        if numbers != list(range(len(numbers))):
            raise Broken(f"the calls of {tap.path}:{tap.port} are numbered {numbers[:10]}")


def tensors_are_numbers(subject: Subject) -> None:
    """Every tensor is a numpy array of numbers, with ml_dtypes' among them."""
    sink = MemorySink(watch=_check_numbers)
    subject.make().capture(subject.case, sink.plan, sink)


def expected_types_and_shapes(subject: Subject) -> None:
    """The tensors that the author knows have the types and shapes that they have in the model."""
    if not subject.expected:
        raise Inapplicable("the author named no expected types and shapes")
    records = reversed(run(subject).records)
    found = {f"{record.key.path}:{record.key.port}": record.spec for record in records}
    for tap, spec in subject.expected.items():
        if tap not in found:
            raise Broken(f"{tap} was not recorded")
        if found[tap] != spec:
            raise Broken(f"{tap} is {found[tap]}, expected {spec}")


def arrays_hold_still(subject: Subject) -> None:
    """An array is finished when it is handed over, not filled in afterwards."""
    sink = MemorySink(watch=_check_still)
    subject.make().capture(subject.case, sink.plan, sink)


def _check_numbers(path: str, array: object) -> None:
    if not isinstance(array, np.ndarray):
        raise Broken(f"{path} is a {type(array).__name__}, not a numpy array")
    # ml_dtypes' types are of kind V too, but have types of their own.
    if array.dtype.kind not in "biufcV" or array.dtype.type is np.void:
        raise Broken(f"{path} holds {array.dtype}, not numbers")


def _check_still(path: str, array: Array) -> None:
    before = array.tobytes()
    time.sleep(_PATIENCE_S)
    if array.tobytes() != before:
        raise Broken(f"{path} changed while sink.record had it")
