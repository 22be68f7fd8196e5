"""`parity calibrate`: what rounding alone does to the reference, measured."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from parity.cli.case_options import assignments
from parity.cli.progress import Bar
from parity.errors import InputError

if TYPE_CHECKING:
    from parity.localize.calibrate import Floors

__all__ = ["command"]

EXAMPLES = """\b
Examples:
  parity calibrate reference.h5 --program my_model:make -o size=small
  parity calibrate reference.h5 --program my_model:make --precision float32 --precision float16
  parity calibrate
  parity calibrate --config port/parity.toml --case 'alba-*'
  parity calibrate reference.h5 --program my_model:make --json - | jq '.captures[].precisions'

\b
The reference runs once more, with the case and the random draws of the capture, and each of its
operations several times: in float64, as recorded, with other threads, with sums in another order,
on inputs off by half a unit, in half precision. What is found goes into the capture, and
`parity diff` judges by it. Exit status: 0 measured, 2 an input is unusable."""


@click.command("calibrate", epilog=EXAMPLES)
@click.argument("reference", type=click.Path(path_type=Path), required=False)
@click.option("--program", metavar="MODULE:ATTRIBUTE", help="What the capture was made of.")
@click.option(
    "--backend", default="torch", show_default=True, help="A name, or module:attribute of one."
)
@click.option(
    "-o", "--option", "options", multiple=True, metavar="NAME=VALUE",
    help="Handed to the backend and its program, as when the capture was made. Can be repeated.",
)  # fmt: skip
@click.option(
    "--config", type=click.Path(path_type=Path), help="Instead of the nearest parity.toml."
)
@click.option(
    "--case", "cases", multiple=True, metavar="GLOB", help="Cases of a configuration. Repeatable."
)
@click.option(
    "--precision", "precisions", multiple=True,
    type=click.Choice(["float32", "float16", "bfloat16", "float64"]),
    help="In which ports compute. Can be repeated; float32, and what a configuration's rules name.",
)  # fmt: skip
@click.option("--rows", default=8, show_default=True, help="Taps in the printed table.")
@click.option("--json", "json_", metavar="FILE", help="Write JSON; - for the standard output.")
def command(reference: Path | None, **options: Any) -> int:
    """Measure the noise floors of a REFERENCE capture, or of all cases of a configuration."""
    quiet = options["json_"] == "-"
    with Bar("starting", quiet=quiet) as bar:
        if reference is not None:
            done = [_one(reference, bar, options)]
        else:
            done = _configured(bar, options)
    _report(done, options["json_"], options["rows"])
    return 0


def _one(path: Path, bar: Bar, options: dict[str, Any]) -> tuple[Path, Floors]:
    from parity.backends import load  # noqa: PLC0415 - keeps --help quick
    from parity.run.calibration import calibrate_capture  # noqa: PLC0415
    from parity.store import open_capture  # noqa: PLC0415

    if options["config"] is not None or options["cases"]:
        raise InputError(
            "a capture and a configuration are given, and only one is calibrated at a time",
            hint="leave REFERENCE, or --config and --case",
        )
    given = assignments("--option", options["options"])
    if options["program"] is not None:
        given["program"] = options["program"]
    elif options["backend"] == "torch" and "program" not in given:
        raise InputError(
            "it is not said which program the capture was made of",
            where=str(path),
            hint=f"parity calibrate {path} --program module:attribute",
        )
    # Before the program is built, which may take long.
    open_capture(path).close()
    backend = load(options["backend"], given, python_path=(".",))
    bar.update(0, None, f"{path.name}: running the reference")
    found = calibrate_capture(
        path,
        backend,
        precisions=options["precisions"] or ("float32",),
        progress=lambda done, total: bar.update(done, total, f"{path.name}: calibrating"),
    )
    return path, found


def _configured(bar: Bar, options: dict[str, Any]) -> list[tuple[Path, Floors]]:
    from parity.run import load_config  # noqa: PLC0415 - keeps --help quick
    from parity.run.calibration import calibrate_case  # noqa: PLC0415
    from parity.run.cases import load_cases  # noqa: PLC0415

    if options["program"] is not None or options["options"]:
        raise InputError(
            "--program and --option belong to a capture, and none is given",
            hint="parity calibrate reference.h5 --program module:attribute",
        )
    config = load_config(options["config"])
    done = []
    for case in load_cases(config, options["cases"]):
        bar.update(0, None, f"{case.name}: capturing the reference")

        def show(count: int, total: int | None, label: str = f"{case.name}: calibrating") -> None:
            bar.update(count, total, label)

        done.append(calibrate_case(config, case, options["precisions"], progress=show))
    return done


def _report(done: list[tuple[Path, Floors]], json_: str | None, rows: int) -> None:
    from parity.report.files import write_text  # noqa: PLC0415
    from parity.report.floors import floors_screen, floors_to_json  # noqa: PLC0415

    if json_ is not None:
        write_text(json_, floors_to_json(done) + "\n")
    if json_ != "-":
        from rich.console import Console  # noqa: PLC0415

        Console().print(floors_screen(done, rows=rows))
