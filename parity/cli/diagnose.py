"""`parity diagnose`: why a candidate differs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from parity.errors import InputError

__all__ = ["command"]

EXAMPLES = """\b
Examples:
  parity diagnose
  parity diagnose rust --case 'alba-*' --html why.html
  parity diagnose --reference reference.h5 --candidate port.h5 --program my_model:Program
  parity diagnose --reference reference.h5 --candidate port.h5 \\
      --program my_model:Program -o size=small --rename 'dec.{rest} -> decoder.{rest}'
  parity diagnose --reference reference.h5 --candidate port.h5 --program my_model:Program \\
      --json - | jq '.findings[].sentence'

\b
Without --reference the captures are those of `parity run`, from parity.toml: reused as long as
nothing that they depend on has changed, and else made. Their JSON holds one diagnosis a case and
candidate, under .comparisons[].diagnosis. docs/diagnosis.md says how to read a diagnosis.

\b
Exit status: 0 no fault, 1 faults found, or something differs unexplained, 2 something is
unusable, 3 nothing was compared."""


@click.command("diagnose", epilog=EXAMPLES)
@click.argument("candidates", nargs=-1, metavar="[NAME]...")
@click.option(
    "--config", type=click.Path(path_type=Path), help="Instead of the nearest parity.toml."
)
@click.option(
    "--case", "cases", multiple=True, metavar="GLOB", help="Cases to look at. Can be repeated."
)
@click.option("--fresh", is_flag=True, help="Make every capture again.")
@click.option(
    "--reference", type=click.Path(path_type=Path), metavar="REF.h5",
    help="The reference's capture, instead of a configuration; its case and noise are run again.",
)  # fmt: skip
@click.option(
    "--candidate", type=click.Path(path_type=Path), metavar="CAND.h5",
    help="The candidate's capture, with --reference.",
)  # fmt: skip
@click.option(
    "--program", metavar="MODULE:ATTR", help="The reference's torch program, with --reference."
)
@click.option(
    "-o", "--option", "options", multiple=True, metavar="NAME=VALUE",
    help="Handed to the torch backend and the program. Can be repeated.",
)  # fmt: skip
@click.option(
    "--rename", "renames", multiple=True, metavar="'CAND -> REF'",
    help="How a candidate's tap is called in the reference. Can be repeated; the first match wins.",
)  # fmt: skip
@click.option("--auto", is_flag=True, help="Match taps by order, shape and content, not by name.")
@click.option("--include", multiple=True, metavar="GLOB", help="Look at these taps only.")
@click.option("--exclude", multiple=True, metavar="GLOB", help="Leave these taps out.")
@click.option("--output", metavar="TAP", default="", help="The tap that is the model's output.")
@click.option(
    "--seconds", type=click.FloatRange(min=0), default=None,
    help="After this time no further cause is looked for.  [default: 300]",
)  # fmt: skip
@click.option("--json", "json_", metavar="FILE", help="Write JSON; - for the standard output.")
@click.option("--markdown", metavar="FILE", help="Write Markdown; - for the standard output.")
@click.option("--html", metavar="FILE", help="Write a page.")
def command(**given: Any) -> int:
    """Say why a candidate differs: each cause, where, how sure that is, and what it costs.

    NAME is a candidate of parity.toml; all of them by default.
    """
    _check_one_way(given)
    if given["reference"] is None:
        from parity.cli.diagnose_runs import diagnose_runs  # noqa: PLC0415 - keeps --help quick

        return diagnose_runs(given)
    from parity.cli.diagnose_pair import diagnose_pair  # noqa: PLC0415

    return diagnose_pair(given)


def _refuse_captures(names: tuple[str, ...]) -> None:
    """Captures as arguments, as `parity diff` takes them."""
    if not any(name.endswith((".h5", ".hdf5")) for name in names):
        return
    two = names if len(names) == 2 else ("REF.h5", "CAND.h5")
    raise InputError(
        f"{names[0]} is a capture, and NAME is a candidate of parity.toml; captures are named by "
        "options, with the program that is run again",
        hint=f"parity diagnose --reference {two[0]} --candidate {two[1]} --program MODULE:ATTR",
    )


def _check_one_way(given: dict[str, Any]) -> None:
    """Two files, or a configuration."""
    of_pair = {name: given[name] for name in ("reference", "candidate", "program", "options")}
    of_runs = {name: given[name] for name in ("candidates", "config", "cases", "fresh")}
    if not any(of_pair.values()):
        _refuse_captures(given["candidates"])
        return
    for name in ("reference", "candidate", "program"):
        if not given[name]:
            raise InputError(
                f"two captures are diagnosed with --reference, --candidate and --program; "
                f"--{name} is missing",
                hint="parity diagnose --help has examples",
            )
    if extra := [name for name, value in of_runs.items() if value]:
        called = {"candidates": "NAME", "cases": "--case"}.get(extra[0], f"--{extra[0]}")
        raise InputError(
            f"{called} belongs to a configuration, and --reference names a capture",
            hint="leave one of them out; parity diagnose --help has examples",
        )
