"""What a sceptic tries: other converters, other sounds, two faults at once, other channels."""

import numpy as np
import pytest
from scipy.signal import resample, resample_poly

from benchmarks.audio.faults import FRAME, RATE
from fixtures.speech import samples
from parity.audio import Judgement, from_array, listen
from parity.report.listening_words import corrections


def heard(reference, candidate, *, rate=RATE, label=RATE, **settings):
    settings = {"seeded": True, "frame": FRAME * label // RATE, **settings}
    return listen(from_array(reference, rate), from_array(candidate, label), **settings)


def names(found):
    return [pathology.name for pathology in found.diagnosis]


@pytest.mark.parametrize("label", [8000, 12000, 22050, 44100, 48000])
def test_whoever_converts_the_rate_is_heard_the_same(speech, label):
    theirs = resample(speech, round(speech.size * label / RATE))
    assert heard(speech, theirs, label=label).judgement is Judgement.WARN
    noisy = speech + 0.002 * np.random.default_rng(0).standard_normal(speech.size)
    theirs = resample(noisy, round(speech.size * label / RATE))
    assert heard(speech, theirs, label=label).judgement is Judgement.FAIL


def test_frames_that_are_zero_are_seen_at_another_rate(speech):
    theirs = resample_poly(speech, 3, 1)
    theirs[20 * 3840 : 22 * 3840] = 0
    found = heard(speech, theirs, label=48000)
    assert found["zero_run_ms"].judgement is Judgement.FAIL


def test_a_tone_is_on_its_own_clock():
    tone = 0.3 * np.sin(2 * np.pi * 440 * np.arange(3 * RATE) / RATE)
    for same in (tone, np.round(tone * 32768) / 32768, tone.astype(np.float16)):
        found = heard(tone, same)
        assert found.judgement is Judgement.WARN
        assert found.waveform.drift_ppm == pytest.approx(0, abs=1)
    assert names(heard(tone, 0.9 * tone)) == ["gain"]


def test_two_sentences_are_never_one_played_faster():
    said = [samples(name) for name in ("greeting", "city", "river", "question", "market")]
    for one in said:
        for other in said:
            if one is not other:
                found = listen(from_array(one, RATE), from_array(other, RATE), frame=FRAME)
                assert "speed" not in names(found)
                assert "stretched" not in names(found)


def test_later_by_more_than_a_second_is_late(speech):
    found = heard(speech, np.concatenate((np.zeros(2 * RATE), speech)))
    assert names(found)[:2] == ["length", "late"]
    assert found.waveform.lag_samples == 2 * RATE


def test_the_gain_of_a_sound_with_a_frame_lost_is_that_of_its_frames(speech):
    at = 20 * FRAME
    found = heard(speech, 0.8 * np.concatenate((speech[:at], speech[at + FRAME :])))
    assert found.waveform.gain == pytest.approx(0.8, abs=0.005)
    assert names(found)[:2] == ["clock", "gain"]


def test_an_offset_that_nobody_hears_is_reported_and_not_an_error(speech):
    found = heard(speech, speech + 1e-3)
    assert found.judgement is Judgement.PASS
    assert found["offset"].value == pytest.approx(1e-3, rel=1e-3)
    assert found.waveform.snr_db > 100
    assert found["snr_before_db"].value < 50
    assert found.to_dict()["waveform"]["offset"] == pytest.approx(1e-3, rel=1e-3)
    assert "an offset of 0.001" in corrections(found.waveform)
    assert heard(speech, speech + 3e-3)["offset"].judgement is Judgement.FAIL


def test_what_differs_at_both_ends_gathers_at_no_boundaries(speech):
    faded = speech + 0.02
    ramp = np.linspace(0, 1, 48)
    theirs = faded.copy()
    theirs[:48] *= ramp
    theirs[-48:] *= ramp[::-1]
    found = heard(faded, theirs)
    assert not found.waveform.boundary_error > 3


def test_of_two_channels_the_bad_one_is_diagnosed(speech):
    both = np.stack((speech, 0.5 * np.roll(speech, 30)))
    late = np.stack((both[0], np.roll(both[1], 100)))
    found = heard(both, late)
    assert (found.waveform.channel, names(found)) == (1, ["late"])


def test_a_channel_that_is_silent_in_the_reference_has_to_be_silent(speech):
    half = np.stack((speech, 0 * speech))
    assert heard(half, half).judgement is Judgement.PASS
    loud = np.stack((speech, 0.3 * speech[::-1]))
    assert heard(half, loud).judgement is Judgement.FAIL


def test_silence_around_is_no_matter_of_dynamics(speech):
    padded = np.concatenate((speech, np.zeros(1200)))
    assert heard(speech, padded)["dynamics_db"].judgement is Judgement.PASS


def test_one_sample_is_one_sample(speech):
    assert [str(found) for found in heard(speech, speech[:1] + 0.1).diagnosis] == [
        "it is only 1 sample long"
    ]


def test_numbers_beyond_sound_are_no_integers(speech):
    found = listen(None, from_array(speech * 1e30, RATE), frame=FRAME)
    assert names(found)[0] == "clipping"
    assert "e+29" in str(found.diagnosis[0])


def test_a_reference_shorter_than_a_frame_is_called_that(speech):
    found = heard(speech[:500], speech)
    assert found.judgement is Judgement.INVALID
    assert found.notes == ("the reference is shorter than a frame: 500 of 1,280 samples",)
