"""Bad, odd and differently stored sound: a clear outcome for each."""

import struct
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
import soundfile

from parity.audio import Judgement, as_clip, from_array, listen, load_clip
from parity.errors import InputError

RATE = 16000


def heard(reference, candidate, **settings):
    return listen(reference, candidate, sample_rate=RATE, seeded=True, **settings)


@pytest.mark.parametrize(
    ("suffix", "subtype", "floor_db"),
    [("wav", "PCM_16", 65), ("wav", "PCM_24", 110), ("wav", "PCM_32", 150), ("wav", "FLOAT", 130),
     ("wav", "DOUBLE", 250), ("flac", "PCM_16", 65), ("flac", "PCM_24", 110)],
)  # fmt: skip
def test_formats_are_read_at_full_scale(tmp_path, speech, suffix, subtype, floor_db):
    path = tmp_path / f"port.{suffix}"
    soundfile.write(path, 0.7 * speech, RATE, subtype=subtype)
    found = heard(0.7 * speech, path)
    assert found.judgement is Judgement.PASS
    assert found.waveform.snr_db > floor_db
    assert found.candidate.format == f"{suffix.upper()} {subtype}"


def test_arrays_of_every_width(tmp_path, speech):
    for array in (speech.astype("f4"), speech.astype("f2"), speech.astype(ml_dtypes.bfloat16),
                  (speech * 32767).astype("i2"), (speech * 2**31).astype("i4"),
                  speech[None, None].astype("f4")):  # fmt: skip
        found = heard(speech, array)
        assert found.waveform.snr_db > 40
    np.save(tmp_path / "port.npy", speech)
    assert heard(speech, tmp_path / "port.npy").judgement is Judgement.PASS


def test_a_captures_tap_is_read_call_by_call(capture_of, speech):
    chunks = [("waveform", chunk[None].astype("f4")) for chunk in np.split(speech, 2)]
    path = capture_of("port.h5", chunks)
    clip = load_clip(path, sample_rate=RATE)
    np.testing.assert_array_equal(clip.mono, speech.astype("f4"))
    with pytest.raises(InputError, match="no such tap"):
        load_clip(path, sample_rate=RATE, tap="sound")
    stats = capture_of("stats.h5", {"waveform": speech}, tier="stats")
    with pytest.raises(InputError, match="only its statistics were recorded"):
        load_clip(stats, sample_rate=RATE)


def test_mono_beside_stereo(speech):
    twice, other = np.stack((speech, speech)), np.stack((speech, 0 * speech))
    assert heard(speech, twice).judgement is Judgement.WARN
    assert heard(speech, other).judgement is Judgement.FAIL
    assert heard(twice, speech).judgement is Judgement.WARN
    assert "channels" in heard(speech, twice).notes[0]


def test_of_two_channels_the_worse_one_counts(speech):
    stereo = np.stack((speech, 0.5 * speech))
    broken = np.stack((speech, np.tanh(5 * speech)))
    found = heard(stereo, broken)
    assert found.waveform.channel == 1
    assert found.judgement is Judgement.FAIL
    swapped = heard(np.stack((speech, speech[::-1])), np.stack((speech[::-1], speech)))
    assert any("exchanged" in pathology.words for pathology in swapped.diagnosis)


def test_mismatched_rates_are_compared_at_the_lower(speech):
    from scipy.signal import resample_poly

    port = from_array(resample_poly(speech, 3, 2), 24000)
    found = listen(from_array(speech, RATE), port, seeded=True)
    assert found.candidate.sample_rate == RATE
    assert found.judgement is Judgement.WARN
    assert found["sample_rate_hz"].judgement is Judgement.WARN


@pytest.mark.parametrize(
    "candidate",
    [np.zeros(0), np.ones(1), np.zeros(48000), np.full(48000, 0.3), np.full(48000, np.nan)],
    ids=["empty", "one sample", "silent", "constant", "all NaN"],
)  # fmt: skip
def test_a_candidate_without_sound_fails(speech, candidate):
    assert heard(speech, candidate).judgement is Judgement.FAIL
    assert heard(speech, candidate).exit_status == 1
    assert listen(None, candidate, sample_rate=RATE).judgement is Judgement.FAIL


@pytest.mark.parametrize(
    "reference", [np.zeros(0), np.ones(1), np.zeros(48000), np.full(48000, np.nan)],
    ids=["empty", "one sample", "silent", "all NaN"],
)  # fmt: skip
def test_a_reference_without_sound_says_nothing(speech, reference):
    found = heard(reference, speech)
    assert found.judgement is Judgement.INVALID
    assert found.to_dict()["exit_status"] == 3
    assert str(found).startswith("Nothing can be concluded")


def test_nothing_beside_nothing_never_passes():
    for empty in (np.zeros(0), np.zeros(48000), np.full(48000, 0.5)):
        assert heard(empty, empty).exit_status == 3


def test_huge_numbers_are_measured_and_not_overflown(speech):
    found = heard(speech, np.where(np.arange(speech.size) % 1000, speech, 3e38))
    assert found.judgement is Judgement.FAIL
    assert np.isfinite(found["rms"].value)


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def test_files_that_cannot_be_used_say_why(tmp_path, speech):
    whole = tmp_path / "whole.wav"
    soundfile.write(whole, speech, RATE)
    cut = write(tmp_path / "cut.wav", whole.read_bytes()[:20000])
    with pytest.raises(InputError, match=r"cut\.wav: is cut off: its header promises"):
        load_clip(cut)
    with pytest.raises(InputError, match="cannot be read as sound"):
        load_clip(write(tmp_path / "text.wav", b"no sound at all"))
    with pytest.raises(InputError, match="no such file"):
        load_clip(tmp_path / "missing.wav")
    with pytest.raises(InputError, match="cannot be read as an array"):
        load_clip(write(tmp_path / "bad.npy", b"\x93NUMPY"), sample_rate=RATE)
    np.save(tmp_path / "pickle.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(InputError, match="cannot be read as an array"):
        load_clip(tmp_path / "pickle.npy", sample_rate=RATE)
    np.save(tmp_path / "good.npy", speech)
    with pytest.raises(InputError, match="does not say its sample rate"):
        load_clip(tmp_path / "good.npy")


def test_a_hostile_header_claims_what_is_not_there(tmp_path):
    head = b"RIFF" + struct.pack("<I", 0xFFFFFFF0) + b"WAVEfmt " + struct.pack(
        "<IHHIIHH", 16, 1, 1, RATE, 2 * RATE, 2, 16
    ) + b"data" + struct.pack("<I", 0xFFFFFFC0)  # fmt: skip
    with pytest.raises(InputError, match="is cut off"):
        load_clip(write(tmp_path / "hostile.wav", head + bytes(100)))


@pytest.mark.parametrize(
    ("array", "message"),
    [(np.zeros((3, 4, 5)), "has shape"), (np.zeros((48000, 2)), "transpose|has shape"),
     (np.zeros(5, complex), "complex128, which is not sound"),
     (np.zeros(5, bool), "bool, which is not sound"), (np.array(["a"]), "is not sound")],
)  # fmt: skip
def test_arrays_that_are_no_sound(array, message):
    with pytest.raises(InputError, match=message):
        from_array(array, RATE)


def test_rates_that_are_none():
    with pytest.raises(InputError, match="a sample rate of 0 Hz is none"):
        from_array(np.zeros(5), 0)
    with pytest.raises(InputError, match="does not say its sample rate"):
        as_clip(np.zeros(5))
