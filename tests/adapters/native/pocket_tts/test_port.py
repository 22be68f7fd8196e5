"""The Rust port against the real package, shrunken: every tap, streaming and batch."""

from __future__ import annotations

import numpy as np
import pytest

from fixtures.pocket_tts.cases import case, case_names
from fixtures.pocket_tts.native import native_port
from parity.backends.conformance import BackendConformance, Subject
from parity.errors import InputError
from parity.tensors import Case

CASES = [name for name in ("alba-greeting", "alba-hello", "marius-short", "jean-long")
         if name in case_names("tiny")]  # fmt: skip
OUTPUTS = ("waveform", "latents", "tokens", "tokens_per_chunk", "frames_per_chunk")


@pytest.mark.parametrize("name", CASES)
def test_every_tap_is_as_in_the_reference(name, reference, port, compare):
    noisy, taps = reference(name)
    assert len(taps) > 200
    assert compare(taps, port(noisy)) is None


@pytest.mark.parametrize("name", CASES)
def test_blocks_and_single_positions_say_the_same(name, reference, port, compare):
    noisy, taps = reference(name)
    found = port(noisy, decode="batch", prompt="token")
    outputs = {key: calls for key, calls in taps.items() if key[1] in OUTPUTS}
    assert len(outputs) == len(OUTPUTS)
    assert compare(outputs, found) is None


def test_streaming_is_batch(reference, port, compare):
    noisy, _ = reference("alba-hello")
    streamed, whole = port(noisy), port(noisy, decode="batch")
    waveform = {("", "waveform", ""): whole["", "waveform", ""]}
    assert compare(waveform, streamed, 2e-6) is None


def test_its_own_noise_is_of_the_right_size(port):
    taps = port(case("alba-hello", size="tiny"))
    waveform = taps["", "waveform", ""][0]
    assert np.isfinite(waveform).all()
    assert waveform.std() > 0


def test_options_that_do_not_exist_are_refused():
    for options, message in (({"decode": "whole"}, "stream or batch"), ({"speed": 2}, "speed")):
        with pytest.raises(InputError, match=message):
            native_port("tiny", isolate=False, **options)


class TestRustPort(BackendConformance):
    def subject(self) -> Subject:
        return Subject(
            make=lambda: native_port("tiny", isolate=False),
            case=case("alba-greeting", size="tiny"),
            bad_case=Case("silent"),
        )
