"""The crate's example keeps the contract: phases, steps, noise, injection, panics."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from fixtures.pocket_tts.native import built_library
from parity.backends import MemorySink
from parity.backends.conformance import BackendConformance, Subject
from parity.errors import BackendError, InputError
from parity.tensors import Case, Role, TapKey, TapPlan, TensorSpec
from parity_native.backend import NativeBackend


@pytest.fixture(scope="module", autouse=True)
def example() -> Path:
    port = built_library()
    library = port.parent / "examples" / f"libmlp{port.suffix}"
    if not library.is_file():
        reason = "see https://rustup.rs" if shutil.which("cargo") is None else "make native"
        pytest.skip(f"the crate's example is not built: {reason}")
    return library


class TestExampleInRust(BackendConformance):
    @pytest.fixture(autouse=True)
    def _example(self, example: Path, case: Case) -> None:
        self.library, self.case = example, case

    def subject(self) -> Subject:
        return Subject(
            make=lambda: NativeBackend(library=self.library, isolate=False),
            case=self.case,
            expected={
                "hidden:output": TensorSpec("float32", (3, 8)),
                "(root):output.1": TensorSpec("bool", (2,)),
            },
            bad_case=Case("none"),
        )


def test_phases_and_steps_come_through(example, case):
    sink = MemorySink()
    NativeBackend(library=example, isolate=False).capture(case, TapPlan(), sink)
    assert [(str(r.key), r.step) for r in sink.records if r.key.path == "hidden"] == [
        ("hidden:output@steps#0", 0),
        ("hidden:output@steps#1", 1),
    ]
    assert [(d.distribution, d.phase, d.values.shape) for d in sink.draws] == [
        ("uniform", "steps", (1,))
    ] * 2


def test_nothing_is_put_in_the_place_of_what_is_only_recorded(example, case):
    sink = MemorySink()
    backend = NativeBackend(library=example, isolate=False)
    key = TapKey("(root)", Role.OUTPUT, "1", "steps", 0)
    with pytest.raises(InputError, match="cannot replace this tap"):
        backend.capture_injected(case, TapPlan(), sink, {key: np.zeros(2, np.bool_)})
    assert key not in {record.key for record in sink.records}


def test_a_panic_is_reported_with_its_message(example, case):
    sink = MemorySink()
    backend = NativeBackend(library=example, isolate=False, do="panic")
    with pytest.raises(BackendError, match=r"panicked: told to panic in row 3, after 1 taps"):
        backend.capture(case, TapPlan(), sink)
    assert np.isfinite(sink["hidden"]).all()


def test_a_refusal_to_open_is_an_input_error(example):
    with pytest.raises(InputError, match="it was told to refuse"):
        NativeBackend(library=example, isolate=False, do="refuse")
