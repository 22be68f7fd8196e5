"""`parity diff`: two captures side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from parity.cli.progress import Bar

__all__ = ["command"]

EXAMPLES = """\b
Examples:
  parity diff reference.h5 port.h5
  parity diff reference.h5 port.h5 --preset fp16 --html report.html
  parity diff reference.h5 port.h5 --html report.html --sound waveform 24000
  parity diff reference.h5 port.h5 --rename 'dec.{rest} -> decoder.{rest}'
  parity diff reference.h5 port.h5 --auto --allow-missing '*.dropout'
  parity diff reference.h5 port.h5 --json - | jq .first_divergence

\b
Exit status: 0 parity holds, 1 it does not, 2 an input is unusable,
3 nothing can be concluded."""


@click.command("diff", epilog=EXAMPLES)
@click.argument("reference", type=click.Path(path_type=Path))
@click.argument("candidate", type=click.Path(path_type=Path))
@click.option("--preset", default="fp32", show_default=True, help="Rules to judge by.")
@click.option(
    "--rule", "rules", multiple=True, metavar="'TAP: BOUND=VALUE, ...'",
    help="A rule for taps that match a glob; goes before the preset. Can be repeated.",
)  # fmt: skip
@click.option(
    "--rename", "renames", multiple=True, metavar="'CAND -> REF'",
    help="How a candidate's tap is called in the reference. Can be repeated; the first match wins.",
)  # fmt: skip
@click.option("--auto", is_flag=True, help="Match taps by order, shape and content, not by name.")
@click.option("--include", multiple=True, metavar="GLOB", help="Compare only these taps.")
@click.option("--exclude", multiple=True, metavar="GLOB", help="Leave these taps out.")
@click.option(
    "--allow-missing", multiple=True, metavar="GLOB", help="Taps that the candidate need not have."
)
@click.option("--rows", default=12, show_default=True, help="Taps in the printed table.")
@click.option("--json", "json_", metavar="FILE", help="Write JSON; - for the standard output.")
@click.option("--csv", metavar="FILE", help="Write one line a tensor; - for the standard output.")
@click.option("--html", metavar="FILE", help="Write a page with pictures.")
@click.option(
    "--sound", "sounds", multiple=True, type=(str, click.IntRange(min=1)), metavar="TAP HERTZ",
    help="A tap that holds a waveform, to listen to on the page. Can be repeated.",
)  # fmt: skip
@click.option("--junit", metavar="FILE", help="Write JUnit XML.")
@click.option("--explorer", metavar="FILE", help="Write the model as a graph, for Model Explorer.")
@click.option("--markdown", metavar="FILE", help="Write Markdown; - for the standard output.")
def command(reference: Path, candidate: Path, **options: Any) -> int:
    """Compare CANDIDATE with REFERENCE, two capture files, tensor by tensor."""
    from parity.diffing import diff  # noqa: PLC0415 - keeps --help quick
    from parity.tensors import TapPlan  # noqa: PLC0415
    from parity.tolerance import parse_rule, preset  # noqa: PLC0415

    rules = [parse_rule(text) for text in options["rules"]]
    with Bar("comparing") as bar:
        result = diff(
            reference,
            candidate,
            tolerance=preset(options["preset"]).with_rules(rules),
            renames=options["renames"],
            mode="auto" if options["auto"] else "exact",
            plan=TapPlan(include=options["include"] or ("*",), exclude=options["exclude"]),
            allow_missing=options["allow_missing"],
            progress=bar.update,
        )
    formats = {"json": options["json_"]} | {
        kind: options[kind] for kind in ("csv", "explorer", "html", "junit", "markdown")
    }
    wanted = {kind: path for kind, path in formats.items() if path}
    _report(result, wanted, options["rows"], options["sounds"])
    return result.outcome.exit_status


def _report(
    result: Any, wanted: dict[str, str], rows: int, sounds: Sequence[tuple[str, int]]
) -> None:
    from parity.report.console import print_result  # noqa: PLC0415
    from parity.report.files import WITH_EVIDENCE, render, write_text  # noqa: PLC0415

    for kind, path in wanted.items():
        title = f"{result.candidate} against {result.reference}"
        shown = _evidence(result, sounds) if kind in WITH_EVIDENCE else None
        write_text(path, render(result, kind, title=title, evidence=shown))
    # Whoever asks for a machine's format on the standard output gets nothing else there.
    if "-" not in wanted.values():
        print_result(result, rows=rows)


def _evidence(result: Any, sounds: Sequence[tuple[str, int]]) -> Any:
    from parity.report.page import gather  # noqa: PLC0415

    return gather(result, result.reference, result.candidate, sounds=sounds)
