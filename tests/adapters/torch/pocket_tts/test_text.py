"""Text preparation and chunking against the functions of the real package."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pocket_tts.models.text_chunking import prepare_text_prompt, split_into_best_sentences
from pocket_tts.modules.text_conditioner import SentencePieceTokenizer

from parity.errors import InputError
from parity_torch.pocket_tts.chunking import split_text
from parity_torch.pocket_tts.config import TextConfig
from parity_torch.pocket_tts.text import frames_after_eos, prepare

RULES = TextConfig(pad_short=True, replace={"’": "'", "‘": "'"})  # noqa: RUF001
OTHER_RULES = TextConfig(
    remove_semicolons=True, end_sentence=False, capitalize=False, replace={'"': ""}
)
TEXTS = [
    "hello",
    "Hi there my friend",
    "one two three four five",
    "a - b",
    "Hello there my friend -",
    'He said "stop',
    "trailing comma,",
    "“Quoted.”",
    "line\nbreak\r\nand   many    spaces",
    "It’s 3.5 miles; really: 12.25, no more... Is it? Yes! 3. 4 5.",  # noqa: RUF001
    "ßharp and éclair!?",
    "...",
    "?! what",
]

words = st.sampled_from(
    ["a", "river", "runs", "3.5", "12.", "'tis", "Don’t", '"Hi?",', "x", "éclair", "42"]  # noqa: RUF001
)
marks = st.sampled_from([" ", " ", " ", ", ", "; ", ". ", "... ", "? ", "! ", ": ", " - ", "\n"])
texts = st.lists(st.tuples(words, marks), min_size=1, max_size=60).map(
    lambda pairs: "".join(word + mark for word, mark in pairs)
)
rules = st.sampled_from([RULES, OTHER_RULES])


def theirs(text: str, rules: TextConfig) -> tuple[str, int]:
    prepared, frames = prepare_text_prompt(
        text,
        rules.pad_short,
        rules.remove_semicolons,
        rules.end_sentence,
        rules.capitalize,
        dict(rules.replace),
    )
    return prepared, frames + 2  # the package adds the two where it calls this


def ours(text: str, rules: TextConfig) -> tuple[str, int]:
    return prepare(text, rules), frames_after_eos(text, rules)


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("rules", [RULES, OTHER_RULES])
def test_prepares_as_the_package_does(text, rules):
    assert ours(text, rules) == theirs(text, rules)


@given(text=texts, rules=rules)
def test_prepares_any_text_as_the_package_does(text, rules):
    assert ours(text, rules) == theirs(text, rules)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(text=texts, rules=rules, max_tokens=st.sampled_from([5, 20, 50]))
def test_splits_any_text_as_the_package_does(text, rules, max_tokens, model, package_tokenizer):
    chunks = split_into_best_sentences(
        package_tokenizer,
        text,
        max_tokens,
        rules.pad_short,
        rules.remove_semicolons,
        rules.end_sentence,
        rules.capitalize,
        dict(rules.replace),
    )
    assert split_text(text, rules, model.tokenizer, max_tokens=max_tokens) == chunks


def test_a_long_text_is_split(model):
    text = "One river runs, and another; a third sleeps. " * 6
    chunks = split_text(text, RULES, model.tokenizer, max_tokens=50)
    assert len(chunks) > 3
    assert "".join(chunks).replace(" ", "") == text.strip().replace(" ", "")


def test_a_decimal_number_is_not_cut(model):
    (chunk,) = split_text("It was 3.5 miles.", RULES, model.tokenizer, max_tokens=50)
    assert "3.5" in chunk.replace(" ", "")


@pytest.mark.parametrize("text", ["", "  \n "])
def test_an_empty_text_is_an_error(text):
    with pytest.raises(InputError, match="the text to speak is empty"):
        prepare(text, RULES)


@pytest.fixture(scope="module")
def package_tokenizer(assets):
    return SentencePieceTokenizer(300, str(assets / "tokenizer.model"))
