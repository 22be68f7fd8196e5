"""The full-size port against the full-size reference: what the tiny one cannot show."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fixtures.pocket_tts.build import ensure
from fixtures.pocket_tts.cases import case
from fixtures.pocket_tts.reference import Program as Reference
from parity_torch.pocket_tts import Program

pytestmark = pytest.mark.full_size


@pytest.fixture(scope="module")
def full_reference():
    return Reference(size="full")


@pytest.fixture(scope="module")
def full_program():
    return lambda **options: Program(assets=ensure("full"), **options)


def test_all_taps_of_a_short_phrase(full_reference, full_program, record, compare):
    phrase = case("alba-greeting", size="full")
    assert compare(record(full_reference, phrase), record(full_program(), phrase)) is None


@pytest.mark.parametrize(("decode", "prompt"), [("stream", "block"), ("batch", "token")])
def test_same_speech(decode, prompt, full_reference, full_program):
    phrase = case("alba-short", size="full")
    theirs = full_reference.run(phrase)
    ours = full_program(decode=decode, prompt=prompt).run(phrase)
    assert torch.equal(ours["frames_per_chunk"], theirs["frames_per_chunk"])
    for name in ("waveform", "latents"):
        torch.testing.assert_close(ours[name], theirs[name], rtol=1e-5, atol=2e-5)
        assert np.corrcoef(ours[name].ravel(), theirs[name].ravel())[0, 1] >= 0.99999
