"""How alike two tap paths are that mean the same in two naming habits."""

from __future__ import annotations

import re
from functools import lru_cache

__all__ = ["clearly_alike", "name_likeness"]

# A word that is cut short (`decod`) counts nearly as the whole, from so many letters on.
_LEAST, _CUT_SHORT = 3, 0.9
# By how much the best name has to beat the next: one word in ten.
_MARGIN = 0.05


def name_likeness(reference: str, candidate: str) -> float:
    """Share of the words that both have in the same order, from 0 to 1; numbers must be equal."""
    ours, theirs = _words(reference), _words(candidate)
    if not ours or not theirs:
        return 0.0
    row = [0.0] * (len(theirs) + 1)
    for word in ours:
        before = row
        row = [0.0]
        for place, other in enumerate(theirs):
            met = before[place] + _alike(word, other)
            row.append(max(met, before[place + 1], row[place]))
    return 2 * row[-1] / (len(ours) + len(theirs))


def clearly_alike(pairs: list[tuple[str, str]]) -> int | None:
    """Which of some pairs of paths is the most alike; None if none clearly is."""
    scores = [name_likeness(*pair) for pair in pairs]
    best, *others = sorted(scores, reverse=True)
    if best < 0.5 or (others and best - others[0] < _MARGIN):
        return None
    return scores.index(best)


@lru_cache(maxsize=100_000)
def _words(path: str) -> tuple[str, ...]:
    """The words of a path, in small letters: `h.0.attnNorm` has h, 0, attn and norm."""
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", path)
    return tuple(re.findall(r"[a-z]+\d*|\d+", apart.lower()))


def _alike(word: str, other: str) -> float:
    if word == other:
        return 1.0
    short, long = sorted((word, other), key=len)
    return _CUT_SHORT if len(short) >= _LEAST and long.startswith(short) else 0.0
