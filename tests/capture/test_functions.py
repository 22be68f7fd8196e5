"""Methods and free functions by dotted path, phases, steps and threads."""

import sys
import threading
from collections.abc import Iterator
from types import ModuleType

import numpy as np
import pytest
import torch
from torch import nn

import parity
from parity.errors import ConfigError
from parity.tensors import TapPlan

SOURCE = """
import threading
import torch
from torch import nn

def rotate(q, k, offset=0):
    return q + offset, k - offset

class Codec(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = nn.Identity()

    def forward(self, x):
        raise NotImplementedError

    def decode(self, latent):
        return self.scale(latent * 2)

    @classmethod
    def made(cls, x):
        return x + 1

    @staticmethod
    def pure(x):
        return x + 2

class Model:
    def __init__(self, codec):
        self.codec = codec

    def prompt(self, x):
        self.codec.decode(x)
        worker = threading.Thread(target=self.generate, args=(x,))
        worker.start()
        worker.join()

    def generate(self, x):
        for _ in range(3):
            self.codec.decode(x)

    def stream(self, x):
        for _ in range(2):
            yield self.codec.decode(x)
"""


@pytest.fixture
def package(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """A module with functions, and another one that imported one of them by name."""
    module, user = ModuleType("codec_package"), ModuleType("codec_user")
    exec(SOURCE, module.__dict__)
    user.turn = module.rotate
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setitem(sys.modules, user.__name__, user)
    before = {
        name: dict(vars(kind)) for name, kind in vars(module).items() if isinstance(kind, type)
    }
    yield module
    assert user.turn is module.rotate
    for name, attributes in before.items():
        assert dict(vars(getattr(module, name))) == attributes


def test_a_free_function_is_recorded_wherever_it_was_imported(package, recording) -> None:
    q, k = torch.ones(2), torch.ones(2)
    with recording(functions=["codec_package.rotate"]) as run:
        sys.modules["codec_user"].turn(q, k, offset=3)
        package.rotate(q, k)
    np.testing.assert_array_equal(run["codec_package.rotate:output#0"], [4, 4])
    np.testing.assert_array_equal(run["codec_package.rotate:output.1#0"], [-2, -2])
    np.testing.assert_array_equal(run["codec_package.rotate:input.1#1"], [1, 1])


def test_a_method_is_recorded_of_the_named_root_only(package, recording) -> None:
    codec, other = package.Codec(), package.Codec()
    with recording({"mimi": codec}, functions=["mimi.decode"]) as run:
        other.decode(torch.zeros(1))
        codec.decode(torch.ones(1))
    assert list(run.arrays) == [
        "mimi.decode:input#0", "mimi.scale:input#0", "mimi.scale:output#0", "mimi.decode:output#0",
    ]  # fmt: skip
    assert run["mimi.decode:output#0"] == 2


def test_class_and_static_methods_keep_their_kind(package, recording) -> None:
    functions = ["codec_package.Codec.made", "codec_package.Codec.pure"]
    with recording(functions=functions) as run:
        assert package.Codec.made(torch.zeros(1)) == 1
        assert package.Codec().pure(torch.zeros(1)) == 2
    assert run["codec_package.Codec.made:input#0"] == 0
    assert run["codec_package.Codec.pure:output#0"] == 2


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("codec_package.rotat", "did you mean 'rotate'"),
        ("mimi.decod", "no function 'mimi.decod'"),
        ("codec_package.Codec.dec", "has no 'dec'"),
        ("codec_package.torch", "is not a function"),
    ],
)
def test_a_path_that_leads_nowhere_is_refused(package, recording, path, message) -> None:
    codec = package.Codec()
    with pytest.raises(ConfigError, match=message), recording({"mimi": codec}, functions=[path]):
        pass
    assert "_compiled_call_impl" not in codec.__dict__


PHASES = {"prompt": "codec_package.Model.prompt", "generate": "codec_package.Model.generate"}


def test_phases_hold_while_their_function_runs_also_in_threads(package, recording) -> None:
    model = package.Model(package.Codec())
    steps = {"generate": "mimi.decode"}
    options = {"functions": ["mimi.decode"], "phases": PHASES, "steps": steps, "inputs": False}
    with recording({"mimi": model.codec}, **options) as run:
        model.prompt(torch.ones(1))
        model.codec.decode(torch.ones(1))
    outputs = [key for key in run.arrays if key.startswith("mimi.decode")]
    assert outputs == [
        "mimi.decode:output@prompt#0",
        "mimi.decode:output@generate#0",
        "mimi.decode:output@generate#1",
        "mimi.decode:output@generate#2",
        "mimi.decode:output#0",
    ]
    assert [run.records[key].step for key in outputs] == [-1, 0, 1, 2, -1]
    assert run.records["mimi.scale:output@generate#2"].step == 2
    assert {run.records[key].thread for key in outputs} == {0, 1}


def test_a_thread_works_in_the_phase_that_started_it(package, recording) -> None:
    codec = package.Codec()
    with recording({"mimi": codec}) as run, parity.phase("encode"):
        worker = threading.Thread(target=codec.scale, args=(torch.ones(1),))
        worker.start()
        worker.join()
    assert "mimi.scale:output@encode#0" in run.arrays
    assert "run" not in worker.__dict__


def test_a_thread_that_outlives_the_recording_goes_on_unrecorded(package, recording) -> None:
    codec, go = package.Codec(), threading.Event()
    results = []

    def work() -> None:
        results.append(codec.decode(torch.ones(1)))
        go.wait()
        results.append(codec.decode(torch.ones(1)))

    worker = threading.Thread(target=work)
    with recording({"mimi": codec}, functions=["mimi.decode"], operations=True) as run:
        worker.start()
        while not results:
            pass
    go.set()
    worker.join()
    assert len(results) == 2
    assert [key for key in run.arrays if key.startswith("mimi.decode:output")] == [
        "mimi.decode:output#0"
    ]


def test_two_threads_at_once_lose_nothing(recording) -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU())
    phases = ("left", "right")

    def work(phase: str) -> None:
        with parity.phase(phase), torch.no_grad():
            for number in range(50):
                model(torch.full((1, 4), float(number)))

    with recording(model) as run:
        workers = [threading.Thread(target=work, args=(phase,)) for phase in phases]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    orders = [record.order for record in run.records.values()]
    assert sorted(orders) == list(range(2 * 50 * 6))
    for phase in phases:
        for number in range(50):
            np.testing.assert_array_equal(run[f"0:input@{phase}#{number}"], np.full((1, 4), number))
            key = f"0:output@{phase}#{number}"
            assert set(run.producers(key)) == {f"0:input@{phase}#{number}"}


def test_a_generator_holds_its_phase_only_while_it_runs(package, recording) -> None:
    model = package.Model(package.Codec())
    phases = {"stream": "codec_package.Model.stream"}
    with recording({"mimi": model.codec}, phases=phases, inputs=False) as run:
        for _ in model.stream(torch.ones(1)):
            model.codec.scale(torch.ones(1))
    assert list(run.arrays) == [
        "mimi.scale:output@stream#0",
        "mimi.scale:output#0",
        "mimi.scale:output@stream#1",
        "mimi.scale:output#1",
    ]


def test_steps_need_a_recorded_tap(package, recording) -> None:
    codec = package.Codec()
    with (
        pytest.raises(
            ConfigError, match=r"no recorded module or function is called 'mimi\.encode'"
        ),
        recording({"mimi": codec}, steps={"": "mimi.encode"}),
    ):
        pass


def test_selection_by_phase_and_step(package, recording) -> None:
    model = package.Model(package.Codec())
    options = {"functions": ["mimi.decode"], "phases": PHASES, "steps": {"generate": "mimi.decode"}}
    plan = TapPlan(phases=frozenset({"generate"}), steps=(1, 2))
    with recording({"mimi": model.codec}, plan=plan, inputs=False, **options) as run:
        model.prompt(torch.ones(1))
    assert set(run.arrays) == {"mimi.decode:output@generate#1", "mimi.scale:output@generate#1"}
