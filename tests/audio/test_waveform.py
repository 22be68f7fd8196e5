"""Waveforms: what is corrected for is reported, and what differs is placed."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fixtures.speech import samples
from parity.audio import Judgement, listen
from parity.audio.lag import best_lag, overlap

RATE, FRAME = 16000, 1280


def heard(reference: np.ndarray, candidate: np.ndarray, **settings: object):
    return listen(reference, candidate, sample_rate=RATE, **{"seeded": True, **settings})


def test_the_same_is_the_same(speech):
    found = heard(speech, speech)
    assert found.judgement is Judgement.PASS
    assert found.waveform.snr_db == math.inf
    assert str(found) == "A listener hears no difference: the waveforms are identical."


@given(lag=st.integers(-1200, 1200), block=st.sampled_from([3000, 1 << 17]))
@settings(max_examples=20, deadline=None)
def test_the_lag_is_found_whatever_the_blocks(lag, block):
    import parity.audio.lag as module

    x = np.random.default_rng(0).standard_normal(8000)
    late = np.concatenate((np.zeros(max(0, lag)), x[max(0, -lag) :]))
    kept, module.BLOCK = module.BLOCK, block
    try:
        assert best_lag(x, late, 1500) == lag
    finally:
        module.BLOCK = kept
    a, b = overlap(x, late, lag)
    np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("lag", [-700, 480, 3 * FRAME])
@pytest.mark.parametrize("gain", [-0.5, 1.3])
def test_lag_gain_and_sign_are_corrected_and_reported(speech, lag, gain):
    moved = np.concatenate((np.zeros(max(0, lag)), gain * speech[max(0, -lag) :]))
    found = heard(speech, moved)
    assert found.waveform.lag_samples == lag
    assert found.waveform.gain == pytest.approx(gain)
    assert found.waveform.snr_db > 100
    assert found.waveform.snr_before_db < 20
    assert {c.name for c in found.waveform.failed} >= {"lag_samples", "gain"}
    assert found.waveform.first_bad_frame == -1


def test_pearson_alone_would_pass_what_fails_here(speech):
    for candidate in (
        10 * speech,
        speech + 0.005,
        np.tanh(speech),
        speech[: int(0.9 * speech.size)],
    ):
        found = heard(speech, candidate)
        assert found.waveform.correlation > 0.99
        assert found.judgement is Judgement.FAIL


@pytest.mark.parametrize("ppm", [-300, 20, 500])
def test_another_clock_is_measured_and_corrected(speech, ppm):
    from benchmarks.audio.faults import _drift

    found = heard(speech, _drift(ppm)(speech))
    assert found.waveform.drift_ppm == pytest.approx(ppm, abs=2)
    assert found.waveform.drift_corrected
    assert found.waveform.snr_db > 40
    assert found["drift_ppm"].judgement == ("pass" if abs(ppm) < 50 else "fail")


def test_the_first_bad_frame_is_found(speech):
    broken = speech.copy()
    at = 14 * FRAME
    broken[at:] = broken[at:][::-1]
    found = heard(speech, broken)
    assert found.waveform.first_bad_frame == 14
    assert found.first_bad_s == pytest.approx(14 * 0.08)
    assert found.diagnosis[-1].name == "diverges"


def test_another_take_is_not_called_wrong_unless_the_draws_were_the_same():
    one, other = samples("weather"), samples("weather", take=2)
    unknown = heard(one, other, seeded=None)
    assert unknown.waveform.realisation == "other"
    assert unknown.judgement is Judgement.INCONCLUSIVE
    assert unknown.exit_status == 3
    free = heard(one, other, seeded=False)
    assert free.judgement is Judgement.PASS
    assert "another realisation" in str(free).lower()
    seeded = heard(one, other, seeded=True)
    assert seeded.judgement is Judgement.FAIL
    assert any("not the same realisation" in c.words for c in seeded.waveform.failed)


def test_of_another_take_only_what_survives_is_judged():
    one, other = samples("weather"), samples("weather", take=2)
    found = heard(one, other, seeded=False)
    names = {check.name for check in found.waveform.checks}
    assert names == {"nonfinite", "duration_ratio", "long_term_db", "level_db", "pitch_ratio"}
    assert heard(one, 3 * other, seeded=False)["level_db"].judgement == "fail"
    assert heard(one, other[::2], seeded=False)["pitch_ratio"].judgement == "fail"


def test_errors_at_chunk_boundaries_are_told_from_errors_elsewhere(speech):
    batch = speech
    streamed, ramp = speech.copy(), np.linspace(0, 1, 160)
    for start in range(0, speech.size - 160, FRAME):
        streamed[start : start + 160] *= ramp
    found = listen(batch, streamed, sample_rate=RATE, frame=FRAME, seeded=True)
    assert found.waveform.boundary_error > 3
    everywhere = speech + 1e-2 * np.random.default_rng(0).standard_normal(speech.size)
    elsewhere = listen(batch, everywhere, sample_rate=RATE, frame=FRAME, seeded=True)
    assert elsewhere.waveform.boundary_error == pytest.approx(1, abs=0.2)


def test_results_show_themselves(speech):
    found = heard(speech, 0.5 * speech)
    frame = found.to_frame()
    assert list(frame["name"]) == [check.name for check in found.checks]
    assert found.plot().axes[0].get_ylabel() == "amplitude"
    assert "<svg" in found._repr_html_()
    assert found.to_dict()["waveform"]["gain"] == pytest.approx(0.5)
    assert repr(found).startswith("<Listening: A listener hears a difference")


def test_names_are_escaped_in_html(speech):
    found = heard(speech, speech, title="<script>$x_1$</script>")
    from parity.report.listening_html import listening_page

    assert "<script>" not in listening_page([found])
