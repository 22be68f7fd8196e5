"""Marks on the changed files of a pull request, in GitHub's workflow commands.

The format is GitHub's documented one: `::error file=...,line=...,title=...::message`, with percent
signs and line ends escaped, and in properties colons and commas too.
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from parity.gate.result import Failure, GateResult, Kind
from parity.gate.words import NAMES, forgiven_line, headline, line

__all__ = ["github_commands"]

# GitHub shows ten errors and ten warnings a step.
MOST = 9


def github_commands(result: GateResult, config: Path, *, root: Path | None = None) -> Iterator[str]:
    """One command a line: errors on the candidates' tables of the configuration.

    Of several taps of one comparison that fail alike, the first stands for all.

    Args:
        result: the judged run.
        config: the configuration's file.
        root: the checkout's folder; by default what GitHub says, or else the current one.
    """
    folder = root or Path(os.environ.get("GITHUB_WORKSPACE") or Path.cwd())
    file = str(config.relative_to(folder)) if config.is_relative_to(folder) else str(config)
    source = config.read_text(encoding="utf-8").splitlines()
    groups: dict[tuple[str, str, Kind], list[Failure]] = defaultdict(list)
    for failure in result.failures:
        groups[failure.case, failure.candidate, failure.kind].append(failure)
    for (_, _, kind), failures in list(groups.items())[:MOST]:
        others = len(failures) - 1
        more = f"; and at {others:,} more {'tap' if others == 1 else 'taps'}" if others else ""
        number = _line_of(source, failures[0])
        yield _command("error", file, number, f"parity: {NAMES[kind]}", line(failures[0]) + more)
    if len(groups) > MOST:
        yield _command("error", file, 1, "parity", headline(result))
    for forgiven in result.forgiven[:MOST]:
        number = _line_of(source, forgiven.failure)
        yield _command("warning", file, number, "parity: listed", forgiven_line(forgiven))


def _line_of(source: list[str], failure: Failure) -> int:
    """The line of `[candidates.NAME]`, from 1; the first line where there is none."""
    name = re.escape(failure.candidate)
    table = re.compile(rf"\s*\[\s*candidates\s*\.\s*[\"']?{name}[\"']?\s*\]")
    return next((i for i, text in enumerate(source, 1) if table.match(text)), 1)


def _command(level: str, file: str, number: int, title: str, message: str) -> str:
    where = f"file={_property(file)},line={number},title={_property(title)}"
    return f"::{level} {where}::{_data(message)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
