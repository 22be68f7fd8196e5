"""Long texts in pieces: the model speaks up to 50 tokens at a time, a sentence or more."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise

from parity_torch.pocket_tts.config import TextConfig
from parity_torch.pocket_tts.text import prepare
from parity_torch.pocket_tts.tokenizer import Tokenizer

__all__ = ["split_text"]

SENTENCE_MARKS = ".!...?"
CLAUSE_MARKS = ",;:"

Tokens = list[int]
Piece = tuple[int, str]  # how many tokens it had where it was cut, and its text


def split_text(text: str, rules: TextConfig, tokenizer: Tokenizer, *, max_tokens: int) -> list[str]:
    """Cut a text at its sentences, long sentences at their clauses, and fill chunks with them.

    A clause that has too many tokens by itself stays whole.
    """
    tokens = tokenizer.encode(prepare(text, rules).strip())
    sentences = _cut(tokens, SENTENCE_MARKS, tokenizer, keep=_splits_number)
    pieces = (part for piece in sentences for part in _clauses(piece, tokenizer, max_tokens))
    return list(_filled(pieces, max_tokens))


def _clauses(piece: Piece, tokenizer: Tokenizer, max_tokens: int) -> list[Piece]:
    count, text = piece
    if count <= max_tokens:
        return [piece]
    clauses = _cut(tokenizer.encode(text.strip()), CLAUSE_MARKS, tokenizer)
    return clauses if len(clauses) > 1 else [piece]


def _cut(
    tokens: Tokens,
    marks: str,
    tokenizer: Tokenizer,
    *,
    keep: Callable[[Tokens, int, Tokenizer], bool] | None = None,
) -> list[Piece]:
    # The first token of the marks is the space that SentencePiece puts before a text.
    mark_tokens = set(tokenizer.encode(marks)[1:])
    starts = [
        place
        for place in range(1, len(tokens))
        if tokens[place - 1] in mark_tokens
        and tokens[place] not in mark_tokens
        and not (keep and keep(tokens, place, tokenizer))
    ]
    edges = [0, *starts, len(tokens)]
    return [(end - start, tokenizer.decode(tokens[start:end])) for start, end in pairwise(edges)]


def _splits_number(tokens: Tokens, place: int, tokenizer: Tokenizer) -> bool:
    """Whether a cut at `place` falls behind the point of a decimal number."""
    before, after = tokenizer.decode(tokens[:place]), tokenizer.decode(tokens[place:])
    return len(before) > 1 and before[-1] == "." and before[-2].isdigit() and after[:1].isdigit()


def _filled(pieces: Iterable[Piece], max_tokens: int) -> Iterator[str]:
    chunk, total = "", 0
    for count, text in pieces:
        if not chunk:
            chunk, total = text, count
        elif total + count > max_tokens:
            yield chunk.strip()
            chunk, total = text, count
        else:
            chunk, total = f"{chunk} {text}", total + count
    if chunk:
        yield chunk.strip()
