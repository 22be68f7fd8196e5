"""The terminal screen of a run: each comparison, then one line each."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from parity.diffing.near import near
from parity.report.console import MARKS, Screen
from parity.report.diagnosis import DiagnosisScreen
from parity.report.listening_console import ListeningScreen, speech_lines
from parity.report.words import headline, printable
from parity.run.result import Comparison, RunResult

__all__ = ["problems", "screen", "why"]


def screen(result: RunResult, *, rows: int = 12) -> RenderableType:
    """What `parity run` prints, with at most `rows` taps a comparison."""
    parts: list[RenderableType] = []
    for comparison in result.comparisons:
        title = f"{result.subject} · {comparison.case} · {comparison.candidate}"
        parts += [Rule(title, style="dim"), *problems(comparison)]
        if comparison.diff is not None:
            parts.append(Screen(comparison.diff, rows))
        parts += why(comparison)
        parts += _listening(comparison)
        parts += [Padding(_speed(comparison), (1, 0, 0, 2))] if comparison.speed else []
        parts += [Padding(_reports(comparison), (1, 0, 1, 2))] if comparison.reports else []
    for candidate, speech in result.speech.items():
        said = "; ".join(speech_lines(speech))
        parts += [Rule(f"{candidate}: all phrases together", style="dim"), Text(printable(said))]
    if len(result.comparisons) > 1:
        parts += [Rule("in short", style="dim"), _summary(result)]
    return Group(*parts)


def problems(comparison: Comparison) -> list[RenderableType]:
    """Which of the two did not run, and why."""
    named = ("the reference", comparison.reference), (comparison.candidate, comparison.capture)
    return [
        Text.assemble(
            ("✗ ", "bold red"), (f"{name} did not run to its end\n", "bold"), state.problem
        )
        for name, state in named
        if state.problem
    ]


def why(comparison: Comparison) -> list[RenderableType]:
    """The diagnosis, or in a few lines why there is none."""
    if comparison.diagnosis is not None:
        return [Padding(DiagnosisScreen(comparison.diagnosis), (1, 0, 0, 0))]
    if not comparison.undiagnosed:
        return []
    text = f"no diagnosis: {printable(comparison.undiagnosed)}"
    return [Padding(Text(text, style="dim"), (1, 0, 0, 2))]


def _listening(comparison: Comparison) -> list[RenderableType]:
    """What a listener hears, or why nobody listened."""
    if comparison.listening is not None:
        return [Padding(ListeningScreen(comparison.listening), (1, 0, 0, 0))]
    if not comparison.unheard:
        return []
    text = f"nobody listened: {printable(comparison.unheard)}"
    return [Padding(Text(text, style="dim"), (1, 0, 0, 2))]


def _speed(comparison: Comparison) -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    for side, speed in comparison.speed.items():
        said = (
            f"{speed.audio_s:.2f} s of sound in {speed.run_s:.2f} s while recorded "
            f"({speed.real_time_factor:.2f} × real time), "
            f"the first after {speed.first_audio_s:.2f} s"
        )
        grid.add_row(f"{side}'s speed", said)
    return grid


def _reports(comparison: Comparison) -> Text:
    paths = ", ".join(near(path) for path in comparison.reports.values())
    return Text(f"written: {paths}", style="dim")


def _heard(comparison: Comparison) -> str:
    """What the listener's headline says, within a sentence."""
    said = str(comparison.listening)
    return said[:1].lower() + said[1:]


def _summary(result: RunResult) -> Table:
    grid = Table.grid(padding=(0, 2))
    for comparison in result.comparisons:
        diff = comparison.diff
        failed = comparison.exit_status == 2
        mark = MARKS[diff.outcome] if diff and not failed else Text("✗ ", style="bold red")
        words = headline(diff) if diff and not failed else "did not run to its end"
        if comparison.exit_status == 1 and diff is not None and not diff.outcome.exit_status:
            mark, words = Text("✗ ", style="bold red"), f"{words} But {_heard(comparison)}"
        grid.add_row(mark, comparison.case, comparison.candidate, Text(words))
    return grid
