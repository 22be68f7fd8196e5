"""Three parts of the real model, converted in both precisions, against the real package."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from pocket_tts.modules.stateful_module import increment_steps, init_states
from torch import nn

from fixtures.pocket_tts.build import ensure
from fixtures.pocket_tts.model import load_model
from fixtures.pocket_tts.steps import Decoder, TransformerStep
from parity.localize import Reference
from parity.localize.calibrate import MARGIN, calibrate
from parity.tensors import Role, TapKey
from parity_coreml.check import Checked, check
from parity_coreml.convert import convert
from parity_coreml.module_outputs import module_outputs
from parity_coreml.package import open_package
from parity_coreml.repair import repair
from parity_coreml.sidecar import read_sidecar

Args = tuple[torch.Tensor, ...]
FRAMES = 16  # positions of the decoder's transformer a latent


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    module: nn.Module
    args: Args
    package: Path
    found: Checked


def _flow() -> tuple[nn.Module, Args]:
    lm = load_model(ensure("tiny")).flow_lm
    times = (torch.rand(1, 1), torch.rand(1, 1))
    return lm.flow_net, (torch.randn(1, lm.dim), *times, torch.randn(1, lm.ldim))


def _step() -> tuple[nn.Module, Args]:
    lm = load_model(ensure("tiny")).flow_lm
    step = TransformerStep(lm.transformer, 16)
    offset = torch.tensor([5], dtype=torch.int32)
    return step, (torch.randn(1, 1, lm.dim), offset, torch.randn_like(step.empty()))


def _decoder() -> tuple[nn.Module, Args]:
    mimi = load_model(ensure("tiny")).mimi
    decoder = Decoder(mimi, 256)
    latent = torch.randn(1, 1, mimi.quantizer.dimension)
    offset = torch.tensor([2 * FRAMES], dtype=torch.int32)
    return decoder, (latent, offset, *map(torch.randn_like, decoder.empty()))


PARTS = {"flow net": _flow, "transformer step": _step, "decoder": _decoder}


@pytest.fixture(scope="module")
def part(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], Part]:
    made: dict[tuple[str, str], Part] = {}

    def get(name: str, precision: str) -> Part:
        if (name, precision) not in made:
            torch.manual_seed(1)
            module, args = PARTS[name]()
            module.eval()
            package = tmp_path_factory.mktemp("part") / "part.mlpackage"
            convert(module, args, package, precision=precision)
            found = check(module, [args], package)
            made[name, precision] = Part(module, args, package, found)
        return made[name, precision]

    return get


def error_of(value: torch.Tensor, reference: torch.Tensor) -> float:
    return float((value - reference).norm() / reference.norm())


@torch.no_grad()
def test_the_step_computes_what_the_package_computes():
    lm = load_model(ensure("tiny")).flow_lm
    inputs = [torch.randn(1, 1, lm.dim) for _ in range(4)]
    state, expected = init_states(lm, 1, 8), []
    for x in inputs:
        expected.append(lm.transformer(x, state))
        increment_steps(lm, state, 1)
    step = TransformerStep(lm.transformer, 8)
    windows = step.empty()
    for number, x in enumerate(inputs):
        made, windows = step(x, torch.tensor([number]), windows)
        assert error_of(made, expected[number]) <= 1e-6


@torch.no_grad()
def test_the_decoder_computes_what_the_package_computes():
    mimi = load_model(ensure("tiny")).mimi
    latents = [torch.randn(1, 1, mimi.quantizer.dimension) for _ in range(3)]
    state, expected = init_states(mimi, 1, 3 * FRAMES), []
    for latent in latents:
        expected.append(mimi.decode_from_latent(latent, state))
        increment_steps(mimi, state, FRAMES)
    decoder = Decoder(mimi, 256)
    kept: Args = decoder.empty()
    for number, latent in enumerate(latents):
        made, *kept = decoder(latent, torch.tensor([number * FRAMES]), *kept)
        assert error_of(made, expected[number]) <= 1e-6


@pytest.mark.parametrize("name", PARTS)
@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_every_module_is_mapped(part, name, precision):
    coverage = part(name, precision).found.coverage
    assert coverage.modules.compared == coverage.modules.total > 20
    assert not coverage.modules.left
    assert coverage.parameters.compared == coverage.parameters.total
    assert coverage.edges.compared >= 0.85 * coverage.edges.total


@pytest.mark.parametrize("name", PARTS)
def test_float32_is_within_a_millionth_but_for_the_gelu(part, name, tmp_path):
    one = part(name, "float32")
    gelus = {row.value for row in one.found.rows if row.kind == "gelu"}
    assert {row.value for row in one.found.converter} == gelus
    assert bool(gelus) == (name != "flow net")
    assert {cause.should for cause in one.found.causes.values()} <= {"TANH_APPROXIMATION"}
    assert set(one.found.causes) == gelus
    package = one.package
    if gelus:
        package = tmp_path / "fixed.mlpackage"
        repair(open_package(one.package), one.found.causes.values(), package)
    fixed = check(one.module, [one.args], package)
    assert fixed.holds
    assert max(row.error for row in fixed.rows) <= 1e-6


@pytest.mark.parametrize("name", PARTS)
def test_float16_stays_within_the_calibrated_floor(part, name):
    one = part(name, "float16")
    assert {row.kind for row in one.found.converter} <= {"gelu"}
    reference = Reference.of_module({"part": one.module}, run=lambda: one.module(*one.args))
    floors = calibrate(reference, precision="float16")
    farthest = np.max([*floors.errors["float16"].values()], axis=0)
    made = open_package(one.package).evaluator()
    sidecar = read_sidecar(one.package)
    values = made.run(dict(zip(sidecar.inputs, one.args, strict=True))).values
    outputs = {
        (f"part.{each.path}".rstrip("."), each.slot, each.call): each.value
        for each in module_outputs(one.module, one.args)
    }
    for placed in sidecar.placed:
        path = "part" if placed.path == "(root)" else f"part.{placed.path}"
        value = values[placed.value]
        value = value.permute(placed.permutation) if placed.permutation else value
        error = error_of(value, outputs[path, placed.slot, placed.call])
        key = TapKey(path, Role.OUTPUT, placed.slot, "", placed.call)
        assert error <= floors.of(key), (placed, error, floors.of(key))
        # A floor has room for others' kernels, which this is not: the runs themselves bound it too.
        assert error <= MARGIN * farthest[floors.keys.index(key)], (placed, error)
