"""Noise floors: they bound what rounding does, and faults stand out above them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 - torch's own name for it

import parity
from parity.errors import ConfigError, InputError
from parity.localize import reorder
from parity.localize.calibrate import calibrate
from parity.localize.execute import Operands
from parity.localize.noise_floors import Floors
from parity.localize.reference import Reference
from parity.localize.runs import variants
from parity.localize.tape import resolve
from parity.store import RecordFloors, open_capture, write_floors
from parity.tensors import Role, TapKey
from parity.tolerance import Rule, Tolerance, Verdict

Tensor = torch.Tensor


class Block(nn.Module):
    """Attention and a perceptron, each behind a norm; `linear` may sum in another order."""

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width, eps=eps), nn.LayerNorm(width, eps=eps)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(self.norm1(x)).unflatten(-1, (3, 4, -1)).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(mixed.transpose(1, 2).flatten(2))
        return x + self.down(F.gelu(self.up(self.norm2(x))))


class Model(nn.Module):
    """Embedding, three blocks, a scalar head and a decision."""

    def __init__(self, *, eps: float = 1e-5, width: int = 64) -> None:
        super().__init__()
        self.embed = nn.Embedding(50, width)
        self.blocks = nn.ModuleList(Block(width, eps) for _ in range(3))
        self.head, self.choose = nn.Linear(width, 1), nn.Linear(width, 50)

    def forward(self, ids: Tensor) -> Tensor:
        x = self.embed(ids)
        for block in self.blocks:
            x = block(x)
        for step in range(x.shape[1]):
            self.head(x[:, step])
        chosen = self.choose(x).argmax(-1)
        parity.tap("chosen", chosen)
        return x


IDS = torch.arange(24).reshape(2, 12)


def model(eps: float = 1e-5) -> Model:
    torch.manual_seed(0)
    return Model(eps=eps).eval()


@contextmanager
def threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@pytest.fixture(scope="module")
def golden(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A capture of the reference with its noise floors."""
    path = tmp_path_factory.mktemp("golden") / "reference.h5"
    with threads(1):
        record(path, model())
    reference = Reference.of_module(model(), IDS, capture=path)
    with open_capture(path) as capture, threads(1):
        found = calibrate(reference, precision=("float32", "float16"), against=capture)
        rows = {name: found.for_records(capture.records, name) for name in found.precisions}
    write_floors(path, {name: RecordFloors(*both, {}) for name, both in rows.items()})
    return path


def record(path: Path, module: nn.Module) -> Path:
    with torch.no_grad(), parity.record(path, module):
        module(IDS)
    return path


def in_blocks(x: Tensor, layer: nn.Linear, size: int) -> Tensor:
    total = torch.zeros(*x.shape[:-1], layer.out_features)
    for i in range(0, layer.in_features, size):
        total = total + F.linear(x[..., i : i + size], layer.weight[:, i : i + size])
    return total + layer.bias


def blocked(module: nn.Module, size: int) -> nn.Module:
    """A port that multiplies matrices block by block, or term by term."""
    for part in module.modules():
        if isinstance(part, nn.Linear):
            part.forward = lambda x, p=part: in_blocks(x, p, size)  # type: ignore[method-assign]
    return module


def half(module: nn.Module) -> nn.Module:
    """A port that computes in half precision and dumps float32."""

    def rounding(_module: nn.Module, _args: object, result: Tensor) -> Tensor:
        return result.half().float()

    for part in module.modules():
        for parameter in part.parameters(recurse=False):
            parameter.data = parameter.data.half().float()
        if not list(part.children()):
            part.register_forward_hook(rounding)
    return module


@pytest.mark.parametrize("size", [1, 16, 100])
def test_sums_in_another_order_are_within_noise(golden: Path, tmp_path: Path, size: int) -> None:
    with threads(1):
        port = record(tmp_path / "port.h5", blocked(model(), size))
    result = parity.diff(golden, port)
    assert result.outcome == "holds"
    assert Verdict.WITHIN_NOISE in result.counts
    assert result.floors.source == "calibrated"
    assert result.floors.precisions == ("float32",)
    assert result.notes[-1] == "noise floors: calibrated (float32)"


def test_more_threads_are_within_noise(golden: Path, tmp_path: Path) -> None:
    with threads(2):
        port = record(tmp_path / "port.h5", model())
    assert parity.diff(golden, port).outcome == "holds"


def test_a_fault_just_above_is_drift_that_a_guess_does_not_see(
    golden: Path, tmp_path: Path
) -> None:
    with threads(1):
        bare = record(tmp_path / "bare.h5", model())
        port = record(tmp_path / "port.h5", model(eps=1.1e-5))
    found = parity.diff(golden, port)
    assert found.outcome == "broken"
    assert found.counts.keys() >= {Verdict.DRIFT}
    assert Verdict.DIVERGENT not in found.counts
    first = found.first_divergence
    assert first is not None
    assert first.key.path == "blocks.0.norm1"
    assert first.calibrated
    # By the element type alone nearly all of it passes.
    by_type = parity.diff(bare, port)
    assert by_type.floors.source == "derived"
    assert len(by_type.failures) < len(found.failures) / 2
    command = f"`parity calibrate {bare}` measures them"
    assert by_type.notes[-1] == f"noise floors: derived from the element type; {command}"


def test_half_precision_is_judged_by_its_own_noise(golden: Path, tmp_path: Path) -> None:
    with threads(1):
        port = record(tmp_path / "port.h5", half(model()))
    plan = parity.TapPlan(roles=frozenset({Role.OUTPUT}), exclude=("*:*", "(root)"))
    mine = parity.diff(golden, port, tolerance="fp16", plan=plan)
    assert mine.floors.precisions == ("float16",)
    assert mine.outcome == "holds"
    assert parity.diff(golden, port, plan=plan).outcome == "broken"
    # Its own noise is finer than what is assumed of the type.
    rows = [row for row in mine if row.calibrated]
    assert max(row.floor for row in rows) < 7.5e-3


def test_a_rule_for_a_precision_that_was_not_measured_falls_back(
    golden: Path, tmp_path: Path
) -> None:
    with threads(1):
        port = record(tmp_path / "port.h5", model())
    result = parity.diff(golden, port, tolerance=Tolerance((("head", Rule(precision="bfloat16")),)))
    assert result.floors.source == "mixed"
    assert {row.floor for row in result["head"] if row.key.role is Role.OUTPUT} >= {5e-6}
    assert not any(row.calibrated for row in result["head"])
    assert "and for 24 tensors derived from the element type" in result.notes[-1]


@pytest.fixture(scope="module")
def floors() -> Floors:
    with threads(1):
        return calibrate(Reference.of_module(model(), IDS), precision=("float32", "bfloat16"))


def test_floors_come_from_all_runs(floors: Floors) -> None:
    runs = floors.facts["runs"]["float32"]
    assert runs[:2] == ["as recorded", "sums in another order"]
    assert floors.facts["runs"]["bfloat16"][1] == "rounded to bfloat16"
    large = np.array([key.path == "blocks.2" for key in floors.keys])
    worst = np.max(list(floors.errors["float32"].values()), axis=0)
    assert (floors.values["float32"][large] >= worst[large]).all()
    assert floors.of(TapKey("blocks.2", Role.OUTPUT)) < 2e-6
    assert 1e-3 < floors.of(TapKey("blocks.2", Role.OUTPUT), "bfloat16") < 6e-2


def test_exact_types_have_no_floor(floors: Floors) -> None:
    assert floors.of(TapKey("embed", Role.INPUT)) == 0.0
    assert floors.of(TapKey("chosen", Role.TAP)) == 0.0


def test_no_floor_is_below_four_roundings(floors: Floors) -> None:
    known = floors.values["float32"]
    assert known[known > 0].min() == 4 * 2.0**-24
    assert floors.values["bfloat16"][known > 0].min() == 4 * 2.0**-8


def test_scalars_share_the_floor_of_their_tap(floors: Floors) -> None:
    found = {floors.of(key) for key in floors.keys if key.path == "head" and key.port == "output"}
    assert len(found) == 1


def test_it_is_repeatable(floors: Floors) -> None:
    with threads(1):
        again = calibrate(Reference.of_module(model(), IDS), precision="bfloat16")
    np.testing.assert_array_equal(again.values["bfloat16"], floors.values["bfloat16"])


def test_the_generators_and_threads_are_left_as_they_were() -> None:
    with threads(1):
        module = nn.Linear(4, 4)
        state = torch.get_rng_state()
        calibrate(Reference.of_module(module, torch.ones(2, 4)))
        assert torch.get_num_threads() == 1
        assert torch.equal(torch.get_rng_state(), state)
        assert torch.get_default_dtype() is torch.float32


class Undecided(nn.Module):
    """Two logits that differ by rounding only, and what is chosen by them."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(3)
        self.weight = nn.Parameter(torch.randn(1, 1000, generator=generator))
        self.values = nn.Parameter(torch.tensor([[1.0], [-1.0]]))

    def forward(self, x: Tensor) -> Tensor:
        logits = torch.cat([F.linear(x, self.weight), F.linear(x.flip(-1), self.weight.flip(-1))])
        chosen = logits[:, 0].argmax()
        parity.tap("chosen", chosen)
        return self.values[chosen] * x


def test_decisions_that_rounding_flips_are_named_and_do_not_spread() -> None:
    x = torch.randn(1, 1000, generator=torch.Generator().manual_seed(4))
    with threads(1):
        found = calibrate(Reference.of_module(Undecided(), x), precision=("float32", "float16"))
    assert any("argmax" in name for names in found.flips.values() for name in names)
    place = found.keys.index(TapKey("chosen", Role.TAP))
    assert any(flags[place] for flags in found.unstable.values())
    # What follows is computed with the choice that was recorded.
    assert found.of(TapKey("(root)", Role.OUTPUT)) < 1e-6


def test_a_flip_is_told_with_the_difference(
    tmp_path: Path, capture_of: Callable[..., Path]
) -> None:
    ids = np.array([3, 4, 5])
    path = capture_of("reference.h5", {"ids": ids, "x": np.linspace(0, 1, 40, dtype=np.float32)})
    other = capture_of("port.h5", {"ids": ids[::-1], "x": np.linspace(0, 1, 40, dtype=np.float32)})
    floor, unstable = np.array([0.0, 1e-7]), np.array([True, False])
    write_floors(path, {"float32": RecordFloors(floor, unstable, {})})
    result = parity.diff(path, other)
    assert result["ids"][0].verdict is Verdict.DIVERGENT
    assert (
        "1 tensors that differ (ids) hold decisions that rounding alone flips in the reference"
        in result.notes
    )


def test_a_run_of_another_program_is_refused(golden: Path) -> None:
    for other, message in (
        (model(eps=1e-2), r"is off by .* at blocks\.0\.norm1:output"),
        (Model(width=32), r"has float32\[2, 12, 32\] at embed:output#0 and not"),
        (nn.Embedding(50, 3), r"has no .*, nor \d+ more of its taps"),
    ):
        with (
            open_capture(golden) as capture,
            pytest.raises(InputError, match=f"does not reproduce the capture: its run {message}"),
        ):
            calibrate(Reference.of_module(other.eval(), IDS), against=capture)


def test_an_unknown_precision_is_refused() -> None:
    with pytest.raises(ConfigError, match="no noise floors can be measured for 'int8'"):
        calibrate(Reference.of_module(nn.Linear(2, 2), torch.ones(2)), precision="int8")


def test_progress_comes_to_its_end() -> None:
    heard: list[tuple[int, int]] = []
    calibrate(
        Reference.of_module(nn.Linear(2, 2), torch.ones(2)),
        progress=lambda done, total: heard.append((done, total)),
    )
    assert heard[-1] == (1, 1)


def test_a_reference_in_half_precision_has_floors_for_float32() -> None:
    module = nn.Sequential(nn.Linear(64, 64), nn.GELU(), nn.Linear(64, 64)).to(torch.bfloat16)
    x = torch.ones(8, 64, dtype=torch.bfloat16) / 3
    found = calibrate(Reference.of_module(module, x), precision=("float32", "float64"))
    # A port in float32 differs from it by the rounding of the reference.
    key = TapKey("2", Role.OUTPUT)
    assert 1e-3 < found.of(key) < 2e-2
    assert found.of(key, "float64") <= found.of(key)


def test_a_table_of_floors(floors: Floors) -> None:
    frame = floors.to_frame()
    assert set(frame["precision"]) == {"float32", "bfloat16"}
    assert len(frame) == 2 * len(floors)
    worst = floors.worst(3, "bfloat16")
    assert [value for _, value in worst] == sorted((v for _, v in worst), reverse=True)
    with pytest.raises(InputError, match="no floors were measured for float16"):
        floors.of(floors.keys[0], "float16")


SUMS: list[tuple[str, Callable[..., Tensor], tuple[object, ...]]] = [
    ("linear", F.linear, ((3, 100), (20, 100), (20,))),
    ("matmul", torch.matmul, ((2, 5, 90), (2, 90, 7))),
    ("bmm", torch.bmm, ((2, 5, 90), (2, 90, 7))),
    ("addmm", torch.addmm, ((7,), (5, 90), (90, 7))),
    ("sum", lambda x: x.sum((0, 2)), ((4, 5, 90),)),
    ("mean", lambda x: x.mean(-1, keepdim=True), ((4, 90),)),
    ("softmax", lambda x: torch.softmax(x, 0), ((90, 4),)),
    ("layer_norm", lambda x: F.layer_norm(x, x.shape[1:]), ((4, 5, 9),)),
    ("var", lambda x: x.var(-1, keepdim=True), ((4, 90),)),
    ("var", lambda x: x.var(0, False), ((90, 4),)),
    ("std", lambda x: torch.std(x, dim=(0, 2), correction=0), ((4, 5, 90),)),
    ("conv1d", lambda x, w, b: F.conv1d(x, w, b, 2, 1), ((2, 12, 30), (8, 12, 5), (8,))),
    ("conv1d", lambda x, w: F.conv1d(x, w, groups=12), ((2, 12, 30), (12, 1, 5))),
    ("conv2d", lambda x, w: F.conv2d(x, w, padding="same"), ((2, 6, 9, 9), (8, 6, 3, 3))),
    ("conv_transpose1d", lambda x, w: F.conv_transpose1d(x, w, stride=3), ((2, 12, 9), (12, 8, 5))),
    ("sdpa", lambda q: F.scaled_dot_product_attention(q, q, q, is_causal=True), ((2, 4, 9, 16),)),
]  # fmt: skip


class Calls(nn.Module):
    """One function of tensors."""

    def __init__(self, function: Callable[..., Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *tensors: Tensor) -> Tensor:
        return self.function(*tensors)


@pytest.mark.parametrize(("name", "function", "shapes"), SUMS, ids=[case[0] for case in SUMS])
def test_another_order_is_the_same_sum(
    name: str, function: Callable[..., Tensor], shapes: tuple[tuple[int, ...], ...]
) -> None:
    dice = torch.Generator().manual_seed(5)
    tensors = [torch.randn(shape, generator=dice) for shape in shapes]
    tape = Reference.of_module(Calls(function), *tensors).tape
    edits = reorder.reordered(tape)
    assert edits
    called: list[str] = []
    for replaced in edits.values():
        for edit in replaced:
            node = tape.nodes[edit.node]
            args = resolve(node.args, lambda value: tape.leaves[value].tensor)
            kwargs = resolve(node.kwargs, lambda value: tape.leaves[value].tensor)
            default = lambda n=node: called.append(n.name)  # noqa: E731 - must not be needed
            made = edit.apply(Operands(args, kwargs, default))
            assert called == []
            exact = function(*(tensor.double() for tensor in tensors))
            own = function(*tensors)
            assert made.shape == own.shape
            assert made.dtype == own.dtype
            error = float((made.double() - exact).norm() / exact.norm())
            assert error < 1e-6
            assert name in {"mean", "softmax"} or not torch.equal(made, own)


def test_sums_are_taken_term_by_term_as_a_loop_takes_them() -> None:
    x = torch.randn(5, 700, generator=torch.Generator().manual_seed(5)) + 1
    loop = torch.zeros(5)
    for column in x.T:
        loop = loop + column
    tape = Reference.of_module(Calls(lambda x: x.sum(-1)), x).tape
    (((edit,)),) = reorder.reordered(tape).values()
    assert torch.equal(edit.apply(Operands((x, -1), {}, lambda: x)), loop)
    assert not torch.equal(x.sum(-1), loop)


def test_the_runs_of_a_precision() -> None:
    tape = Reference.of_module(nn.Linear(4, 4), torch.ones(4)).tape
    assert [run.name for run in variants(tape, ["float64"], 1)] == ["as recorded"]
    names = [run.name for run in variants(tape, ["float16"], 1)]
    assert names[1] == "rounded to float16"
    assert math.isclose(sum(run.threads for run in variants(tape, ["float16"], 1)), len(names))
