"""Each check passes on a good backend and fails on one that is bad in just its way."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from parity.backends import Capabilities, CaptureSink, MemorySink
from parity.backends.conformance import (
    CHECKS,
    BackendConformance,
    Broken,
    CheckResult,
    Inapplicable,
    Status,
    Subject,
    examine,
)
from parity.errors import BackendError, InputError, NoiseTapeError
from parity.tensors import Case, NoiseDraw, Role, TapKey, TapPlan, TensorSpec

Array = np.ndarray[Any, np.dtype[Any]]
Injected = Mapping[TapKey, Array]

CASE = Case("short", arrays={"x": np.arange(1, 7, dtype=np.float32).reshape(2, 3)})


@dataclass(frozen=True)
class Handed:
    """What is handed to the sink."""

    path: str
    array: Any
    role: Role
    call: int


class Loop:
    """A recurrent model of three steps, as it should be."""

    name = "loop"
    states = True
    inject = True

    def capabilities(self) -> Capabilities:
        return Capabilities(inject=self.inject, states=self.states)

    def capture(self, case: Case, plan: TapPlan, sink: CaptureSink) -> None:
        self.capture_injected(case, plan, sink, {})

    def capture_injected(
        self, case: Case, plan: TapPlan, sink: CaptureSink, replacements: Injected
    ) -> None:
        if "x" not in case.arrays:
            raise InputError("the case has no array x")
        unknown = {key.path for key in replacements} - {"encoder", "mixer"}
        if unknown:
            raise InputError(f"no tap {unknown}")
        self.describe(sink)
        self.loop(case, plan, sink, replacements)

    def describe(self, sink: CaptureSink) -> None:
        sink.describe({"framework": "none"})

    def loop(self, case: Case, plan: TapPlan, sink: CaptureSink, replacements: Injected) -> None:
        cache = np.zeros(1, np.float32)
        value = case.arrays["x"].copy()
        for call in range(3):
            noise = self.draw(case, call, sink)
            value = value + noise
            value = replacements.get(TapKey("encoder", Role.OUTPUT, "", "run", call), value)
            self.record(plan, sink, Handed("encoder", value, Role.OUTPUT, call))
            value = np.tanh(value)
            self.record(plan, sink, Handed("mixer", value, Role.OUTPUT, call))
            cache[0] += value.sum()
            self.record(plan, sink, Handed("cache", cache, Role.STATE, call))

    def draw(self, case: Case, number: int, sink: CaptureSink) -> Array:
        if case.noise is None:
            generator = np.random.default_rng([case.seed, number])
            values = generator.normal(size=(2, 3)).astype(np.float32)
        elif number < len(case.noise):
            values = case.noise[number].values
        else:
            raise NoiseTapeError("the tape is too short")
        sink.noise(NoiseDraw(values, "normal"))
        return values

    def record(self, plan: TapPlan, sink: CaptureSink, it: Handed) -> None:
        if plan.wants_path(it.path, it.role):
            sink.record(it.path, it.array, role=it.role, phase="run", call=it.call, step=it.call)


GOOD = Subject(
    make=Loop,
    case=CASE,
    expected={
        "encoder:output": TensorSpec("float32", (2, 3)),
        "cache:state": TensorSpec("float32", (1,)),
    },
    bad_case=Case("empty"),
)


class Nameless(Loop):
    name = ""


class CannotCapture(Loop):
    def capabilities(self) -> Capabilities:
        return Capabilities(capture=False)


class Silent(Loop):
    def record(self, *about: Any) -> None:
        pass


class Undescribed(Loop):
    def describe(self, sink: CaptureSink) -> None:
        pass


class SameKeyTwice(Loop):
    def record(self, plan, sink, it):
        super().record(plan, sink, replace(it, call=0))


class Dotted(Loop):
    def record(self, plan, sink, it):
        super().record(plan, sink, replace(it, path=f".{it.path}"))


class CountsFromOne(Loop):
    def record(self, plan, sink, it):
        super().record(plan, sink, replace(it, call=it.call + 1))


class HandsOverLists(Loop):
    def record(self, plan, sink, it):
        super().record(plan, sink, replace(it, array=it.array.tolist()))


class HandsOverObjects(Loop):
    def record(self, plan, sink, it):
        super().record(plan, sink, replace(it, array=it.array.astype(object)))


class Widens(Loop):
    def record(self, plan, sink, it):
        super().record(plan, sink, replace(it, array=it.array.astype(np.float64)))


class Flattens(Loop):
    def record(self, plan, sink, it):
        super().record(plan, sink, replace(it, array=it.array.ravel()))


class FillsInLater(Loop):
    def record(self, plan, sink, it):
        later, done = np.zeros_like(it.array), threading.Event()

        def fill() -> None:
            # Again and again, so that the check sees it however busy the machine is.
            while not done.wait(0.0001):
                np.copyto(later, it.array if not later.any() else 0)
            np.copyto(later, it.array)

        writer = threading.Thread(target=fill)
        writer.start()
        try:
            super().record(plan, sink, replace(it, array=later))
        finally:
            done.set()
            writer.join()


class IgnoresThePlan(Loop):
    def record(self, plan, sink, it):
        super().record(TapPlan(), sink, it)


class ForgetsTheLastTap(Loop):
    def record(self, plan, sink, it):
        if plan == TapPlan() or it.path != "cache":
            super().record(plan, sink, it)


class ForgetsTheStates(Loop):
    def record(self, plan, sink, it):
        if plan.roles is None or it.role is not Role.STATE:
            super().record(plan, sink, it)


class RenumbersSelectedCalls(Loop):
    def record(self, plan, sink, it):
        if plan.wants_call("run", it.call, it.call):
            sink.record(it.path, it.array, role=it.role, phase="run", step=it.call)


class KeepsState(Loop):
    runs = 0

    def draw(self, case, number, sink):
        self.runs += 1
        return super().draw(case, number, sink) + self.runs


class DependsOnTheClock(Loop):
    def __init__(self) -> None:
        # Small enough that no element type rounds two instants to one.
        self.offset = time.perf_counter_ns() % 1_000_003

    def draw(self, case, number, sink):
        return super().draw(case, number, sink) + self.offset


class ChangesTheCase(Loop):
    def loop(self, case, plan, sink, replacements):
        case.arrays["x"][0, 0] = 0
        super().loop(case, plan, sink, replacements)
        case.arrays["x"][0, 0] += 2


class SwallowsErrors(Loop):
    def record(self, *about: Any) -> None:
        with contextlib.suppress(Exception):
            super().record(*about)


class WrapsErrors(Loop):
    def record(self, *about: Any) -> None:
        try:
            super().record(*about)
        except Exception as error:
            raise RuntimeError("wrapped") from error


class StaysHookedAfterAnError(Loop):
    hooked = False

    def loop(self, case, plan, sink, replacements):
        if self.hooked:
            sink.record("left.over", np.ones(1))
        self.hooked = True
        super().loop(case, plan, sink, replacements)
        self.hooked = False


class IgnoresTheTape(Loop):
    def draw(self, case, number, sink):
        return super().draw(replace(case, noise=None), number, sink)


class ReadsTheTapeBackwards(Loop):
    def draw(self, case, number, sink):
        if case.noise is not None:
            number = len(case.noise) - 1 - number
        return super().draw(case, number, sink)


class RecordsOnlyTheTape(Loop):
    """Ignores the tape, though a replay with the right seed would not show it."""

    def draw(self, case, number, sink):
        super().draw(case, number, sink)
        return np.float32(number)


class DrawsOnAfterTheTape(Loop):
    def draw(self, case, number, sink):
        if case.noise is not None and number >= len(case.noise):
            case = replace(case, noise=None)
        return super().draw(case, number, sink)


class IgnoresTheSeed(Loop):
    def draw(self, case, number, sink):
        return super().draw(replace(case, seed=0), number, sink)


class HidesItsStates(Loop):
    states = False


class PromisesStates(Loop):
    def record(self, plan, sink, it):
        super().record(plan, sink, replace(it, role=Role.OUTPUT))


class HidesThatItInjects(Loop):
    inject = False


class RefusesToInject(Loop):
    inject = False

    def capture_injected(self, case, plan, sink, replacements):
        raise BackendError("cannot")

    def capture(self, case, plan, sink):
        Loop.capture_injected(self, case, plan, sink, {})


class PromisesToInject(Loop):
    capture_injected = None  # type: ignore[assignment]

    def capture(self, case, plan, sink):
        Loop.capture_injected(self, case, plan, sink, {})


class InjectsTwice(Loop):
    def loop(self, case, plan, sink, replacements):
        super().loop(case, plan, sink, {key: value * 2 for key, value in replacements.items()})


class InjectsNothing(Loop):
    def loop(self, case, plan, sink, replacements):
        super().loop(case, plan, sink, {})


class InjectsForTheRecordOnly(Loop):
    def loop(self, case, plan, sink, replacements):
        self.replacements = replacements
        super().loop(case, plan, sink, {})

    def record(self, plan, sink, it):
        given = self.replacements.get(TapKey(it.path, it.role, "", "run", it.call), it.array)
        super().record(plan, sink, replace(it, array=given))


class InjectsAnywhere(Loop):
    def capture_injected(self, case, plan, sink, replacements):
        known = {key: array for key, array in replacements.items() if key.path == "encoder"}
        super().capture_injected(case, plan, sink, known)


class RunsAnything(Loop):
    def capture_injected(self, case, plan, sink, replacements):
        super().capture_injected(CASE, plan, sink, replacements)


class StumblesOverABadCase(Loop):
    def capture_injected(self, case, plan, sink, replacements):
        case.arrays["x"]
        super().capture_injected(case, plan, sink, replacements)


PLANTED: dict[str, tuple[type[Loop], ...]] = {
    "says_what_it_is": (Nameless, CannotCapture),
    "records_something": (Silent,),
    "describes_its_framework": (Undescribed,),
    "keys_are_unique": (SameKeyTwice,),
    "names_are_usable": (Dotted,),
    "calls_are_counted_from_zero": (CountsFromOne,),
    "tensors_are_numbers": (HandsOverLists, HandsOverObjects),
    "expected_types_and_shapes": (Widens, Flattens, Silent),
    "arrays_hold_still": (FillsInLater,),
    "leaves_other_paths_alone": (IgnoresThePlan,),
    "honours_selected_paths": (ForgetsTheLastTap,),
    "honours_excluded_paths": (ForgetsTheLastTap,),
    "honours_selected_roles": (ForgetsTheStates,),
    "honours_selected_calls": (RenumbersSelectedCalls,),
    "repeats_itself": (KeepsState,),
    "a_fresh_backend_does_the_same": (DependsOnTheClock,),
    "leaves_the_case_alone": (ChangesTheCase,),
    "recovers_from_an_error": (SwallowsErrors, WrapsErrors, StaysHookedAfterAnError),
    "replays_noise": (IgnoresTheTape, ReadsTheTapeBackwards),
    "uses_the_tape": (RecordsOnlyTheTape,),
    "refuses_a_short_tape": (DrawsOnAfterTheTape,),
    "seed_matters": (IgnoresTheSeed,),
    "says_whether_it_records_states": (HidesItsStates, PromisesStates),
    "says_whether_it_injects": (HidesThatItInjects, PromisesToInject),
    "injecting_a_tap_itself_changes_nothing": (InjectsTwice,),
    "injecting_something_else_changes_what_follows": (InjectsNothing, InjectsForTheRecordOnly),
    "injecting_where_nothing_is_is_refused": (InjectsAnywhere,),
    "refuses_a_bad_case": (RunsAnything, StumblesOverABadCase),
}
CASES = [(name, bad) for name, planted in PLANTED.items() for bad in planted]
BY_NAME = {check.name: check for check in CHECKS}


def fresh(make: Callable[[], Loop]) -> Subject:
    """The good subject with another backend, and arrays of its own."""
    return replace(GOOD, make=make, case=replace(CASE, arrays={"x": CASE.arrays["x"].copy()}))


class TestGoodBackend(BackendConformance):
    def subject(self) -> Subject:
        return fresh(Loop)


def test_every_check_has_a_planted_fault() -> None:
    assert set(PLANTED) == set(BY_NAME)


@pytest.mark.parametrize(
    ("name", "bad"), CASES, ids=lambda value: getattr(value, "__name__", value)
)
def test_a_check_fails_on_its_planted_fault(name: str, bad: type[Loop]) -> None:
    with pytest.raises(Broken, match=r"."):
        BY_NAME[name].run(fresh(bad))


def test_a_backend_may_refuse_to_inject() -> None:
    BY_NAME["says_whether_it_injects"].run(fresh(RefusesToInject))


@pytest.mark.parametrize("check", CHECKS, ids=str)
def test_a_check_says_what_it_demands(check: Any) -> None:
    assert check.says.endswith(".")
    assert "\n" not in check.says


class Bare(Loop):
    """Draws nothing, keeps nothing, injects nothing, runs each tap once."""

    states = False
    inject = False
    capture_injected = None  # type: ignore[assignment]

    def capture(self, case, plan, sink):
        self.describe(sink)
        self.record(plan, sink, Handed("only", np.ones(2), Role.OUTPUT, 0))


def test_what_does_not_apply_is_skipped_and_says_why() -> None:
    results = {result.check.name: result for result in examine(Subject(Bare, Case("bare")))}
    assert {result.status for result in results.values()} == {Status.PASSED, Status.SKIPPED}
    skipped = {name for name, result in results.items() if result.status is Status.SKIPPED}
    assert skipped == {
        "expected_types_and_shapes",
        "honours_selected_calls",
        "injecting_a_tap_itself_changes_nothing",
        "injecting_something_else_changes_what_follows",
        "injecting_where_nothing_is_is_refused",
        "leaves_the_case_alone",
        "refuses_a_bad_case",
        "refuses_a_short_tape",
        "replays_noise",
        "seed_matters",
        "uses_the_tape",
    }
    assert results["seed_matters"].detail == "the run draws nothing"
    with pytest.raises(Inapplicable, match="the run draws nothing"):
        BY_NAME["seed_matters"].run(Subject(Bare, Case("bare")))


class OnATapeOnly(Loop):
    def draw(self, case, number, sink):
        if case.noise is None:
            raise InputError("there is no generator here")
        return super().draw(case, number, sink)


def test_a_port_need_not_have_a_generator() -> None:
    sink = MemorySink()
    Loop().capture(CASE, sink.plan, sink)
    taped = CASE.with_noise(tuple(sink.draws))
    subject = replace(fresh(OnATapeOnly), case=taped)
    results = {result.check.name: result for result in examine(subject)}
    assert Status.FAILED not in {result.status for result in results.values()}
    assert results["seed_matters"].detail == "it runs on a tape only: there is no generator here"
    assert results["uses_the_tape"].status is Status.PASSED
    with pytest.raises(InputError, match="no generator"):
        BY_NAME["seed_matters"].run(fresh(OnATapeOnly))


class Explosive(Loop):
    def capture(self, case, plan, sink):
        raise ZeroDivisionError("boom")


def test_whatever_a_backend_raises_is_a_failure_of_the_check() -> None:
    seen: list[CheckResult] = []
    results = examine(fresh(Explosive), seen.append)
    assert tuple(seen) == results
    by_name = {result.check.name: result for result in results}
    assert by_name["records_something"].status is Status.FAILED
    assert by_name["records_something"].detail == "raised ZeroDivisionError: boom"


def test_it_runs_under_pytest(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("""
        import numpy as np
        from parity.backends import Capabilities
        from parity.backends.conformance import BackendConformance, Subject
        from parity.tensors import Case

        class Mute:
            name = "mute"
            def capabilities(self):
                return Capabilities()
            def capture(self, case, plan, sink):
                sink.describe({"framework": "none"})

        class TestMute(BackendConformance):
            def subject(self):
                return Subject(Mute, Case("short"))
    """)
    result = pytester.runpytest_inprocess("-p", "no:cacheprovider")
    result.stdout.fnmatch_lines(["E * the widest plan recorded nothing"])
    outcomes = result.parseoutcomes()
    assert outcomes["failed"] == 1
    assert outcomes["skipped"] > 10
    assert outcomes["passed"] > 10
