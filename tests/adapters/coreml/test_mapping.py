"""Packages that were converted elsewhere: no number of torch's operations is in them."""

from __future__ import annotations

import copy
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from parity.errors import InputError
from parity_coreml.causes import Cause
from parity_coreml.check import check
from parity_coreml.checked_text import checked_to_dict, checked_to_text
from parity_coreml.mapping import map_package
from parity_coreml.package import open_package
from parity_coreml.quiet import coremltools, quietly
from parity_coreml.repair import repair
from parity_coreml.sidecar import Sidecar, read_sidecar

FLOAT32 = coremltools().precision.FLOAT32


class Encoder(nn.Module):
    """A convolution with a batch norm, attention, a bias that softmax does not show."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.batch = nn.Conv1d(6, 8, 3, padding=1), nn.BatchNorm1d(8)
        self.q, self.k, self.v = nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 8)
        self.norm, self.out = nn.LayerNorm(8), nn.Linear(8, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = functional.silu(self.batch(self.conv(x))).transpose(1, 2)
        weight = torch.softmax(self.q(h) @ self.k(h).transpose(1, 2) / 3, -1)
        return h + functional.gelu(self.out(self.norm(weight @ self.v(h))))


@dataclass(frozen=True, slots=True, eq=False)
class Traced:
    module: nn.Module
    x: torch.Tensor
    package: Path


def traced(module: nn.Module, x: torch.Tensor, package: Path, **options: Any) -> Path:
    """Converted as many do: through TorchScript, with names of their own."""
    ct = coremltools()
    with quietly():
        ct.convert(
            torch.jit.trace(module, (x,), check_trace=False),
            inputs=[ct.TensorType(name="given", shape=x.shape, **options.pop("input", {}))],
            convert_to="mlprogram",
            minimum_deployment_target=ct.target.iOS18,
            skip_model_load=True,
            **options,
        ).save(str(package))
    return package


@pytest.fixture(scope="module", params=["float32", "float16"])
def encoder(request, tmp_path_factory) -> Traced:
    torch.manual_seed(0)
    module, x = Encoder(), torch.randn(1, 6, 10)
    nn.init.normal_(module.batch.running_mean)
    precision = getattr(coremltools().precision, request.param.upper())
    path = tmp_path_factory.mktemp("elsewhere") / "encoder.mlpackage"
    return Traced(module.eval(), x, traced(module.eval(), x, path, compute_precision=precision))


def without_map(package: Path, folder: Path) -> Path:
    return Path(shutil.copytree(package, folder / "elsewhere.mlpackage"))


def by_output(sidecar: Sidecar) -> dict[str, tuple[str, tuple[int, ...]]]:
    return {str(each): (each.value, each.permutation) for each in sidecar.placed}


@pytest.mark.parametrize("name", ["block", "half_block", "counter"])
def test_it_is_the_map_that_the_converter_would_have_left(name, request, tmp_path):
    known = request.getfixturevalue(name)
    found = map_package(known.module, known.args, without_map(known.path, tmp_path))
    assert by_output(found) == by_output(known.sidecar)
    assert found.unplaced == known.sidecar.unplaced
    assert (found.inputs, found.outputs) == (known.sidecar.inputs, known.sidecar.outputs)
    assert found.states == known.sidecar.states
    assert found.precision == known.sidecar.precision


def test_a_package_of_torchscript_is_checked_like_any(encoder):
    package = without_map(encoder.package, encoder.package.parent)
    map_package(encoder.module, (encoder.x,), package, prefix="audio")
    checked = check(encoder.module, [(encoder.x,)], package)
    assert checked.holds
    assert checked.coverage.modules.left == ("audio.conv#0",)
    assert checked.coverage.edges.compared >= 0.8 * checked.coverage.edges.total
    assert "found by what both compute" in checked_to_text(checked)
    assert checked_to_dict(checked)["map"] == "by values"


@pytest.mark.parametrize(
    "faults",
    [
        ["conv weight"],
        ["query weight"],
        ["key bias"],
        ["last weight"],
        ["conv weight", "key weight", "last bias"],
    ],
    ids=", ".join,
)
def test_faults_are_found_at_their_operations(encoder, tmp_path, faults):
    package, bad = open_package(encoder.package), tmp_path / "bad.mlpackage"
    operations = list(package.operations())
    (conv,) = (each for each in operations if each.op_type == "conv")
    linear = (each for each in operations if each.op_type == "linear")
    named = {"conv": conv, **dict(zip(("query", "key", "value", "last"), linear, strict=True))}
    causes = []
    for name, argument in map(str.split, faults):
        has = named[name].inputs[argument].val
        # In another order, so that nothing after it is near torch's.
        wrong = np.roll(has, 1, 0)
        causes.append(Cause(named[name].name, named[name].op_type, argument, has, wrong, 0, 0))
    repair(package, causes, bad)
    map_package(encoder.module, (encoder.x,), bad)
    checked = check(encoder.module, [(encoder.x,)], bad)
    expected = {named[each.split()[0]].outputs[0].name for each in faults}
    assert {row.value for row in checked.converter} == expected


@pytest.fixture(scope="module", params=["linear", "palette", "pruned"])
def compressed(request, tmp_path_factory) -> Traced:
    from coremltools.optimize import coreml as cto

    torch.manual_seed(0)
    module, x = Encoder().eval(), torch.randn(1, 6, 10)
    folder = tmp_path_factory.mktemp("compressed")
    plain = traced(module, x, folder / "plain.mlpackage", compute_precision=FLOAT32)
    method, options = {
        "linear": (cto.linear_quantize_weights, cto.OpLinearQuantizerConfig(weight_threshold=10)),
        "palette": (
            cto.palettize_weights,
            cto.OpPalettizerConfig(mode="uniform", nbits=6, weight_threshold=10),
        ),
        "pruned": (
            cto.prune_weights,
            cto.OpMagnitudePrunerConfig(target_sparsity=0.1, weight_threshold=10),
        ),
    }[request.param]
    with quietly():
        smaller = method(open_package(plain).model, cto.OptimizationConfig(global_config=options))
        smaller.save(str(folder / "encoder.mlpackage"))
    return Traced(module, x, folder / "encoder.mlpackage")


def test_weights_that_were_compressed_are_no_fault(compressed, tmp_path):
    package = without_map(compressed.package, tmp_path)
    map_package(compressed.module, (compressed.x,), package)
    checked = check(compressed.module, [(compressed.x,)], package)
    assert max(checked.outputs.values()) > 1e-4
    assert checked.holds
    assert checked.coverage.modules.left == ("conv#0",)
    worst = max(checked.rows, key=lambda row: row.local)
    assert worst.local > 100 * worst.floor


def test_a_fault_among_compressed_weights_is_found(compressed, tmp_path):
    package, bad = open_package(compressed.package), tmp_path / "bad.mlpackage"
    (norm,) = (each for each in package.operations() if each.op_type == "layer_norm")
    repair(package, [Cause(norm.name, norm.op_type, "epsilon", None, 0.1, 0, 0)], bad)
    map_package(compressed.module, (compressed.x,), bad)
    checked = check(compressed.module, [(compressed.x,)], bad)
    assert [row.value for row in checked.converter] == [norm.outputs[0].name]
    assert {cause.argument for cause in checked.causes.values()} == {"epsilon"}


class Loop(nn.Module):
    """What TorchScript turns into one operation and into a loop, and torch.export into steps."""

    def __init__(self) -> None:
        super().__init__()
        self.both = nn.LSTM(8, 6, batch_first=True, bidirectional=True)
        self.gated, self.last = nn.GRU(12, 6, batch_first=True), nn.Linear(6, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(self.gated(self.both(x)[0])[0])


@pytest.mark.parametrize("precision", ["FLOAT32", "FLOAT16"])
def test_recurrent_layers_are_seen_as_a_whole(tmp_path, precision):
    torch.manual_seed(0)
    module, x = Loop().eval(), torch.randn(1, 5, 8)
    compute = getattr(coremltools().precision, precision)
    package = traced(module, x, tmp_path / "loop.mlpackage", compute_precision=compute)
    sidecar = map_package(module, (x,), package)
    placed = {str(each): each.permutation for each in sidecar.placed}
    assert placed == {"both#0": (1, 0, 2), "gated#0": (), "last#0": (), "(root)#0": ()}
    assert check(module, [(x,)], package).holds


def test_an_input_in_half_precision_takes_what_it_can_hold(tmp_path):
    torch.manual_seed(0)
    module, x = nn.Linear(6, 4).eval(), torch.randn(2, 6).half().float()
    package = traced(module, x, tmp_path / "half.mlpackage", input={"dtype": np.float16})
    map_package(module, (x,), package)
    assert check(module, [(x,)], package).holds


def test_a_map_is_not_replaced(block):
    with pytest.raises(InputError, match="has a map already") as error:
        map_package(block.module, block.args, block.path)
    assert "remove it" in str(error.value.hint)


def test_without_a_map_the_way_to_one_is_named(block, tmp_path):
    package = without_map(block.path, tmp_path)
    with pytest.raises(InputError) as error:
        check(block.module, [block.args], package)
    assert "parity coreml map" in str(error.value.hint)


def test_another_model_is_refused(encoder, tmp_path):
    class Other(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.cumsum(-1).sin()

    package = without_map(encoder.package, tmp_path)
    with pytest.raises(InputError, match="nothing in the package computes"):
        map_package(Other(), (encoder.x,), package)
    assert not list(tmp_path.glob("*.json"))


def test_other_weights_are_found_at_each_operation_that_has_them(tmp_path):
    def make(seed: int) -> nn.Module:
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 8), nn.Tanh()).eval()

    x = torch.randn(2, 6)
    package = traced(make(0), x, tmp_path / "old.mlpackage")
    map_package(make(1), (x,), package)
    checked = check(make(1), [(x,)], package)
    assert [row.kind for row in checked.converter] == ["linear", "linear"]


def test_what_differs_is_told_in_order_and_the_first_is_never_left_out(tmp_path):
    def make(seed: int) -> nn.Module:
        torch.manual_seed(seed)
        pairs = ((nn.Linear(6, 6), nn.Tanh()) for _ in range(7))
        return nn.Sequential(*(each for pair in pairs for each in pair)).eval()

    x = torch.randn(2, 6)
    package = traced(make(0), x, tmp_path / "old.mlpackage")
    map_package(make(1), (x,), package)
    checked = check(make(1), [(x,)], package)
    assert len(checked.converter) == 7
    # Told without a cause, each has two lines and none is grouped with another.
    told = checked_to_text(replace(checked, causes={}))
    places = [told.index(f"linear {row.value} (") for row in checked.converter[:5]]
    assert places == sorted(places)
    assert "and 2 more" in told


class Layer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm, self.up, self.down = nn.LayerNorm(64), nn.Linear(64, 64), nn.Linear(64, 64)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.down(functional.gelu(self.up(self.norm(x))))


class Dropped(Layer):
    """Leaves its residual out."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.down(functional.gelu(self.up(self.norm(x))))


def test_a_residual_stream_is_not_taken_for_itself_one_layer_on(tmp_path):
    torch.manual_seed(0)
    module, x = nn.Sequential(*(Layer() for _ in range(4))).eval(), torch.randn(1, 9, 64)
    dropped = copy.deepcopy(module)
    dropped[0].__class__ = Dropped
    package = traced(dropped, x, tmp_path / "dropped.mlpackage")
    map_package(module, (x,), package)
    wrong = check(module, [(x,)], package).converter
    assert [(row.kind, row.node.modules[-1]) for row in wrong] == [
        ("layer_norm", "1.norm"),
        ("add", "1"),
    ]


class Cache(nn.Module):
    """Uses its state after it has written it, in float32."""

    kept: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.proj = nn.Linear(8, 8)
        self.register_buffer("kept", torch.zeros(1, 4, 8))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.kept[:, :-1] = self.kept[:, 1:].clone()
        self.kept[:, -1:] = self.proj(x)
        return x @ self.kept.transpose(1, 2)


def test_what_a_state_in_half_precision_rounds_is_no_fault(tmp_path):
    ct = coremltools()
    torch.manual_seed(0)
    module, x = Cache().eval(), torch.randn(1, 1, 8)
    wrapped = ct.TensorType(shape=(1, 4, 8), dtype=np.float16)
    package = traced(
        copy.deepcopy(module),
        x,
        tmp_path / "cache.mlpackage",
        compute_precision=FLOAT32,
        states=[ct.StateType(wrapped_type=wrapped, name="kept")],
    )
    map_package(module, (x,), package)
    checked = check(module, [(torch.randn(1, 1, 8),) for _ in range(3)], package)
    assert max(row.rounded for row in checked.rows if row.precision == "float32") > 1e-5
    assert checked.holds


class HalfCache(nn.Module):
    """Keeps its state in float16 itself."""

    kept: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.proj = nn.Linear(8, 8)
        self.register_buffer("kept", torch.zeros(1, 4, 8, dtype=torch.float16))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        new = torch.cat([self.kept[:, 1:].float(), self.proj(x)], 1)
        self.kept.copy_(new.half())
        return x @ new.transpose(1, 2)


def test_a_module_may_compute_in_half_precision_itself(converted, tmp_path):
    known = converted(HalfCache, (1, 1, 8))
    package = without_map(known.path, tmp_path)
    map_package(known.module, known.args, package)
    checked = check(known.module, [(torch.randn(1, 1, 8),) for _ in range(3)], package)
    assert checked.holds
    assert max(row.local for row in checked.rows) > 1e-5


def test_inputs_in_another_order_are_refused_with_what_to_do(tmp_path):
    class Apart(nn.Module):
        def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            return x.sum() + y

    ct, given = coremltools(), (torch.randn(2), torch.randn(3))
    with quietly():
        ct.convert(
            torch.jit.trace(Apart(), given, check_trace=False),
            inputs=[ct.TensorType(name=f"in{len(each)}", shape=each.shape) for each in given],
            minimum_deployment_target=ct.target.iOS18,
            skip_model_load=True,
        ).save(str(tmp_path / "apart.mlpackage"))
    with pytest.raises(InputError, match=r"for x, .*takes \[2\], got \[3\]") as error:
        map_package(Apart(), given[::-1], tmp_path / "apart.mlpackage")
    assert "in the program's order, which is in2, in3" in str(error.value.hint)


class Two(nn.Module):
    def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return x + y


class Both(nn.Module):
    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return x + 1, x * 2


@pytest.mark.parametrize(
    ("module", "given", "says"),
    [
        (Two(), 2, "takes given, and the module x, y"),
        (Both(), 1, "returns 1 values, and the module 2"),
    ],
)
def test_inputs_and_outputs_have_to_be_the_modules(encoder, tmp_path, module, given, says):
    with pytest.raises(InputError, match=says):
        map_package(module, (encoder.x,) * given, without_map(encoder.package, tmp_path))


def test_states_have_to_be_the_modules(counter, tmp_path):
    class Stateless(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x[:, 0] * 2

    with pytest.raises(InputError, match=r"keeps cache \[1, 4, 8\], and the module no states"):
        map_package(Stateless(), counter.args, without_map(counter.path, tmp_path))


def test_what_was_written_can_be_read(block, tmp_path):
    package = without_map(block.path, tmp_path)
    assert map_package(block.module, block.args, package) == read_sidecar(package)
