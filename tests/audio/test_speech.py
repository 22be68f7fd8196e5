"""Recognisers, words, and the gate."""

import numpy as np
import pytest

from fixtures.speech import phrases, samples
from parity.audio import Judgement, listen
from parity.audio.gate import bootstrap, paired_judgement
from parity.audio.normalise import basic
from parity.audio.recognisers import Recogniser, find_normaliser, find_recogniser
from parity.audio.speech import count_errors, hear, pooled
from parity.audio.sphinx import Sphinx
from parity.errors import ConfigError

RATE = 16000


class Scripted:
    """A recogniser that says what the sound's first sample tells it to."""

    name, version = "scripted", "1"

    def __init__(self, texts):
        self.texts = texts

    def prepare(self, texts):
        return ()

    def transcribe(self, sound):
        return self.texts[round(float(sound[0]) * 100)]


def scripted(pairs, *, texts, seeded=True):
    """Listenings whose sides say the texts of `pairs`."""
    said = [text for pair in pairs for text in pair]
    base = np.random.default_rng(0).standard_normal(RATE) * 0.1
    listenings = []
    for index in range(len(pairs)):
        sides = [base.copy(), base.copy()]
        sides[0][0], sides[1][0] = 2 * index / 100, (2 * index + 1) / 100
        # What is tested is words, not health.
        listenings.append(listen(*sides, sample_rate=RATE, preset="story", title=f"phrase {index}"))
    return hear(listenings, texts, Scripted(said), seeded=seeded).speech


TEXT = "the quick brown fox jumps over the lazy dog"


@pytest.mark.parametrize(
    ("text", "expected"),
    [("How're you? It's 42.", "how are you its forty two"), ("CAN'T — won't", "can not will not"),
     ("1,000 naïve 1905", "one zero naive one thousand nine hundred five"), ("", "")],
)  # fmt: skip
def test_basic_normalising(text, expected):
    assert basic(text) == expected


def test_counts_and_alignment():
    found = count_errors("the quick brown fox jumps", "the slow brown fox jumps high up")
    assert (found.hits, found.substitutions, found.deletions, found.insertions) == (4, 1, 0, 2)
    assert found.rate == 0.6
    said, heard = (line.split()[1:] for line in found.alignment.splitlines()[:2])
    assert len(said) == len(heard) == 7
    assert count_errors("the quick brown fox", "the quick fox").deletions == 1
    assert count_errors("the fox", "").deletions == 2
    assert count_errors("", "the fox").insertions == 2


def test_equal_words_are_inconclusive_until_there_are_enough():
    few = scripted([(TEXT, TEXT)] * 19, texts=[TEXT] * 19)
    assert few.judgement is Judgement.INCONCLUSIVE
    assert few.reasons == ("19 phrases are too few to show that nothing is lost; 20 are enough",)
    assert scripted([(TEXT, TEXT)] * 20, texts=[TEXT] * 20).judgement is Judgement.PASS
    assert (
        scripted([(TEXT, TEXT)] * 20, texts=[TEXT] * 20, seeded=False).judgement == "inconclusive"
    )


def test_a_phrase_that_is_lost_fails_by_itself():
    lost = scripted([(TEXT, TEXT)] * 19 + [(TEXT, "the quick")], texts=[TEXT] * 20)
    assert lost.judgement is Judgement.FAIL
    assert "1 of 20 phrases lost half" in lost.reasons[0]


def test_a_rise_over_all_phrases_fails():
    worse = "the quick brown fox jumps over a lazy dog"
    found = scripted([(TEXT, worse)] * 8, texts=[TEXT] * 8)
    assert found.rise == pytest.approx(1 / 9)
    assert found.judgement is Judgement.FAIL
    assert found.interval[0] > 0


def test_one_changed_transcript_of_a_seeded_run_warns():
    pairs = [(TEXT, TEXT)] * 39 + [(TEXT, TEXT.replace("over", "under"))]
    found = scripted(pairs, texts=[TEXT] * 40)
    assert found.judgement is Judgement.WARN
    assert "1 transcripts differ" in found.reasons[-1]


def test_a_recogniser_that_does_not_understand_the_reference_is_no_witness():
    found = scripted([("gibberish all of it", TEXT)] * 20, texts=[TEXT] * 20)
    assert found.judgement is Judgement.INVALID
    assert scripted([(TEXT, TEXT)], texts=["..."]).judgement is Judgement.INVALID


def test_pooling_is_the_gate_over_all():
    one = scripted([(TEXT, TEXT)] * 10, texts=[TEXT] * 10)
    assert one.judgement is Judgement.INCONCLUSIVE
    both = pooled([one, one])
    assert both.judgement is Judgement.PASS
    assert len(both.to_frame()) == 40


def test_the_bootstrap_repeats_and_knows_when_it_knows_nothing():
    words, none = np.full(20, 8), np.zeros(20, int)
    errors = np.random.default_rng(0).binomial(8, 0.1, 20)
    assert bootstrap(words, none, errors) == bootstrap(words, none, errors)
    low, high = bootstrap(words, none, errors)
    assert low < errors.sum() / words.sum() < high
    assert bootstrap(words[:3], none[:3], errors[:3]) == (-np.inf, np.inf)


def test_false_alarms_and_power():
    """Of the whole gate, by simulation; docs/listening.md has the full table."""
    from benchmarks.audio.simulation import _draw

    def share(judgement, count, rise, *, seeded):
        rng = np.random.default_rng(1)
        said = [paired_judgement(*_draw(rng, count, rise, seeded=seeded), seeded=seeded)[0]
                for _ in range(60)]  # fmt: skip
        return said.count(judgement) / 60

    assert share("fail", 20, 0.0, seeded=True) <= 0.05
    assert share("pass", 20, 0.0, seeded=True) >= 0.9
    assert share("fail", 20, 0.2, seeded=True) >= 0.95
    assert share("pass", 4, 0.0, seeded=True) == 0
    assert share("fail", 40, 0.1, seeded=False) >= 0.9


@pytest.fixture(scope="module")
def sphinx():
    return Sphinx()


def test_the_default_recogniser_understands_our_speech_in_any_order(sphinx):
    names = ["question", "greeting", "numbers"]
    heard = {}
    for order in (names, names[::-1]):
        sphinx.prepare([phrases()[name] for name in order])
        for name in order:
            text = sphinx.transcribe(samples(name).astype("f4"))
            assert heard.setdefault(name, text) == text
    assert {name: basic(text) for name, text in heard.items()} == {
        name: basic(phrases()[name]) for name in names
    }


def test_the_default_recogniser_understands_the_real_clips(real_clips):
    listenings = [listen(path, path, seeded=True) for path in real_clips]
    speech = hear(listenings, list(real_clips.values()), seeded=True).speech
    assert speech.reference_rate == speech.candidate_rate == 0


def test_garbage_is_given_up():
    hasty = Sphinx(patience=1e-4)
    hasty.prepare(["hello"])
    with pytest.raises(TimeoutError, match="gave up"):
        hasty.transcribe(np.random.default_rng(0).standard_normal(RATE * 20).astype("f4"))


def test_lost_content_is_heard(sphinx):
    sound = samples("numbers")
    found = listen(sound, sound[: sound.size // 3], sample_rate=RATE, text=phrases()["numbers"],
                   recogniser=sphinx, seeded=True, preset="story")  # fmt: skip
    assert found.speech.judgement is Judgement.FAIL
    assert found.speech.phrases[0].candidate.deletions >= 5


def test_words_that_the_dictionary_lacks(sphinx):
    assert sphinx.prepare(["Pocket TTS by Kyutai"]) == ("kyutai",)
    assert Sphinx({"kyutai": "K Y UW T AY"}).prepare(["Pocket TTS by Kyutai"]) == ()


def test_names_are_looked_up():
    assert isinstance(find_recogniser("pocketsphinx"), Recogniser)
    assert find_recogniser(own := Scripted([])) is own
    with pytest.raises(ConfigError, match=r"there is no recogniser 'sphynx'[\s\S]*pocketsphinx"):
        find_recogniser("sphynx")
    with pytest.raises(ConfigError, match="there is no normaliser 'x'"):
        find_normaliser("x")
