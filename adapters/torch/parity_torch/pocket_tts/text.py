"""Text preparation: the spelling that the model was trained on."""

from __future__ import annotations

import re

from parity.errors import InputError
from parity_torch.pocket_tts.config import TextConfig

__all__ = ["frames_after_eos", "prepare"]

SENTENCE_MARKS = ".!?…"
WEAK_MARKS = ",;:-–—"
CLOSERS = "\"'”’)]»"  # noqa: RUF001  (the quotes are meant)
SHORT_WORDS = 5
SHORT_PADDING = " " * 8


def prepare(text: str, rules: TextConfig) -> str:
    """The text as it goes to the tokeniser.

    Raises:
        InputError: nothing is left of it.
    """
    text = _cleaned(text, rules)
    if rules.capitalize:
        text = text[0].upper() + text[1:]
    if rules.end_sentence:
        text = end_sentence(text)
    if rules.pad_short and len(text.split()) < SHORT_WORDS:
        text = SHORT_PADDING + text
    return text


def frames_after_eos(text: str, rules: TextConfig) -> int:
    """How many frames to keep after the end of speech is detected.

    A text of a few words needs a longer tail, or its last sound is cut.
    """
    return 5 if len(_cleaned(text, rules).split()) < SHORT_WORDS else 3


def _cleaned(text: str, rules: TextConfig) -> str:
    text = _replaced(text.strip(), rules)
    if not text:
        raise InputError("the text to speak is empty", hint="give the case a text")
    # Pairs of spaces once each, from left to right: three in a row leave two.
    text = re.sub(r"[\n\r]", " ", text).replace("  ", " ")
    return text.replace(";", ",") if rules.remove_semicolons else text


def end_sentence(text: str) -> str:
    """See that the text ends with a sentence mark, before closing quotes and brackets if any."""
    core = text.rstrip(CLOSERS + " ")
    closers = text[len(core) :].strip()
    if not core or core[-1] in SENTENCE_MARKS:
        return text
    if core[-1] in WEAK_MARKS:
        return core.rstrip(WEAK_MARKS + " ") + "." + closers
    return text + "."


def _replaced(text: str, rules: TextConfig) -> str:
    if not rules.replace:
        return text
    text = " ".join(text.translate({ord(old): new for old, new in rules.replace.items()}).split())
    # A deleted quote can leave a sentence mark followed by a comma: the sentence mark stays.
    return re.sub(r"([.!?…])\s*[,;:]", r"\1", text)
