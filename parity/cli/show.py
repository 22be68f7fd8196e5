"""`parity show`: what is in a capture."""

from __future__ import annotations

import json
from pathlib import Path

import click

__all__ = ["command"]

EXAMPLES = """\b
Examples:
  parity show reference.h5
  parity show reference.h5 'decoder.*'
  parity show reference.h5 decoder.out_norm --call 3
  parity show reference.h5 decoder.out_norm:input --phase generate
  parity show reference.h5 --json | jq '.taps[].path'"""


@click.command("show", epilog=EXAMPLES)
@click.argument("file", type=click.Path(path_type=Path))
@click.argument("tap", required=False)
@click.option(
    "--call", type=click.IntRange(min=0), help="Which call of the tap; the first if not given."
)
@click.option("--phase", help="Which phase to look in.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(
    file: Path, tap: str | None, call: int | None, phase: str | None, *, as_json: bool
) -> int:
    """Show what is in the capture FILE: its taps as a tree, or one tensor of one TAP.

    TAP is a path, a path with its port (`decoder.norm:input`), or a glob that narrows the tree.
    """
    from parity.cli import show_capture, show_tensor  # noqa: PLC0415 - keeps --help quick
    from parity.store import open_capture  # noqa: PLC0415

    with open_capture(file) as capture:
        position = show_tensor.chosen(capture, tap, phase, call) if tap else None
        if position is not None and as_json:
            click.echo(json.dumps(show_tensor.facts(capture, position)))
        elif position is not None:
            show_tensor.print_tensor(capture, position)
        elif as_json:
            click.echo(show_capture.as_json(capture, tap or "*"))
        else:
            show_capture.print_capture(capture, tap or "*")
    return 0
