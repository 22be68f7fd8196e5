"""`parity capture`: one run of one implementation, recorded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from parity.cli.case_options import assignments, case_of, case_options
from parity.cli.selection import plan_of, selection_options

__all__ = ["command"]

EXAMPLES = """\b
Examples:
  parity capture --backend torch --option program=my_model:make \\
      --array x=input.npy -o reference.h5
  parity capture --backend torch --option program=my_port:Program --option dtype=float16 \\
      --case short.toml --noise reference.h5 -o port.h5
  parity capture --backend my_port.backend:MyBackend --case short.toml --timeout 60 -o port.h5

\b
A case file (short.toml):
  name = "short"
  seed = 1
  inputs = {text = "Hello", temperature = 0.7}
  arrays = {voice = "voice.npy"}

\b
The run has a process of its own, so that a crash or a hang is reported, and what was recorded
until then is kept. Exit status: 0 recorded, 2 not recorded to the end."""


@click.command("capture", epilog=EXAMPLES)
@click.option(
    "--backend", default="torch", show_default=True, help="A name, or module:attribute of one."
)
@click.option(
    "--option", "options", multiple=True, metavar="NAME=VALUE",
    help="Handed to the backend; `parity backends` explains them. Can be repeated.",
)  # fmt: skip
@click.option(
    "-o", "--output", required=True, type=click.Path(path_type=Path), help="The file to write."
)
@case_options
@selection_options
@click.option(
    "--isolate/--no-isolate", default=True, show_default=True, help="Run in a process of its own."
)
@click.option("--timeout", type=float, metavar="SECONDS", help="End the run after this time.")
@click.option("--memory", type=int, metavar="MIB", help="Most memory that the run may take.")
@click.option("--json", "json_", metavar="FILE", help="Write JSON; - for the standard output.")
def command(backend: str, output: Path, **given: Any) -> int:
    """Record one run of one implementation into a capture file."""
    from parity.cli.recording import (  # noqa: PLC0415 - keeps --help quick
        Request,
        record_here,
        record_isolated,
    )

    plan, case = plan_of(given), case_of(given)
    options = assignments("--option", given["options"])
    request = Request(backend, options, case, plan, output, given["json_"])
    if not given["isolate"]:
        return record_here(request)
    memory = given["memory"] * 2**20 if given["memory"] else None
    return record_isolated(request, timeout_s=given["timeout"], memory_limit_bytes=memory)
