"""Which words count as equal. One normaliser a gate: rates under two of them do not compare."""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from typing import Any

from parity.errors import MissingExtraError

__all__ = ["basic", "whisper_english"]

_CONTRACTIONS = (
    (r"\bcan't\b", "can not"),
    (r"\bcannot\b", "can not"),
    (r"\bwon't\b", "will not"),
    (r"n't\b", " not"),
    (r"'re\b", " are"),
    (r"'ll\b", " will"),
    (r"'ve\b", " have"),
    (r"'m\b", " am"),
)
_ONES = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
]
_TENS = ["-", "-", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]


def basic(text: str) -> str:
    """Lower case, contractions apart, numbers as words, no punctuation or accents.

    `How're you? It's 42.` becomes `how are you its forty two`.
    """
    text = unicodedata.normalize("NFKD", text.casefold()).replace(
        "\N{RIGHT SINGLE QUOTATION MARK}", "'"
    )
    text = "".join(letter for letter in text if not unicodedata.combining(letter))
    for pattern, apart in _CONTRACTIONS:
        text = re.sub(pattern, apart, text)
    text = re.sub(r"\d+", lambda found: f" {_number(int(found[0]))} ", text.replace("'", ""))
    return " ".join(re.findall(r"[^\W_]+", text))


def _number(value: int) -> str:
    if value < 20:
        return _ONES[value]
    if value < 100:
        return _TENS[value // 10] + (f" {_ONES[value % 10]}" if value % 10 else "")
    for size, word in (
        (10**9, "billion"),
        (10**6, "million"),
        (1000, "thousand"),
        (100, "hundred"),
    ):
        if value >= size:
            rest = f" {_number(value % size)}" if value % size else ""
            return f"{_number(value // size)} {word}{rest}"
    raise AssertionError(value)


def whisper_english(text: str) -> str:
    """The normaliser of Whisper's paper. It joins digit words: `one two` becomes `12`.

    Raises:
        MissingExtraError: openai-whisper is not installed.
    """
    return str(_english()(text))


@cache
def _english() -> Any:
    try:
        from whisper.normalizers import EnglishTextNormalizer  # noqa: PLC0415 - loads torch
    except ImportError:
        raise MissingExtraError.of("whisper", needed_for="the normaliser whisper") from None
    return EnglishTextNormalizer()
