"""Intelligibility: reference and candidate through the same recogniser, word by word."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import TYPE_CHECKING

import numpy as np

from parity.audio.clip import Clip, at_rate
from parity.audio.gate import judge_speech
from parity.audio.judgement import Judgement
from parity.audio.recognisers import (
    RATE,
    Normaliser,
    Recogniser,
    find_normaliser,
    find_recogniser,
)
from parity.errors import MissingExtraError

if TYPE_CHECKING:
    import pandas as pd

    from parity.audio.result import Listening

__all__ = ["Heard", "Hearing", "Phrase", "Speech", "hear", "pooled"]


@dataclass(frozen=True, slots=True)
class Heard:
    """What was understood of one sound.

    Attributes:
        text: as the recogniser wrote it.
        hits: words that are right.
        substitutions: words taken for others.
        deletions: words not heard.
        insertions: words heard that were not said.
        alignment: the text over what was heard, word under word.
        problem: why nothing was heard, where the recogniser gave up.
    """

    text: str
    hits: int
    substitutions: int
    deletions: int
    insertions: int
    alignment: str = ""
    problem: str = ""

    @property
    def errors(self) -> int:
        """Substitutions, deletions and insertions."""
        return self.substitutions + self.deletions + self.insertions

    @property
    def rate(self) -> float:
        """Word error rate: errors over the words of the text; above 1 where much is inserted."""
        words = self.hits + self.substitutions + self.deletions
        return self.errors / words if words else float("nan")


@dataclass(frozen=True, slots=True)
class Phrase:
    """One text, as understood from the reference and from the candidate.

    Attributes:
        name: of the case or file.
        text: what is said.
        words: how many words, normalised.
        reference: understood from the reference.
        candidate: understood from the candidate.
        healthy: whether the candidate's signal could be judged at all.
    """

    name: str
    text: str
    words: int
    reference: Heard
    candidate: Heard
    healthy: bool = True

    @property
    def alignment(self) -> str:
        """Both, word by word."""
        return "\n".join(
            f"{side} ({heard.rate:.0%} errors)\n{heard.alignment or heard.problem}"
            for side, heard in (("reference", self.reference), ("candidate", self.candidate))
        )


@dataclass(frozen=True, slots=True)
class Speech:
    """The second layer: what a recogniser understands, over one or more phrases.

    Attributes:
        phrases: one by one.
        recogniser: its name and version.
        normaliser: which words counted as equal.
        seeded: whether both had the same random draws.
        judgement: of the gate.
        reasons: for it, in sentences.
        interval: of the rise in the error rate, 95 %, by paired bootstrap over phrases.
        notes: words that the recogniser cannot know.
    """

    phrases: tuple[Phrase, ...]
    recogniser: str
    normaliser: str
    seeded: bool
    judgement: Judgement
    reasons: tuple[str, ...]
    interval: tuple[float, float]
    notes: tuple[str, ...] = ()

    @property
    def reference_rate(self) -> float:
        """Errors over words, all phrases of the reference together."""
        return _rate([(p.reference.errors, p.words) for p in self.phrases])

    @property
    def candidate_rate(self) -> float:
        """Errors over words, all phrases of the candidate together."""
        return _rate([(p.candidate.errors, p.words) for p in self.phrases])

    @property
    def rise(self) -> float:
        """By how much the candidate's rate is above the reference's."""
        return self.candidate_rate - self.reference_rate

    def to_frame(self) -> pd.DataFrame:
        """One row a phrase and side: what was heard, counts and rate."""
        import pandas as pd  # noqa: PLC0415 - a second to load, and few callers want it

        rows = [
            {"phrase": p.name, "side": side, "text": p.text, "heard": h.text, "hits": h.hits,
             "substitutions": h.substitutions, "deletions": h.deletions,
             "insertions": h.insertions, "rate": h.rate}
            for p in self.phrases
            for side, h in (("reference", p.reference), ("candidate", p.candidate))
        ]  # fmt: skip
        return pd.DataFrame(rows)


@dataclass(frozen=True, slots=True)
class Hearing:
    """Several listenings with what was understood of each, and of all together."""

    listenings: tuple[Listening, ...]
    speech: Speech


def _rate(counts: Sequence[tuple[int, int]]) -> float:
    words = sum(count for _, count in counts)
    return sum(errors for errors, _ in counts) / words if words else float("nan")


def hear(
    listenings: Sequence[Listening],
    texts: Sequence[str],
    recogniser: Recogniser | str | None = None,
    normaliser: str = "basic",
    *,
    seeded: bool = False,
) -> Hearing:
    """Let a recogniser hear both sides of each listening.

    Args:
        listenings: with references.
        texts: what is said in each; an empty one is invalid.
        recogniser: see `parity.audio.listen`.
        normaliser: likewise.
        seeded: whether both sides had the same random draws.
    """
    chosen, normal = find_recogniser(recogniser), find_normaliser(normaliser)
    normal("one word")  # a normaliser that is not installed says so before the long work
    unknown = chosen.prepare(texts)
    known: dict[tuple[str, str], Heard] = {}
    phrases = []
    for listening, text in zip(listenings, texts, strict=True):
        assert listening.reference is not None  # noqa: S101 - the caller's promise
        said = normal(text)
        sides = [
            _once(known, clip, said, chosen, normal)
            for clip in (listening.reference, listening.candidate)
        ]
        healthy = listening.health.judgement is not Judgement.FAIL
        name = listening.title or listening.candidate.name
        phrases.append(Phrase(name, text, len(said.split()), sides[0], sides[1], healthy))
    notes = (f"the recogniser does not know: {', '.join(unknown)}",) if unknown else ()
    facts = (f"{chosen.name} {chosen.version}", normaliser, seeded, notes)
    single = [
        replace(one, speech=_speech((p,), *facts))
        for one, p in zip(listenings, phrases, strict=True)
    ]
    return Hearing(tuple(single), _speech(tuple(phrases), *facts))


def pooled(speeches: Sequence[Speech]) -> Speech:
    """Several speeches, by one recogniser and normaliser, as one."""
    first = speeches[0]
    phrases = tuple(phrase for speech in speeches for phrase in speech.phrases)
    notes = tuple(dict.fromkeys(note for speech in speeches for note in speech.notes))
    return _speech(phrases, first.recogniser, first.normaliser, first.seeded, notes)


def _speech(
    phrases: tuple[Phrase, ...],
    recogniser: str,
    normaliser: str,
    seeded: bool,
    notes: tuple[str, ...],
) -> Speech:
    judgement, reasons, interval = judge_speech(phrases, seeded=seeded)
    return Speech(phrases, recogniser, normaliser, seeded, judgement, reasons, interval, notes)


def _once(
    known: dict[tuple[str, str], Heard],
    clip: Clip,
    said: str,
    recogniser: Recogniser,
    normal: Normaliser,
) -> Heard:
    """The same samples are heard once: recognisers are slow, and say the same again."""
    key = (sha256(clip.samples.tobytes()).hexdigest(), said)
    if key not in known:
        known[key] = _heard(clip, said, recogniser, normal)
    return known[key]


def _heard(clip: Clip, said: str, recogniser: Recogniser, normal: Normaliser) -> Heard:
    mono = at_rate(replace(clip.finite(), samples=clip.finite().mono[None]), RATE).mono
    try:
        text = recogniser.transcribe(np.clip(mono, -1, 1).astype(np.float32))
    except TimeoutError as error:
        count = len(said.split())
        return Heard("", 0, 0, count, 0, problem=f"{recogniser.name} {error}")
    return count_errors(said, normal(text), text)


def count_errors(said: str, understood: str, text: str = "") -> Heard:
    """Align two normalised texts word by word.

    Args:
        said: the text.
        understood: what was understood.
        text: as the recogniser wrote it.
    """
    try:
        import jiwer  # noqa: PLC0415 - only where speech is heard
    except ImportError:
        raise MissingExtraError.of("tts", needed_for="word error rates") from None
    if not said:
        return Heard(text, 0, 0, 0, len(understood.split()))
    found = jiwer.process_words(said, understood)
    view = jiwer.visualize_alignment(found, show_measures=False, skip_correct=False)
    lines = [
        line for line in view.splitlines() if line[:4] in ("REF:", "HYP:") or not line.strip(" SDI")
    ]
    shown = [
        line.replace("REF:", "said: ").replace("HYP:", "heard:").rstrip()
        for line in lines
        if line.strip()
    ]
    return Heard(
        text, found.hits, found.substitutions, found.deletions, found.insertions, "\n".join(shown)
    )
