"""Records one case for a command, shows how far it is, and says how it ended."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from parity.backends import Outcome, Progress, load
from parity.capture.isolated import capture_here, capture_isolated
from parity.cli.progress import Bar
from parity.errors import ParityError
from parity.store import open_capture
from parity.tensors import Case, TapPlan

__all__ = ["Request", "record_here", "record_isolated"]

_HERE = (".",)


@dataclass(frozen=True, slots=True, eq=False)
class Request:
    """What a command was asked to record.

    Attributes:
        backend: a registered name, or `module:attribute`, looked up from the current folder.
        options: of the backend.
        case: what to run.
        plan: what to record.
        output: the file to write.
        json: a file for the outcome, `-` for the standard output, or None for words.
    """

    backend: str
    options: Mapping[str, Any]
    case: Case
    plan: TapPlan
    output: Path
    json: str | None = None


def record_here(request: Request) -> int:
    """Record in this process.

    Raises:
        ParityError: the run failed; a file that was there is still what it was, unless something
            was recorded.
    """
    started = time.monotonic()
    with (
        Bar(request.case.name, quiet=request.json == "-") as bar,
        _in_place_of(request.output) as path,
    ):
        backend = load(request.backend, request.options, python_path=_HERE)
        records = capture_here(
            backend,
            request.case,
            request.plan,
            path,
            on_progress=lambda progress: bar.update(progress.count),
        )
    _say(request, {"ending": "ok", "records": records, "seconds": time.monotonic() - started})
    return 0


@contextmanager
def _in_place_of(output: Path) -> Iterator[Path]:
    """Where to record, so that a run that records nothing does not cost what lies at `output`."""
    there = output.is_file()
    new = output.with_name(f".{output.name}.{os.getpid()}.new") if there else output
    try:
        yield new
    finally:
        if not _kept(new, 0):
            if there or new.is_file():
                new.unlink(missing_ok=True)
        elif there:
            new.replace(output)


def record_isolated(
    request: Request, *, timeout_s: float | None = None, memory_limit_bytes: int | None = None
) -> int:
    """Record in a process of its own.

    Raises:
        ParityError: the run failed; what it had recorded is kept.
    """

    def show(progress: Progress) -> None:
        bar.update(progress.count, label=f"{request.case.name}: {progress.last}")

    begun = time.time_ns()
    with Bar(request.case.name, quiet=request.json == "-") as bar:
        outcome = capture_isolated(
            request.backend,
            request.options,
            request.case,
            request.plan,
            request.output,
            python_path=_HERE,
            timeout_s=timeout_s,
            memory_limit_bytes=memory_limit_bytes,
            on_progress=show,
        )
    if outcome.error is None:
        _say(request, _summary(outcome, outcome.value["records"]))
        return 0
    records = _kept(request.output, begun)
    _say(request, _summary(outcome, records))
    raise _with_remains(outcome.error, request.output, records, echoed=bool(outcome.output))


def _kept(path: Path, begun_ns: int) -> int:
    """How many records a run that failed has left behind."""
    try:
        if path.stat().st_mtime_ns < begun_ns:
            return 0  # an older file, which the run never came to replace
        with open_capture(path) as capture:
            return len(capture.records)
    except (OSError, ParityError):
        return 0


def _summary(outcome: Outcome, records: int) -> dict[str, Any]:
    return {
        "ending": outcome.ending,
        "message": outcome.message,
        "records": records,
        "last": outcome.progress.last,
        "seconds": round(outcome.duration_s, 3),
        "signal": outcome.signal,
        "exit_code": outcome.exit_code,
        "output": outcome.output,
    }


def _say(request: Request, summary: dict[str, Any]) -> None:
    text = json.dumps({"file": str(request.output), "case": request.case.name, **summary}, indent=2)
    if request.json == "-":
        click.echo(text)
        return
    if request.json is not None:
        Path(request.json).write_text(f"{text}\n", encoding="utf-8")
    if summary["ending"] == "ok":
        size = request.output.stat().st_size / 2**20
        records, seconds = summary["records"], summary["seconds"]
        click.echo(f"{request.output}: {records:,} tensors, {size:,.1f} MiB, {seconds:.1f} s")
    elif summary["output"] and request.json != "-":
        click.echo(summary["output"], err=True, nl=False)


def _with_remains(
    error: ParityError, output: Path, records: int, *, echoed: bool = False
) -> ParityError:
    if not records:
        return error
    kept = f"the {records:,} tensors recorded until then are in {output}"
    hint = f"parity show {output}"
    # Last words, which have several lines, were printed already if they are this process's own.
    if error.hint and not (echoed and "\n" in error.hint):
        hint = f"{hint}; {error.hint}"
    return type(error)(f"{error.what}; {kept}", where=error.where, hint=hint)
