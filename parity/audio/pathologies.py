"""Known ways to break a sound, each recognised by what only it does, and said in one line."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from parity.audio import broken_format, broken_samples, broken_sound, broken_time
from parity.audio.evidence import Evidence

__all__ = ["Evidence", "Pathology", "recognise"]


@dataclass(frozen=True, slots=True)
class Pathology:
    """A known way to break a sound, recognised.

    Attributes:
        name: a stable identifier (`misread`, `wrong_rate`, `zero_frames`).
        words: one sentence, with numbers.
    """

    name: str
    words: str

    @property
    def proves(self) -> bool:
        """Whether it shows that the candidate's samples are the reference's, mistreated."""
        return self.name in _PROOFS

    def __str__(self) -> str:
        return self.words


Recogniser = Callable[[Evidence], str]


def recognise(evidence: Evidence) -> tuple[Pathology, ...]:
    """Those that are there; none for sound that nothing is wrong with.

    Some stand for others: whoever reads bytes in the wrong format hears clicks and noise too.
    """
    if not evidence.differs:
        return ()
    found: dict[str, str] = {}
    for name, look in _ALL.items():
        if not any(name in _IMPLIED.get(known, ()) for known in found) and (
            words := look(evidence)
        ):
            found[name] = words
    return tuple(Pathology(name, words) for name, words in found.items())


# In the order in which they are said; each stands for those that it implies.
_ALL: Mapping[str, Recogniser] = {
    "channels": broken_format.channels,
    "misread": broken_format.bytes_misread,
    "nonfinite": broken_samples.nonfinite,
    "short": broken_samples.short,
    "silent": broken_samples.silent,
    "header": broken_format.header,
    "repeated": broken_format.held,
    "wrong_rate": broken_format.wrong_rate,
    "speed": broken_format.speed,
    "stretched": broken_format.stretched,
    "order": broken_time.order,
    "misplaced": broken_time.misplaced,
    "length": broken_time.length,
    "late": broken_time.late,
    "clock": broken_time.drift,
    "gain": broken_samples.gain,
    "overflow": broken_samples.overflow,
    "clipping": broken_samples.clipping,
    "dc": broken_samples.dc,
    "bits": broken_samples.bits,
    "curve": broken_samples.curve,
    "zero_frames": broken_samples.zero_frames,
    "stuck": broken_samples.stuck,
    "clicks": broken_sound.chunk_clicks,
    "level": broken_samples.level,
    "noise": broken_sound.noise,
    "bands": broken_sound.bands,
    "diverges": broken_time.elsewhere,
    "added": broken_sound.added,
    "phases": broken_sound.phases,
}
_SIGNAL = (
    "overflow", "level", "clipping", "dc", "curve", "bits", "zero_frames", "stuck", "clicks",
    "bands", "noise",
)  # fmt: skip
_IMPLIED: Mapping[str, tuple[str, ...]] = {
    "channels": ("misread", "silent", "noise", "bits", "bands"),
    "silent": ("zero_frames", "gain", "noise", "bits", "bands"),
    "misread": ("nonfinite", "repeated", "speed", "phases", "order", "gain", "added", *_SIGNAL),
    "wrong_rate": ("speed", "stretched", "bands", "clicks", "repeated", "clock"),
    "speed": ("stretched", "clicks", "clock", "bands"),
    "stretched": ("clicks", "clock", "bands"),
    "noise": ("bands",),
    "repeated": ("wrong_rate", "speed", "bands", "clicks", "clock"),
    "clipping": ("level", "curve", "dc", "stuck", "clicks", "bands"),
    "curve": ("dc", "level", "clicks", "bands"),
    "short": ("silent", "gain", "length", *_SIGNAL),
    "overflow": ("clipping", "curve", "clicks", "level", "bands"),
    "level": ("bands",),
    "bits": ("level", "curve", "zero_frames", "stuck", "clicks", "bands", "added"),
    "zero_frames": ("clicks", "bands"),
    "stuck": ("clicks",),
    "clicks": ("added",),
    "order": ("late", "clicks", "bands", "added", "clock", "phases", "diverges"),
    "clock": ("diverges", "clicks"),
    "misplaced": ("clicks", "clock", "diverges"),
    "nonfinite": ("clicks",),
    "diverges": ("clicks", "bands"),
}
_PROOFS = frozenset({"misread", "wrong_rate", "repeated", "order", "phases", "speed"})
