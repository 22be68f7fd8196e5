"""`parity run`: the main job."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from parity.cli.gate import GateOptions, gate, prepare, publish
from parity.errors import InputError

if TYPE_CHECKING:
    from parity.gate import GateResult
    from parity.run import RunResult

__all__ = ["command"]

EXAMPLES = """\b
Examples:
  parity run
  parity run rust --case 'alba-*'
  parity run --config port/parity.toml --fresh
  parity run --json - | jq '.comparisons[].headline'
  parity run --create-golden
  parity run --gate --junit parity.xml
  parity run --gate --update-baseline

\b
Captures of earlier runs are reused as long as nothing that they depend on has changed.
--gate judges the run as continuous integration does: docs/ci.md.

\b
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
@click.option("--create-golden", is_flag=True, help="Create golden captures that are not there.")
@click.option("--update-golden", is_flag=True, help="Replace the golden captures.")
@click.option(
    "--gate", "gated", is_flag=True,
    help="Judge by baseline, coverage and what is listed under [gate], too.",
)  # fmt: skip
@click.option(
    "--update-baseline", is_flag=True, help="With --gate: move the baseline to what is better."
)
@click.option(
    "--accept-worse", metavar="REASON",
    help="With --gate: move the baseline to this run, and note the reason in it.",
)  # fmt: skip
@click.option("--junit", metavar="FILE", default="", help="With --gate: write JUnit XML.")
@click.option("--summary", metavar="FILE", default="", help="With --gate: write Markdown.")
def command(
    candidates: tuple[str, ...],
    config: Path | None,
    cases: tuple[str, ...],
    *,
    fresh: bool,
    diagnose: bool,
    rows: int,
    json_: str | None,
    create_golden: bool,
    update_golden: bool,
    gated: bool,
    **gate_options: Any,
) -> int:
    """Capture the reference and each candidate NAME, compare them, say why, and write reports."""
    from parity.cli.watch import Watcher  # noqa: PLC0415 - keeps --help quick
    from parity.run import STAGES, load_config, run  # noqa: PLC0415
    from parity.run.explain import explain_broken  # noqa: PLC0415
    from parity.run.golden import write_goldens  # noqa: PLC0415

    options = _gate_options(gated, gate_options, whole=not candidates and not cases)
    read = load_config(config)
    baseline = prepare(read, options) if options is not None else None
    stages = [stage for stage in STAGES if diagnose or stage is not explain_broken]
    with Watcher(quiet=json_ == "-") as watcher:
        if create_golden or update_golden:
            for path in write_goldens(read, cases, update=update_golden, began=watcher.began):
                watcher.wrote(path)
        result = run(
            read,
            candidates=candidates,
            cases=cases,
            fresh=fresh,
            observer=watcher,
            stages=stages,
        )
    judged = gate(result, read, options, baseline) if options is not None else None
    if json_:
        _write_json(result, judged, json_)
    if json_ != "-":
        _print(result, judged, rows)
    if judged is None or options is None:
        return result.exit_status
    publish(judged, read, options, annotate=json_ != "-")
    return judged.exit_status


def _gate_options(gated: bool, given: dict[str, Any], *, whole: bool) -> GateOptions | None:
    names = {
        "update_baseline": "--update-baseline",
        "accept_worse": "--accept-worse",
        "junit": "--junit",
        "summary": "--summary",
    }
    if given["accept_worse"] is not None and not given["accept_worse"].strip():
        raise InputError(
            "--accept-worse has an empty reason", hint="say why, for whoever reads the baseline"
        )
    if gated:
        return GateOptions(
            update=given["update_baseline"],
            accept=given["accept_worse"] or "",
            junit=given["junit"],
            summary=given["summary"],
            whole=whole,
        )
    for name, option in names.items():
        if given[name]:
            raise InputError(f"{option} goes with --gate", hint=f"parity run --gate {option} ...")
    return None


def _write_json(result: RunResult, judged: GateResult | None, path: str) -> None:
    from parity.gate.machine import to_dict as gate_to_dict  # noqa: PLC0415
    from parity.report.files import write_text  # noqa: PLC0415
    from parity.run.machine import to_json  # noqa: PLC0415

    more = {"gate": gate_to_dict(judged)} if judged is not None else {}
    write_text(path, to_json(result, more) + "\n")


def _print(result: RunResult, judged: GateResult | None, rows: int) -> None:
    from rich.console import Console  # noqa: PLC0415

    from parity.gate.screen import screen as gate_screen  # noqa: PLC0415
    from parity.run.screen import screen  # noqa: PLC0415

    console = Console()
    console.print(screen(result, rows=rows))
    if judged is not None:
        console.print(gate_screen(judged))
