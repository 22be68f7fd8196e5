"""The part of `parity run` that judges: `--gate` and what goes with it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

import click

from parity.errors import ConfigError, InputError

if TYPE_CHECKING:
    from parity.gate import Baseline, GateResult
    from parity.run import Config, RunResult

__all__ = ["GateOptions", "gate", "prepare", "publish"]


@dataclass(frozen=True, slots=True)
class GateOptions:
    """What the command line asks of the gate.

    Attributes:
        update: move the baseline to what is better.
        accept: the reason for moving it to what is worse; empty not to.
        junit: file for JUnit XML.
        summary: file for Markdown, besides the one that GitHub names.
        whole: whether all cases and candidates take part.
    """

    update: bool = False
    accept: str = ""
    junit: str = ""
    summary: str = ""
    whole: bool = True


def prepare(config: Config, options: GateOptions) -> Baseline | None:
    """The baseline to judge by, read before anything runs: a damaged one must not cost a run.

    Raises:
        ConfigError: it cannot be read, or shall be moved and is not named.
        InputError: it shall be moved in two ways.
    """
    from parity.gate import load_baseline  # noqa: PLC0415 - keeps --help quick

    if options.update and options.accept:
        raise InputError(
            "--update-baseline and --accept-worse exclude one another",
            hint="--accept-worse takes over what is better too",
        )
    if config.gate.baseline:
        return load_baseline(config.resolve(config.gate.baseline))
    if options.update or options.accept:
        raise ConfigError(
            "names no baseline to move", where=f"{config.path}: gate",
            hint='set baseline = "parity-baseline.json" there',
        )  # fmt: skip
    return None


def gate(
    run: RunResult, config: Config, options: GateOptions, baseline: Baseline | None
) -> GateResult:
    """Judge a run; move the baseline where that is asked for, and judge by the moved one."""
    from parity.gate import Baseline, accept_worse, save_baseline, tighten  # noqa: PLC0415

    result = _checked(run, config, baseline, options)
    if not (options.update or options.accept):
        return result
    if options.accept:
        moved = accept_worse(
            result, baseline, reason=options.accept, today=_today(), whole=options.whole
        )
    else:
        moved = tighten(result, baseline)
    if moved != (baseline or Baseline()):
        save_baseline(config.resolve(config.gate.baseline), moved)
    return _checked(run, config, moved, options)


def _checked(
    run: RunResult, config: Config, baseline: Baseline | None, options: GateOptions
) -> GateResult:
    from parity.gate import check  # noqa: PLC0415
    from parity.run.judging import tolerance_of  # noqa: PLC0415

    return check(
        run,
        config.gate,
        tolerance=tolerance_of(config),
        baseline=baseline,
        today=_today(),
        whole=options.whole,
    )


def _today() -> date:
    return datetime.now(UTC).date()


def publish(result: GateResult, config: Config, options: GateOptions, *, annotate: bool) -> None:
    """Write what CI systems read: JUnit XML, a summary, and annotations on GitHub."""
    from parity.gate.annotations import github_commands  # noqa: PLC0415
    from parity.gate.junit import to_junit  # noqa: PLC0415
    from parity.gate.summary import append_to, to_markdown  # noqa: PLC0415
    from parity.report.files import write_text  # noqa: PLC0415

    if options.junit:
        write_text(options.junit, to_junit(result))
    if options.summary:
        write_text(options.summary, to_markdown(result))
    if on_github := os.environ.get("GITHUB_STEP_SUMMARY"):
        append_to(on_github, to_markdown(result))
    if annotate and os.environ.get("GITHUB_ACTIONS") == "true":
        for command in github_commands(result, config.path):
            click.echo(command)
