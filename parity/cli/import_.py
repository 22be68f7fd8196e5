"""`parity import`: a capture from a folder of dumped tensors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from parity.cli.case_options import assignments
from parity.cli.selection import plan_of, selection_options

__all__ = ["command"]

EXAMPLES = r"""\b
Examples:
  parity import dumps/ -o port.h5
  parity import dump.safetensors -o port.h5 --layout layout.toml
  parity import dumps/ -o port.h5 --order trace.txt --ignore 'weights*'
  parity import dumps/ -o port.h5 --pattern '(?P<call>\d+)-(?P<path>.+)'

\b
A tensor is named after its file, or its key in a .npz or .safetensors file; `/` becomes a dot:
  decoder/norm.npy            call 0 of decoder.norm
  decoder.norm.call3.npy      call 3; also norm#3, norm/3, norm_000003
  @generate/norm.input.1.npy  phase generate, role input, slot 1

\b
layout.toml: rules by the path as dumped
  rename  = [{match = 'blk\.(\d+)\.(.+)', to = 'layers.\1.\2'}]
  view    = [{path = "blk.*", dtype = "bfloat16"}]
  permute = [{path = "conv", axes = [0, 2, 1]}]
""".replace("\\b\n", "\b\n")  # click's mark for a paragraph to be left as it is


@click.command("import", epilog=EXAMPLES)
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "-o", "--output", required=True, type=click.Path(path_type=Path), help="The file to write."
)
@click.option("--pattern", metavar="REGEX", help="How to read names: (?P<path>...), call, ...")
@click.option("--layout", metavar="FILE", help="Rules that rename, permute, reinterpret tensors.")
@click.option("--order", metavar="NAME", help="name, time, stored, or a file that lists names.")
@click.option("--ignore", multiple=True, metavar="GLOB", help="Files to leave out.")
@click.option(
    "--option", "options", multiple=True, metavar="NAME=VALUE",
    help="Further options of the backend `files`; `parity backends` explains them.",
)  # fmt: skip
@click.option("--case", "case_name", metavar="NAME", help="Name of the case (default: FOLDER's).")
@selection_options
@click.option("--json", "json_", metavar="FILE", help="Write JSON; - for the standard output.")
def command(folder: Path, output: Path, **given: Any) -> int:
    """Make a capture file from FOLDER, which holds .npy, .npz or .safetensors files."""
    from parity.cli.recording import Request, record_here  # noqa: PLC0415 - keeps --help quick
    from parity.tensors import Case  # noqa: PLC0415

    chosen = {name: given[name] for name in ("pattern", "layout", "order", "ignore")}
    options = {name: value for name, value in chosen.items() if value}
    options |= assignments("--option", given["options"])
    case = Case(given["case_name"] or folder.resolve().stem)
    plan = plan_of(given)
    request = Request(
        "files", {"folder": str(folder), **options}, case, plan, output, given["json_"]
    )
    return record_here(request)
