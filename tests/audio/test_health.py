"""Signal health by itself and beside a reference; real clips are in order."""

import numpy as np
import pytest

from fixtures.speech import phrases, samples
from parity.audio import HEALTH, Judgement, judge_health, listen
from parity.errors import ConfigError

RATE = 16000


@pytest.mark.parametrize("name", ["greeting", "numbers", "question", "river"])
def test_our_speech_is_in_order(name):
    assert listen(None, samples(name), sample_rate=RATE, frame=1280).judgement is Judgement.PASS


def test_real_speech_is_in_order(real_clips):
    for path in real_clips:
        found = listen(path, path, frame=1920, seeded=True)
        assert found.judgement is Judgement.PASS
        assert {check.judgement for check in found.health.checks} == {Judgement.PASS}
        assert found.story.judgement is Judgement.PASS


def test_what_the_reference_has_too_is_no_fault_of_the_port(speech):
    loud = np.clip(6 * speech, -1, 1)
    alone = listen(None, loud, sample_rate=RATE)
    beside = listen(loud, loud, sample_rate=RATE, seeded=True)
    assert alone.judgement is Judgement.FAIL
    assert beside.judgement is Judgement.WARN
    assert beside["clipped_share"].words == "as in the reference"


def test_what_is_far_from_the_reference_fails_within_absolute_limits(speech):
    found = listen(speech, 0.5 * speech, sample_rate=RATE, seeded=True)
    assert HEALTH["rms"].judge(found["rms"].value) is Judgement.PASS
    assert found["rms"].judgement is Judgement.FAIL


def test_nan_never_passes():
    measured = {name: float("nan") for name in HEALTH}
    found = judge_health(measured)
    assert found.judgement is Judgement.SKIPPED
    assert HEALTH["rms"].judge(float("nan")) is Judgement.FAIL


def test_limits_can_be_changed_and_slips_are_errors(speech):
    strict = listen(None, speech, sample_rate=RATE, limits={"rms": {"high": 0.05}})
    assert [check.name for check in strict.health.failed] == ["rms"]
    with pytest.raises(ConfigError, match="there is no limit 'rmss'"):
        listen(None, speech, sample_rate=RATE, limits={"rmss": {"high": 1}})
    with pytest.raises(ConfigError, match="limit 'rms' has no heigh"):
        listen(None, speech, sample_rate=RATE, limits={"rms": {"heigh": 1}})
    with pytest.raises(ConfigError, match="there is no preset 'fulll'"):
        listen(None, speech, sample_rate=RATE, preset="fulll")


def test_fixtures_are_as_committed():
    import hashlib
    import json

    import soundfile

    from fixtures.speech import FOLDER, TAKES

    digests = json.loads((FOLDER / "checksums.json").read_text())
    assert len(digests) == len(phrases()) + len(TAKES)
    for name, digest in digests.items():
        found = soundfile.read(FOLDER / name, dtype="int16")[0]
        assert hashlib.sha256(found.tobytes()).hexdigest() == digest
