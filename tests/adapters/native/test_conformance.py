"""The C example keeps the contract of a backend."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from parity.backends import MemorySink
from parity.backends.conformance import BackendConformance, Subject
from parity.cli.main import main
from parity.errors import InputError
from parity.tensors import Case, Role, TapKey, TapPlan, TensorSpec
from parity_native.backend import NativeBackend


class TestExampleInC(BackendConformance):
    @pytest.fixture(autouse=True)
    def _example(self, mlp: Path, case: Case) -> None:
        self.library, self.case = mlp, case

    def subject(self) -> Subject:
        return Subject(
            # Isolation costs a process a run; a test below shows that it changes nothing.
            make=lambda: NativeBackend(library=self.library, isolate=False),
            case=self.case,
            expected={"hidden:output": TensorSpec("float32", (3, 8))},
            bad_case=Case("none"),
        )


class TestThatCannotInject(BackendConformance):
    @pytest.fixture(autouse=True)
    def _example(self, misbehaving: Path) -> None:
        self.library = misbehaving

    def subject(self) -> Subject:
        make = lambda: NativeBackend(library=self.library, isolate=False)  # noqa: E731
        return Subject(make=make, case=Case("any"))


def test_a_candidate_that_does_not_inject_is_not_asked_to(misbehaving):
    backend = NativeBackend(library=misbehaving, isolate=False)
    with pytest.raises(InputError, match="does not say that it can go on with another tensor"):
        backend.capture_injected(Case("any"), TapPlan(), MemorySink(), {})


def recorded(backend: NativeBackend, case: Case) -> MemorySink:
    sink = MemorySink()
    backend.capture(case, TapPlan(), sink)
    return sink


def test_a_process_of_its_own_changes_nothing(mlp, case):
    apart = recorded(NativeBackend(library=mlp), case)
    here = recorded(NativeBackend(library=mlp, isolate="no"), case)
    assert [(r.key, r.step, r.array.tobytes()) for r in apart.records] == [
        (r.key, r.step, r.array.tobytes()) for r in here.records
    ]
    assert apart.facts == here.facts
    assert len(apart.records) == 6


def test_it_computes_what_it_says(mlp, case):
    sink = recorded(NativeBackend(library=mlp, isolate=False), case)
    hidden, activation = sink.records[0].array, sink.records[1].array
    np.testing.assert_allclose(activation, np.tanh(hidden), rtol=1e-6)


def test_the_other_byte_order_is_turned(mlp, case):
    backend = NativeBackend(library=mlp, isolate=False)
    turned = replace(case, arrays={"x": case.arrays["x"].astype(">f4")})
    np.testing.assert_array_equal(recorded(backend, case)["hidden"],
                                  recorded(backend, turned)["hidden"])  # fmt: skip
    key, sink = TapKey("hidden", Role.OUTPUT), MemorySink()
    backend.capture_injected(case, TapPlan(), sink, {key: np.full((3, 8), 2, ">f4")})
    assert sink.records[1].key == TapKey("activation", Role.OUTPUT)
    np.testing.assert_allclose(sink.records[1].array, np.tanh(2), rtol=1e-6)


def test_other_input_gives_another_run(mlp, case):
    backend = NativeBackend(library=mlp, isolate=False)
    changed = replace(case, arrays={"x": case.arrays["x"] + 1})
    before, after = recorded(backend, case), recorded(backend, changed)
    assert not np.array_equal(before["(root)"], after["(root)"])


def test_the_command_line_takes_the_library_itself(mlp, case, tmp_path, capsys):
    np.save(tmp_path / "x.npy", case.arrays["x"])
    with pytest.raises(SystemExit, match="0"):
        main(
            ["backends", "check", str(mlp), "--array", f"x={tmp_path / 'x.npy'}",
             "--option", "isolate=false"]
        )  # fmt: skip
    assert capsys.readouterr().out.endswith("it conforms\n")


def test_what_does_not_run_at_all_is_one_error_and_not_one_a_check(mlp, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["backends", "check", str(mlp), "--option", "isolate=false"])
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("the case needs an array x") == 1
