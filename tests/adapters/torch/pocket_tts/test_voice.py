"""The voice prompt's ending against the function of the real package."""

from __future__ import annotations

import pytest
import torch
from pocket_tts.data.audio_utils import end_on_pause as package_end_on_pause

from fixtures.pocket_tts.voices import VOICES, synthesise_voice
from parity_torch.pocket_tts.voice import end_on_pause

RATE = 24_000


def tone(seconds: float, *, silence: float = 0.0) -> torch.Tensor:
    speech = torch.sin(torch.arange(int(seconds * RATE)) * 0.05)
    return torch.cat([speech, torch.zeros(int(silence * RATE))])[None]


@pytest.mark.parametrize(
    "audio",
    [
        tone(0.5),
        tone(0.5, silence=0.7),
        tone(0.013),
        tone(0.021),
        torch.zeros(1, RATE),
        torch.zeros(1, 0),
        *(torch.tensor(synthesise_voice(name))[None] for name in list(VOICES)[:2]),
    ],
    ids=["speech", "silence_after", "under_a_frame", "one_frame", "silent", "empty", "v0", "v1"],
)
def test_ends_as_the_package_ends_it(audio):
    assert torch.equal(end_on_pause(audio, RATE), package_end_on_pause(audio, RATE))


def test_the_speech_ends_in_a_pause():
    ended = end_on_pause(tone(0.5, silence=0.7), RATE)
    assert ended.shape[-1] == RATE // 2 + int(0.08 * RATE)
    assert (ended[:, -int(0.08 * RATE) :] == 0).all()


def test_the_given_audio_is_left_as_it_is():
    audio = tone(0.5)
    before = audio.clone()
    end_on_pause(audio, RATE)
    assert torch.equal(audio, before)
