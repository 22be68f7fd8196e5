"""What would pass, or be blamed on somebody, without a look at everything that comes out."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from parity.errors import InputError
from parity_coreml.causes import Cause
from parity_coreml.check import check
from parity_coreml.checked_text import checked_to_dict, checked_to_text
from parity_coreml.convert import convert
from parity_coreml.package import open_package
from parity_coreml.repair import repair
from parity_coreml.runners import EvaluatorRunner
from parity_coreml.sidecar import read_sidecar


class Turned(nn.Module):
    """Ends in a transposition of equal extents."""

    def forward(self, x):
        return torch.tanh(x).permute(0, 2, 1, 3)


class Branched(nn.Module):
    """Is another model while it is exported."""

    def forward(self, x):
        return 2 * x if torch.compiler.is_exporting() else 3 * x


class Counted(nn.Module):
    """Keeps a number that is no buffer, so that every step is another."""

    def __init__(self):
        super().__init__()
        self.calls = 0

    def forward(self, x):
        self.calls += 1
        return x * self.calls


class Attending(nn.Module):
    """Runs other kernels by itself than its exported graph does."""

    def __init__(self):
        super().__init__()
        self.attend, self.drop = nn.MultiheadAttention(8, 2, batch_first=True), nn.Dropout(0.1)

    def forward(self, x):
        return x + self.drop(self.attend(x, x, x, need_weights=False)[0])


class Routed(nn.Module):
    """Returns whole numbers too, an input as it is, and something empty."""

    def forward(self, x):
        weight, place = x.topk(2, -1)
        return {"weight": weight, "place": place, "none": x[:, :0], "same": x}


class Kept(nn.Module):
    """Reads a state that it has just written."""

    cache: torch.Tensor

    def __init__(self):
        super().__init__()
        self.proj = nn.Linear(8, 8)
        self.register_buffer("cache", torch.zeros(4, 8))

    def forward(self, x):
        self.cache.copy_(torch.cat([self.cache[1:], self.proj(x)]))
        return (x @ self.cache.T).softmax(-1) @ self.cache


def converted(module, x, folder, precision="float32"):
    package = folder / "model.mlpackage"
    convert(module, (x,), package, precision=precision)
    return package


def test_an_output_in_another_layout_is_found(tmp_path):
    x, module = torch.randn(1, 4, 4, 4), Turned()
    package = open_package(converted(module, x, tmp_path))
    (operation,) = (each for each in package.operations() if each.op_type == "transpose")
    fault = Cause(operation.name, "transpose", "perm", None, [0, 1, 3, 2], 0, 0)
    repair(package, [fault], tmp_path / "bad.mlpackage")
    found = check(module, [(x,)], tmp_path / "bad.mlpackage")
    assert found.holds is False
    assert [(each.argument, each.should) for each in found.causes.values()] == [
        ("perm", [0, 2, 1, 3])
    ]


def test_an_output_of_another_shape_is_found(tmp_path):
    x, module = torch.randn(1, 4, 6, 5), Turned()
    package = open_package(converted(module, x, tmp_path))
    (operation,) = (each for each in package.operations() if each.op_type == "transpose")
    fault = Cause(operation.name, "transpose", "perm", None, [0, 3, 1, 2], 0, 0)
    repair(package, [fault], tmp_path / "bad.mlpackage")
    # The loader of the platform's tools sees it first; what it raises is said as an error.
    with pytest.raises(InputError, match="its program or its weights cannot be read"):
        check(module, [(x,)], tmp_path / "bad.mlpackage")


def test_a_graph_that_is_another_model_is_found(tmp_path):
    x, module = torch.randn(2, 3), Branched()
    found = check(module, [(x,)], converted(module, x, tmp_path))
    assert not found.converter
    assert [each.name for each in found.export] == ["mul"]
    assert found.holds is False
    text = checked_to_text(found)
    assert "by torch.export 1 output" in text
    assert "mul, step 0: the module returns something else" in text
    (said,) = checked_to_dict(found)["returned"]
    assert said["error"] == pytest.approx(1 / 3)


def test_a_number_that_the_export_froze_is_found(tmp_path):
    x, module = torch.randn(2, 3), Counted()
    found = check(module, [(x,), (x,)], converted(module, x, tmp_path))
    assert {each.step for each in found.export} >= {1}
    assert found.holds is False


def test_what_runs_other_kernels_is_mapped_and_holds(tmp_path):
    torch.manual_seed(0)
    x, module = torch.randn(1, 5, 8), Attending().eval()
    found = check(module, [(x,)], converted(module, x, tmp_path))
    assert found.holds
    assert {"attend", "drop", "(root)"} <= {
        row.path for row in _placed(tmp_path / "model.mlpackage")
    }
    assert found.coverage.modules.compared == found.coverage.modules.total


def _placed(package):
    from parity_coreml.sidecar import read_sidecar

    return read_sidecar(package).placed


def test_every_output_is_compared(tmp_path):
    x, module = torch.randn(2, 6), Routed()
    for precision in ("float32", "float16"):
        package = converted(module, x, tmp_path, precision)
        found = check(module, [(x,)], package)
        assert found.holds
        # An empty one has nothing to compare, and that is said.
        assert len(found.outputs) == 3
        assert "nothing finite in torch's own value: slice" in checked_to_text(found)


def test_numbers_that_torch_has_not_are_nobodys_fault(tmp_path):
    x, module = torch.randn(2, 6), nn.Linear(6, 3).eval()
    package = converted(module, x, tmp_path)
    found = check(module, [(torch.full_like(x, torch.nan),)], package)
    assert found.holds is None
    assert "nothing finite in torch's own value: linear" in checked_to_text(found)
    half = x.clone()
    half[0, 0] = torch.nan
    assert check(module, [(half,)], package).holds


@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_a_state_read_after_it_was_written_is_no_fault(tmp_path, precision):
    torch.manual_seed(0)
    steps = [(torch.randn(1, 8),) for _ in range(3)]
    module = Kept().eval()
    found = check(module, steps, converted(module, steps[0][0], tmp_path, precision))
    assert found.holds, checked_to_text(found)
    assert max(found.outputs.values()) < 2e-3


class Started(nn.Module):
    """Adds up what it is given to what it starts with; `seen` is overwritten before it is read."""

    def __init__(self, start):
        super().__init__()
        self.register_buffer("total", torch.full((2, 3), start))
        self.register_buffer("seen", torch.ones(2, 3))

    def forward(self, x):
        self.seen.copy_(2 * x)
        self.total.add_(x)
        return self.total * self.seen


def evaluated(package, steps):
    inputs = [{name: step[0].numpy() for name in read_sidecar(package).inputs} for step in steps]
    return EvaluatorRunner().run(open_package(package), inputs)


def test_a_state_that_does_not_start_as_zeros_is_found(tmp_path):
    steps, module = [(torch.rand(2, 3) + 1,) for _ in range(3)], Started(0.5)
    package = converted(module, steps[0][0], tmp_path)
    found = check(module, steps, package, evaluated(package, steps))
    assert found.holds is False
    assert list(found.starts) == ["total"]
    # Zeros are what a device starts with: it computes what the program says.
    assert not found.runtime
    assert "the start of 1 of 2 states" in checked_to_text(found)
    assert list(checked_to_dict(found)["starts"]) == ["total"]


def test_a_start_that_shows_nowhere_is_no_fault(tmp_path):
    steps, module = [(torch.rand(2, 3) + 1,) for _ in range(3)], Started(0.0)
    package = converted(module, steps[0][0], tmp_path)
    assert check(module, steps, package, evaluated(package, steps)).holds
