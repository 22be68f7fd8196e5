"""Whether a candidate is understood as well as its reference, as far as so many phrases tell."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from parity.audio.judgement import Judgement

if TYPE_CHECKING:
    from parity.audio.speech import Phrase

__all__ = ["MAX_RISE", "bootstrap", "judge_speech", "paired_judgement"]

Judged = tuple[Judgement, tuple[str, ...], tuple[float, float]]
IntArray = np.ndarray[tuple[int], np.dtype[np.int64]]

# The recogniser must understand the reference before it can say anything of the candidate.
MAX_REFERENCE = 0.20
MAX_RISE = 0.05
# One phrase can break altogether while the others hide it.
PHRASE_WORDS, PHRASE_RISE = 5, 0.50
# Fewer phrases cannot show that the rate did not rise. The same draws on both sides take the
# chance of two takes out of it.
ENOUGH_SEEDED, ENOUGH = 20, 40
# Of fewer phrases than this a resampling says nothing.
RESAMPLED = 4
DRAWS, SEED = 2000, 20250101


def judge_speech(phrases: Sequence[Phrase], *, seeded: bool) -> Judged:
    """The gate: judgement, reasons in sentences, 95 % interval of the rise."""
    unusable = (float("nan"), float("nan"))
    if not phrases or not all(phrase.words for phrase in phrases):
        return Judgement.INVALID, ("there is no text to compare with",), unusable
    words = np.array([phrase.words for phrase in phrases])
    ours = np.array([phrase.reference.errors for phrase in phrases])
    theirs = np.array([phrase.candidate.errors for phrase in phrases])
    broken = [phrase.name for phrase in phrases if not phrase.healthy]
    if broken:
        why = f"the signal is not in order in {len(broken)} of {len(phrases)} phrases"
        return Judgement.INVALID, (why,), bootstrap(words, ours, theirs)
    judgement, reasons, interval = paired_judgement(words, ours, theirs, seeded=seeded)
    changed = [p.name for p in phrases if p.reference.text != p.candidate.text]
    if seeded and changed and judgement is Judgement.PASS:
        why = f"{len(changed)} transcripts differ, though the random draws are the same"
        return Judgement.WARN, (*reasons, why), interval
    return judgement, reasons, interval


def paired_judgement(words: IntArray, ours: IntArray, theirs: IntArray, *, seeded: bool) -> Judged:
    """The gate on counts alone.

    Args:
        words: of each phrase, `[phrases]`.
        ours: errors in the reference, `[phrases]`.
        theirs: errors in the candidate, `[phrases]`.
        seeded: whether both had the same random draws.
    """
    rate, rise = ours.sum() / words.sum(), (theirs - ours).sum() / words.sum()
    low, high = interval = bootstrap(words, ours, theirs)
    if rate > MAX_REFERENCE:
        why = f"the recogniser gets {rate:.0%} of the reference's words wrong"
        return Judgement.INVALID, (why,), interval
    lost = (words >= PHRASE_WORDS) & ((theirs - ours) >= PHRASE_RISE * words)
    if lost.any():
        why = f"{int(lost.sum())} of {words.size} phrases lost half of their words or more"
        return Judgement.FAIL, (why,), interval
    if rise > MAX_RISE and low > 0:
        why = f"{100 * rise:.1f} points more word errors than the reference"
        return Judgement.FAIL, (why,), interval
    enough = ENOUGH_SEEDED if seeded else ENOUGH
    if words.size < enough:
        few = "1 phrase is" if words.size == 1 else f"{words.size} phrases are"
        why = f"{few} too few to show that nothing is lost; {enough} are enough"
        return Judgement.INCONCLUSIVE, (why,), interval
    if not high <= MAX_RISE:
        why = f"the rise may be as large as {100 * high:.1f} points"
        return Judgement.INCONCLUSIVE, (why,), interval
    return Judgement.PASS, (f"{100 * rise:+.1f} points of word errors",), interval


def bootstrap(words: IntArray, ours: IntArray, theirs: IntArray) -> tuple[float, float]:
    """95 % interval of the rise in the pooled rate, by resampling phrases in pairs.

    Infinite for fewer than four phrases. The draws are always the same.
    """
    if words.size < RESAMPLED:
        return -np.inf, np.inf
    drawn = np.random.default_rng(SEED).integers(0, words.size, (DRAWS, words.size))
    rises = (theirs - ours)[drawn].sum(axis=1) / words[drawn].sum(axis=1)
    low, high = np.percentile(rises, (2.5, 97.5))
    return float(low), float(high)
