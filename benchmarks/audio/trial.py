"""One fault before every layer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.audio.faults import FAULTS, FRAME, RATE, Fault
from fixtures.speech import phrases, samples
from parity.audio import Clip, Listening, from_array, listen
from parity.audio.recognisers import Recogniser
from parity.audio.speech import hear

__all__ = ["PHRASE", "Trial", "broken", "listened", "trials", "words_of"]

PHRASE = "greeting"


@dataclass(frozen=True, slots=True)
class Trial:
    """What the layers say of one fault.

    Attributes:
        name: of the fault.
        fault: the change.
        listening: reference and candidate, same random draws.
        alone: health without a reference.
    """

    name: str
    fault: Fault
    listening: Listening
    alone: Listening

    @property
    def layers(self) -> dict[str, str]:
        """What each layer says."""
        waveform = self.listening.waveform
        return {
            "waveform": str(waveform.judgement) if waveform is not None else "",
            "health": str(self.listening.health.judgement),
            "health alone": str(self.alone.health.judgement),
            "story": str(self.alone.story.judgement),
        }

    @property
    def caught(self) -> bool:
        """Whether any layer fails."""
        return str(self.listening.judgement) == "fail"


def broken(fault: Fault, phrase: str) -> Clip:
    """The phrase with the fault in it."""
    return from_array(fault.change(samples(phrase)), fault.rate, name=phrase)


def listened(fault: Fault, phrase: str, title: str) -> Listening:
    """The fault beside the phrase as it was."""
    clean = from_array(samples(phrase), RATE, name=phrase)
    frame = FRAME * fault.rate // RATE
    return listen(clean, broken(fault, phrase), frame=frame, seeded=True, title=title)


def trials() -> Iterator[Trial]:
    """All of them, one by one."""
    for name, fault in FAULTS.items():
        frame = FRAME * fault.rate // RATE
        alone = listen(None, broken(fault, PHRASE), frame=frame)
        yield Trial(name, fault, listened(fault, PHRASE, name), alone)


def words_of(fault: Fault, recogniser: Recogniser) -> tuple[str, str]:
    """By how many points the word error rate rises, and what is heard."""
    side = listened(fault, PHRASE, "")
    found = hear([side], [phrases()[PHRASE]], recogniser, seeded=True).speech
    heard = found.phrases[0].candidate
    if heard.problem:
        return "gave up", heard.problem
    return (f"{100 * found.rise:+.0f}" if found.rise else "0"), heard.text
