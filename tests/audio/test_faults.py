"""Every planted fault is caught by some layer, and nothing that nobody hears fails."""

import warnings

import pytest

from benchmarks.audio.faults import FAULTS, FRAME, RATE
from benchmarks.audio.trial import broken, listened
from parity.audio import Judgement, listen

# What is said of a fault, where it is known for something.
SAID = {
    "float32 read as int16": "misread",
    "int16 read as float32": "misread",
    "int16 read big-endian": "misread",
    "int16 read one byte late": "misread",
    "int16 read as unsigned 8-bit": "misread",
    "int16 read as unsigned 16-bit": "misread",
    "second channel of opposite sign": "channels",
    "integers that overflow": "overflow",
    "gain falls to a half": "level",
    "two frames lost apart": "clock",
    "five samples lost": "clock",
    "half a second of silence within": "clock",
    "two percent faster": "speed",
    "stretched by a tenth": "stretched",
    "two frames exchanged": "misplaced",
    "the first four frames zero": "zero_frames",
    "a tone of 1 kHz": "added",
    "int32 read as int16": "misread",
    "WAV header decoded as sound": "header",
    "mu-law not expanded": "curve",
    "stereo read as mono": "repeated",
    "8 kHz labelled 16 kHz": "wrong_rate",
    "22.05 kHz labelled 16 kHz": "wrong_rate",
    "48 kHz labelled 16 kHz": "wrong_rate",
    "second channel silent": "channels",
    "gain 10": "gain",
    "gain 10, clipped": "clipping",
    "gain 0.01": "silent",
    "sign flipped": "gain",
    "DC of 0.1": "dc",
    "tanh(5x)": "curve",
    "clipped at 0.2": "clipping",
    "6 bits": "bits",
    "three frames late": "late",
    "last fifth missing": "length",
    "a sample lost each frame": "clock",
    "a frame lost": "clock",
    "a frame twice": "clock",
    "clock 500 ppm off": "clock",
    "frames swapped in pairs": "order",
    "frames backwards": "order",
    "all backwards": "order",
    "another sound after half": "diverges",
    "a tenth of the frames zero": "zero_frames",
    "five dropouts of 10 ms": "zero_frames",
    "clicks of 0.1 each frame": "clicks",
    "one click of 0.3": "clicks",
    "an offset of 0.02 each frame": "clicks",
    "overlap-add without overlap": "clicks",
    "stuck for 80 ms": "stuck",
    "100 samples NaN": "nonfinite",
    "noise 20 dB down": "added",
    "low-passed at 4 kHz": "bands",
    "high-passed at 1 kHz": "bands",
    "no 1 to 2.5 kHz": "bands",
    "each second sample held": "repeated",
    "random phases": "phases",
    "mains hum": "added",
    "white noise": "noise",
    "silence": "silent",
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_listener_hears_what_is_audible_and_nothing_else(name):
    fault = FAULTS[name]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = listened(fault, "greeting", name)
        alone = listen(None, broken(fault, "greeting"), frame=FRAME * fault.rate // RATE)
    assert (found.judgement is Judgement.FAIL) == fault.audible
    if not fault.audible:
        assert alone.judgement is not Judgement.FAIL
        assert not found.diagnosis
    if name in SAID:
        assert SAID[name] in {pathology.name for pathology in found.diagnosis}


def test_there_are_enough():
    assert sum(fault.audible for fault in FAULTS.values()) >= 50
    assert set(SAID) <= set(FAULTS)


@pytest.mark.parametrize(
    "name", ["half of the frames zero", "clicks of 0.1 each frame", "tanh(5x)"]
)
def test_the_storys_four_checks_pass_what_the_full_table_fails(name):
    found = listened(FAULTS[name], "greeting", name)
    assert found.story.judgement is Judgement.PASS
    assert found.health.judgement is Judgement.FAIL
