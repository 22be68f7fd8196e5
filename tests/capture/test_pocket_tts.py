"""The real Pocket TTS, shrunken: threads, caches, changes in place, shared modules, NaN."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import parity
from parity.tensors import Case, Role

pytest.importorskip("pocket_tts")

from fixtures.pocket_tts import case as subject_case
from fixtures.pocket_tts.reference import Program


@pytest.fixture(scope="module")
def program() -> Program:
    return Program(size="tiny")


@pytest.fixture(scope="module")
def case() -> Case:
    return subject_case("alba-short", size="tiny")


@pytest.fixture(scope="module")
def unrecorded(program: Program, case: Case) -> dict[str, torch.Tensor]:
    return dict(program.run(case))


def record(path: Path, program: Program, case: Case, **options) -> dict[str, torch.Tensor]:
    taps = {"functions": program.functions, "phases": program.phases, "steps": program.steps}
    with parity.record(path, program.modules, case=case, **{**taps, **options}):
        return dict(program.run(case))


@pytest.fixture(scope="module")
def captured(
    tmp_path_factory, program: Program, case: Case
) -> tuple[Path, dict[str, torch.Tensor]]:
    path = tmp_path_factory.mktemp("tiny") / "run.h5"
    return path, record(path, program, case)


def test_a_recorded_run_sounds_the_same_to_the_bit(captured, unrecorded) -> None:
    for name, value in unrecorded.items():
        assert torch.equal(captured[1][name], value), name


def test_with_operations_and_states_too(tmp_path, program, case, unrecorded) -> None:
    options = {"operations": ["gelu", "scaled_dot*", "cat", "setitem", "chunk"], "states": True}
    path = tmp_path / "all.h5"
    spoken = record(path, program, case, params=False, **options)
    assert torch.equal(spoken["waveform"], unrecorded["waveform"])
    with parity.open(path) as capture:
        for name in (
            "flow_lm.transformer.layers.0::gelu",
            "flow_lm.transformer.layers.0.self_attn::scaled_dot_product_attention",
            "flow_lm.flow_net.res_blocks.0::chunk",
        ):
            assert name in capture
        cache = capture["flow_lm.transformer.layers.0.self_attn"]["state.cache"]
        assert np.isnan(cache[-1]).any()


def test_phases_steps_and_calls(captured, program) -> None:
    path, spoken = captured
    frames = len(spoken["latents"])
    with parity.open(path) as capture:
        assert set(capture.phases) >= {"voice_prompt", "text_prompt", "generate", "decode"}
        count = {}
        for entry in capture.records:
            if entry.key.role is Role.OUTPUT and entry.key.slot == "":
                count.setdefault((entry.key.path, entry.key.phase), []).append(entry.step)
    # The last step is computed and thrown away.
    assert count["flow_lm", "generate"] == list(range(frames + 1))
    assert count["mimi.decode_from_latent", "decode"] == list(range(frames))
    assert count["flow_lm", "voice_prompt"] == count["flow_lm", "text_prompt"] == [-1]
    layers = len(program.modules["flow_lm"].transformer.layers)
    assert len(count["flow_lm.transformer.rope", "generate"]) == layers * (frames + 1)


def test_transposed_convolutions_are_recorded_before_they_are_changed(captured, program) -> None:
    with parity.open(captured[0]) as capture:
        tap = capture["mimi.decoder.model.2.convtr"]
        given, made = torch.tensor(tap.input[-1]), torch.tensor(tap.output[-1])
        changed = torch.tensor(capture["mimi.decoder.model.2"].output[-1])
    with torch.no_grad():
        again = program.modules["mimi"].decoder.model[2].convtr(given)
    assert torch.equal(made, again)
    assert not torch.equal(made[..., : changed.shape[-1]], changed)


def test_the_tape_holds_frames_plus_two_draws(captured, case) -> None:
    path, spoken = captured
    with parity.open(path) as capture:
        tape = capture.noise
    generated = ["generate"] * (len(spoken["latents"]) + 1)
    assert [draw.phase for draw in tape] == ["voice_prompt", "text_prompt", *generated]
    assert len({draw.values.shape for draw in tape}) == 1
    assert tape[0].parameters["std"] == pytest.approx(case.inputs["temperature"] ** 0.5)


def test_a_replayed_run_holds_the_same_bits_whatever_the_seed(
    captured, tmp_path, program, case
) -> None:
    path, spoken = captured
    with parity.open(path) as capture:
        tape = capture.noise
    other = replace(case, seed=case.seed + 1)
    again = record(tmp_path / "again.h5", program, other, noise=tape)
    assert torch.equal(again["waveform"], spoken["waveform"])
    assert digests(tmp_path / "again.h5") == digests(path)
    assert not torch.equal(program.run(other)["latents"][0], spoken["latents"][0])


def digests(path: Path) -> dict[str, str]:
    with parity.open(path) as capture:
        return {str(entry.key): entry.digest for entry in capture.records}
