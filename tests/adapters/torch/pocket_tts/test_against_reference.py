"""Every module output of the port against hooks on the real package."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from fixtures.pocket_tts.cases import case

CASES = ["alba-greeting", "alba-short", "alba-medium", "alba-long", "marius-numbers"]


def correlation(a: torch.Tensor, b: torch.Tensor) -> float:
    assert a.shape == b.shape
    return float(np.corrcoef(a.ravel(), b.ravel())[0, 1])


@pytest.mark.parametrize("name", CASES)
def test_all_taps_within_1e_5(name, reference, make_program, record, compare):
    ours = record(make_program(), case(name, size="tiny"))
    assert compare(reference(case(name, size="tiny")), ours) is None


@pytest.mark.parametrize("phase", ["voice_prompt", "text_prompt", "generate", "decode"])
def test_same_names_calls_and_steps_in_the_same_order(
    phase, reference, greeting, make_program, record
):
    def named(recording):
        # The reference embeds the text before it enters `flow_lm`, where its step begins.
        return [
            (r.key, "conditioner" in r.key.path or r.step)
            for r in recording.records
            if r.key.phase == phase
        ]

    theirs = named(reference(greeting))
    assert theirs
    assert named(record(make_program(), greeting)) == theirs


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("decode", ["stream", "batch"])
@pytest.mark.parametrize("prompt", ["block", "token"])
def test_same_speech_in_all_modes(name, decode, prompt, reference, make_program):
    theirs = reference(case(name, size="tiny")).outputs
    ours = make_program(decode=decode, prompt=prompt).run(case(name, size="tiny"))
    for exact in ("tokens", "tokens_per_chunk", "frames_per_chunk"):
        assert torch.equal(ours[exact], theirs[exact])
    for near in ("waveform", "latents"):
        torch.testing.assert_close(ours[near], theirs[near], rtol=1e-5, atol=1e-5)
        assert correlation(ours[near], theirs[near]) >= 0.99999


@pytest.mark.parametrize("steps", [2, 5])
def test_several_decode_steps(steps, greeting, reference, make_program):
    longer = replace(
        greeting, name=f"steps-{steps}", inputs={**greeting.inputs, "decode_steps": steps}
    )
    theirs, ours = reference(longer).outputs, make_program().run(longer)
    torch.testing.assert_close(ours["waveform"], theirs["waveform"], rtol=1e-5, atol=1e-5)


def test_the_tape_of_the_reference_gives_the_same_bits_as_its_seed(
    greeting, reference, make_program
):
    taped = greeting.with_noise(tuple(reference(greeting).sink.draws))
    program = make_program()
    assert torch.equal(program.run(taped)["waveform"], program.run(greeting)["waveform"])


def test_a_tape_off_by_one_draw_is_another_speech(greeting, reference, make_program):
    draws = tuple(reference(greeting).sink.draws)
    shifted = make_program().run(greeting.with_noise((*draws[1:], draws[0], *draws)))["latents"]
    theirs = reference(greeting).outputs["latents"]
    shared = min(len(shifted), len(theirs))
    assert correlation(shifted[:shared], theirs[:shared]) < 0.9


@pytest.mark.parametrize("path", ["flow_lm.out_norm", "flow_lm.transformer.layers.1.self_attn"])
def test_reading_token_by_token_gives_the_same_positions(
    path, greeting, reference, make_program, record
):
    ours = record(make_program(prompt="token"), greeting).by_tap()
    for phase in ("voice_prompt", "text_prompt"):
        (block,) = reference(greeting).by_tap()[phase, path, ""]
        tokens = np.concatenate(ours[phase, path, ""], axis=1)
        np.testing.assert_allclose(tokens, block, rtol=1e-4, atol=1e-5)


def test_decoding_in_one_pass_gives_the_same_frames(greeting, reference, make_program, record):
    path = ("decode", "mimi.decoder.model.5", "")
    (block,) = record(make_program(decode="batch"), greeting).by_tap()[path]
    frames = np.concatenate(reference(greeting).by_tap()[path], axis=-1)
    np.testing.assert_allclose(frames, block, rtol=1e-4, atol=1e-5)


def test_double_precision_stays_double(greeting, reference, make_program, record):
    ours = record(make_program(dtype="float64"), greeting)
    dtypes = {r.array.dtype for r in ours.records if r.array.dtype != np.bool_}
    assert dtypes == {np.dtype("float64")}
    theirs = reference(greeting).outputs["waveform"].double()
    torch.testing.assert_close(ours.outputs["waveform"], theirs, rtol=1e-5, atol=1e-5)


def test_half_precision_is_near(greeting, reference, make_program):
    ours = make_program(dtype="bfloat16").run(greeting)
    theirs = reference(greeting).outputs["latents"]
    shared = min(len(ours["latents"]), len(theirs))
    assert ours["waveform"].dtype == torch.bfloat16
    assert correlation(ours["latents"][:shared].float(), theirs[:shared]) > 0.99


def test_recording_changes_no_bit(greeting, make_program, record):
    program = make_program()
    recorded = record(program, greeting).outputs
    assert torch.equal(recorded["waveform"], program.run(greeting)["waveform"])


def test_it_does_not_import_the_package_it_stands_for(assets, tmp_path):
    code = (
        "import sys, numpy as np\n"
        "from parity.tensors import Case\n"
        "from parity_torch.pocket_tts import Program\n"
        "voice = {'voice_audio': np.sin(np.arange(9600, dtype=np.float32))}\n"
        "inputs = {'text': 'Hi.', 'min_frames_before_eos': 0, 'eos_threshold': -1e9}\n"
        f"Program(assets={str(assets)!r}).run(Case('x', inputs, voice))\n"
        "assert 'pocket_tts' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path)
