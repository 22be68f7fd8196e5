"""`parity run`: the main job."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from parity.run import RunResult

__all__ = ["command"]

EXAMPLES = """\b
Examples:
  parity run
  parity run rust --case 'alba-*'
  parity run --config port/parity.toml --fresh
  parity run --json - | jq '.comparisons[].headline'

\b
Captures of earlier runs are reused as long as nothing that they depend on has changed.
Exit status: 0 parity holds, 1 it does not, 2 something did not run, 3 nothing can be concluded."""


@click.command("run", epilog=EXAMPLES)
@click.argument("candidates", nargs=-1, metavar="[NAME]...")
@click.option(
    "--config", type=click.Path(path_type=Path), help="Instead of the nearest parity.toml."
)
@click.option(
    "--case", "cases", multiple=True, metavar="GLOB", help="Cases to run. Can be repeated."
)
@click.option("--fresh", is_flag=True, help="Make every capture again.")
@click.option(
    "--diagnose/--no-diagnose", default=True, help="Whether to say why a candidate differs."
)
@click.option("--rows", default=12, show_default=True, help="Taps in each printed table.")
@click.option("--json", "json_", metavar="FILE", help="Write JSON; - for the standard output.")
def command(
    candidates: tuple[str, ...],
    config: Path | None,
    cases: tuple[str, ...],
    *,
    fresh: bool,
    diagnose: bool,
    rows: int,
    json_: str | None,
) -> int:
    """Capture the reference and each candidate NAME, compare them, say why, and write reports."""
    from parity.cli.watch import Watcher  # noqa: PLC0415 - keeps --help quick
    from parity.run import STAGES, load_config, run  # noqa: PLC0415
    from parity.run.explain import explain_broken  # noqa: PLC0415

    stages = [stage for stage in STAGES if diagnose or stage is not explain_broken]
    with Watcher(quiet=json_ == "-") as watcher:
        result = run(
            load_config(config),
            candidates=candidates,
            cases=cases,
            fresh=fresh,
            observer=watcher,
            stages=stages,
        )
    if json_:
        _write_json(result, json_)
    if json_ != "-":
        _print(result, rows)
    return result.exit_status


def _write_json(result: RunResult, path: str) -> None:
    from parity.report.files import write_text  # noqa: PLC0415
    from parity.run.machine import to_json  # noqa: PLC0415

    write_text(path, to_json(result) + "\n")


def _print(result: RunResult, rows: int) -> None:
    from rich.console import Console  # noqa: PLC0415

    from parity.run.screen import screen  # noqa: PLC0415

    Console().print(screen(result, rows=rows))
