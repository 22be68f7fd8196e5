"""What listening found, for the terminal."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.console import Console, ConsoleOptions, RenderResult
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from parity.report.listening_words import NAMES, check_words, corrections, headline, value_words
from parity.report.words import printable

if TYPE_CHECKING:
    from parity.audio import Check, Listening
    from parity.audio.speech import Speech

__all__ = ["ListeningScreen", "speech_lines"]

MARKS = {
    "pass": Text("✓ ", style="bold green"),
    "warn": Text("✓ ", style="bold green"),
    "fail": Text("✗ ", style="bold red"),
}
UNDECIDED = Text("? ", style="bold yellow")
COLOURS = {"fail": "red", "warn": "yellow"}
SHOWN = 4


@dataclass(frozen=True, slots=True)
class ListeningScreen:
    """What a terminal shows of a listening.

    Attributes:
        listening: what was found.
        full: with every check and what was heard word by word.
    """

    listening: Listening
    full: bool = False

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        listening = self.listening
        mark = MARKS.get(str(listening.judgement), UNDECIDED)
        yield Text.assemble(mark, (printable(headline(listening)), "bold"))
        yield Padding(_layers(listening), (1, 0, 0, 2))
        if self.full:
            yield Padding(_checks(listening), (1, 0, 0, 2))
        if self.full and listening.speech is not None:
            for phrase in listening.speech.phrases:
                yield Padding(Text(printable(phrase.alignment)), (1, 0, 0, 2))


def _layers(listening: Listening) -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for label, line in _lines(listening):
        grid.add_row(label, printable(line))
    return grid


def _lines(listening: Listening) -> Iterator[tuple[str, str]]:
    if listening.waveform is not None:
        yield "waveform", "; ".join(_waveform(listening))
    if listening.speech is not None:
        yield "words", "; ".join(speech_lines(listening.speech))
    health = listening.health
    yield "health", "; ".join([NAMES[str(health.judgement)], *_listed(health.checks)])
    if str(listening.story.judgement) != "fail" and str(health.judgement) == "fail":
        yield "", "the story's four checks see nothing of it"
    for pathology in listening.diagnosis:
        yield "recognised", pathology.words
    for note in listening.notes:
        yield "note", note


def _waveform(listening: Listening) -> Iterator[str]:
    waveform = listening.waveform
    assert waveform is not None  # noqa: S101 - the caller has looked
    yield NAMES[str(waveform.judgement)]
    if waveform.realisation != "unknown":
        kind = "the same realisation" if waveform.realisation == "same" else "another realisation"
        yield f"{kind} (correlation {value_words(waveform.correlation)})"
    if corrected := corrections(waveform):
        yield f"corrected for {', '.join(corrected)}"
    if not math.isnan(waveform.snr_db):
        yield f"error {value_words(round(waveform.snr_db, 1))} dB down"
    if waveform.first_bad_frame >= 0:
        frame, at = waveform.first_bad_frame, listening.first_bad_s
        yield f"first bad frame {frame}, at {at:.2f} s"
    yield from _listed(waveform.checks)


def _listed(checks: tuple[Check, ...]) -> Iterator[str]:
    """The checks that fail, or, where none does, those with a warning."""
    failed = [check for check in checks if check.judgement == "fail"]
    shown = failed or [check for check in checks if check.judgement == "warn"]
    for check in shown[:SHOWN]:
        yield check_words(check)
    if len(shown) > SHOWN:
        yield f"and {len(shown) - SHOWN} checks more"


def speech_lines(speech: Speech) -> Iterator[str]:
    """The gate in a few clauses, the recogniser's name among them."""
    yield str(speech.judgement)
    yield from speech.reasons
    yield (
        f"word errors {_rate(speech.candidate_rate)}, "
        f"the reference's {_rate(speech.reference_rate)}, "
        f"by {speech.recogniser}, {speech.normaliser} words"
    )
    yield from speech.notes
    if str(speech.judgement) in ("pass", "warn"):
        yield "this says that no content is lost, and nothing of fidelity"


def _checks(listening: Listening) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for title in ("layer", "check"):
        table.add_column(title)
    for title in ("candidate", "reference"):
        table.add_column(title, justify="right")
    table.add_column("limit")
    table.add_column("")
    for check in listening.checks:
        words = f"{check.judgement}: {check.words}" if check.words else str(check.judgement)
        table.add_row(
            check.layer, check.name, value_words(check.value), value_words(check.reference),
            check.limit, Text(words, style=COLOURS.get(str(check.judgement), "")),
        )  # fmt: skip
    return table


def _rate(rate: float) -> str:
    """A share in percent; a dash where there were no words."""
    return "–" if math.isnan(rate) else f"{rate:.1%}"
