"""SentencePiece: text to token numbers and back."""

from __future__ import annotations

from pathlib import Path

import sentencepiece

from parity.errors import InputError

__all__ = ["Tokenizer"]


class Tokenizer:
    """A SentencePiece model read from a file."""

    def __init__(self, path: Path) -> None:
        try:
            self._pieces = sentencepiece.SentencePieceProcessor(model_file=str(path))
        except (OSError, RuntimeError) as error:
            raise InputError(f"cannot read the tokeniser: {error}", where=str(path)) from error

    def encode(self, text: str) -> list[int]:
        """The token numbers of `text`."""
        return list(self._pieces.encode(text, out_type=int))

    def decode(self, tokens: list[int]) -> str:
        """The text of `tokens`, without the space that begins a word at the start."""
        return str(self._pieces.decode(tokens))
