"""Checks that a backend can do what it says, and says what it can do."""

from __future__ import annotations

from contextlib import suppress

import numpy as np

from parity.backends.conformance.subject import Broken, Inapplicable, Subject, difference, run
from parity.backends.injection import InjectingBackend
from parity.backends.memory import MemorySink, Recorded
from parity.backends.protocol import Array
from parity.errors import ParityError
from parity.tensors import Role, TapKey

__all__ = [
    "injecting_a_tap_itself_changes_nothing",
    "injecting_something_else_changes_what_follows",
    "injecting_where_nothing_is_is_refused",
    "refuses_a_bad_case",
    "says_whether_it_injects",
    "says_whether_it_records_states",
]


def says_whether_it_records_states(subject: Subject) -> None:
    """States are recorded exactly where its capabilities say so."""
    says = subject.make().capabilities().states
    states = [record.key for record in run(subject).records if record.key.role is Role.STATE]
    if says and not states:
        raise Broken("it says that it records states, and recorded none")
    if states and not says:
        raise Broken(f"it says that it records no states, and recorded {states[0]}")


def says_whether_it_injects(subject: Subject) -> None:
    """It injects exactly where its capabilities say so: a backend that cannot refuses to."""
    backend = subject.make()
    says, can = backend.capabilities().inject, isinstance(backend, InjectingBackend)
    if says and not can:
        raise Broken("its capabilities say that it injects; it has no capture_injected")
    records = run(subject).records
    if says or not isinstance(backend, InjectingBackend) or not records:
        return
    with suppress(ParityError):
        _inject(subject, backend, records[0].key, records[0].array)
        raise Broken("its capabilities say that it does not inject, and capture_injected ran")


def injecting_a_tap_itself_changes_nothing(subject: Subject) -> None:
    """Replacing a tap by what it is gives the same run."""
    backend = _injecting(subject)
    before = run(subject, backend=backend).records
    chosen = _replaceable(before)
    after = _inject(subject, backend, chosen.key, chosen.array)
    problem = difference(before, after)
    if problem:
        raise Broken(f"replacing {chosen.key} by itself changed the run: {problem}")


def injecting_something_else_changes_what_follows(subject: Subject) -> None:
    """Replacing a tap by zeros is recorded there, and reaches a later tap."""
    backend = _injecting(subject)
    before = run(subject, backend=backend).records
    chosen = _replaceable(before)
    after = _inject(subject, backend, chosen.key, np.zeros_like(chosen.array))
    recorded = next((record for record in after if record.key == chosen.key), None)
    if recorded is None or recorded.array.any():
        raise Broken(f"zeros put at {chosen.key} are not what is recorded there")
    if not difference(before[chosen.order + 1 :], after[chosen.order + 1 :]):
        raise Broken(f"zeros put at {chosen.key} reached no later tap")


def injecting_where_nothing_is_is_refused(subject: Subject) -> None:
    """A replacement for a tap that does not exist is an error of ours."""
    backend = _injecting(subject)
    key = TapKey("no.such.tap", Role.OUTPUT)
    try:
        _inject(subject, backend, key, np.zeros(1, np.float32))
    except ParityError:
        return
    raise Broken(f"a replacement for {key} was dropped without a word")


def refuses_a_bad_case(subject: Subject) -> None:
    """A case that cannot be run is refused with a ParityError that says what to do."""
    if subject.bad_case is None:
        raise Inapplicable("the author named no bad case")
    try:
        run(subject, case=subject.bad_case)
    except ParityError as error:
        if not error.what:
            raise Broken("it refused the bad case without saying why") from error
        return
    except Exception as error:
        raise Broken(
            f"it refused the bad case with {type(error).__name__}: {error}; raise a ParityError"
        ) from error
    raise Broken("it ran the bad case as if nothing were wrong")


def _injecting(subject: Subject) -> InjectingBackend:
    backend = subject.make()
    if not (backend.capabilities().inject and isinstance(backend, InjectingBackend)):
        raise Inapplicable("it does not inject")
    return backend


def _replaceable(records: list[Recorded]) -> Recorded:
    outputs = [one for one in records if one.key.role is Role.OUTPUT and one.array.any()]
    if len(outputs) < 2:
        raise Inapplicable("the case has no output before another one that could be replaced")
    return outputs[0]


def _inject(
    subject: Subject, backend: InjectingBackend, key: TapKey, array: Array
) -> list[Recorded]:
    sink = MemorySink()
    backend.capture_injected(subject.case, sink.plan, sink, {key: array})
    return sink.records
