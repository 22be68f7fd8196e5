"""`parity coreml ...` and `parity precision`: a thin skin over this package.

Nothing here loads torch or coremltools until a command runs.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

import click

from parity.errors import ConfigError, MissingExtraError

__all__ = ["coreml", "precision"]

Command = TypeVar("Command", bound=Callable[..., Any])

EXAMPLES = """\b
Examples:
  parity coreml convert my_model:make --array x=x.npy -o model.mlpackage
  parity coreml map my_model:make converted-elsewhere.mlpackage --array x=x.npy
  parity coreml check my_model:make model.mlpackage --array x=x.npy
  parity coreml check my_model:make model.mlpackage --array x=x.npy --repair fixed.mlpackage
  parity coreml bundle model.mlpackage --array x=x.npy -o bundle/
  parity coreml check my_model:make model.mlpackage --array x=x.npy \\
      --bundle bundle/ --results results/
  parity coreml matrix my_model:make half.mlpackage full.mlpackage --array x=x.npy \\
      --results half/=on-cpu/ --results half/=on-ane/
  parity coreml ops

\b
PROGRAM is module:attribute of a torch.nn.Module, or of a function that makes one. Arrays are named
after the arguments of its forward, or 0, 1, ... by position."""

_arrays = click.option(
    "--array", "arrays", multiple=True, metavar="NAME=FILE", help="One .npy array. Repeatable."
)
_options = click.option(
    "--option", "options", multiple=True, metavar="NAME=VALUE", help="A keyword of the function."
)
_json = click.option("--json", "json_", metavar="FILE", help="Write JSON; - for standard output.")
_PATH = click.Path(path_type=Path)


@click.group("coreml", epilog=EXAMPLES)
def coreml() -> None:
    """Convert to Core ML, check the package operation by operation, bundle it for a device."""


@coreml.command("convert")
@click.argument("program")
@_arrays
@_options
@click.option("-o", "--output", required=True, type=_PATH, help="The .mlpackage to write.")
@click.option(
    "--precision", "precision_", default="float32", show_default=True, help="float32 or float16."
)
@click.option("--target", default="iOS18", show_default=True, help="Least deployment target.")
@click.option("--prefix", default="", help="What tap paths begin with, such as mimi.decoder.")
def convert(
    program: str, output: Path, precision_: str, target: str, prefix: str, **given: Any
) -> int:
    """Convert PROGRAM through torch.export, with the map of its modules beside the package."""
    module, arrays = _module(program, given)
    from parity_coreml.convert import convert as run  # noqa: PLC0415 - seconds to load
    from parity_coreml.program import arguments, tensors  # noqa: PLC0415

    args = tensors(arguments(module, arrays))
    _say_placed(
        output, run(module, args, output, precision=precision_, target=target, prefix=prefix)
    )
    return 0


@coreml.command("map")
@click.argument("program")
@click.argument("package", type=_PATH)
@_arrays
@_options
@click.option("--prefix", default="", help="What tap paths begin with, such as mimi.decoder.")
def map_(program: str, package: Path, prefix: str, **given: Any) -> int:
    """Find which values of PACKAGE are which modules of PROGRAM, if it was converted elsewhere.

    What computes the same numbers is the same. The map is written beside the package, as convert
    does, and all other commands then take it.
    """
    module, arrays = _module(program, given)
    from parity.cli.progress import Bar  # noqa: PLC0415
    from parity_coreml.mapping import map_package  # noqa: PLC0415
    from parity_coreml.program import arguments, tensors  # noqa: PLC0415

    args = tensors(arguments(module, arrays))
    with Bar(f"{package.name}: matching operations") as bar:
        sidecar = map_package(module, args, package, prefix=prefix, progress=bar.update)
    mapped, total = len(sidecar.values), len(sidecar.nodes)
    click.echo(f"{package}: {mapped} of {total} operations of torch have a value in the program")
    _say_placed(package, sidecar)
    return 0


def _say_placed(package: Path, sidecar: Any) -> None:
    click.echo(f"{package}: {len(sidecar.placed)} outputs of modules have a value in the program")
    for each in sidecar.unplaced:
        click.echo(f"  none for {each}: {each.reason}")


@coreml.command("check")
@click.argument("program")
@click.argument("package", type=_PATH)
@_arrays
@_options
@click.option("--bundle", type=_PATH, help="The bundle that the results are of.")
@click.option("--results", type=_PATH, help="What a harness brought back: the third side.")
@click.option("--device", metavar="UNITS", help="Run Core ML here: all, cpuOnly, ... On a Mac.")
@click.option("--remote", metavar="NAME", help="With --device: on the iPhone or iPad called NAME.")
@click.option("--team", default="", help="With --remote: the team that signs coremltools' app.")
@click.option("--repair", type=_PATH, help="Write a package without the faults that have a cause.")
@_json
def check(program: str, package: Path, json_: str | None, repair: Path | None, **given: Any) -> int:
    """Compare PACKAGE with PROGRAM operation by operation, and say whose fault a difference is.

    Exit status: 0 nothing is wrong, 1 something is, 3 nothing could be compared.
    """
    module, arrays = _module(program, given)
    from parity.cli.progress import Bar  # noqa: PLC0415
    from parity_coreml.check import check as run  # noqa: PLC0415
    from parity_coreml.checked_text import checked_to_dict, checked_to_text  # noqa: PLC0415
    from parity_coreml.package import open_package  # noqa: PLC0415
    from parity_coreml.program import module_steps  # noqa: PLC0415

    steps = module_steps(module, arrays, str(package))
    with Bar(f"{package.name}: comparing operation by operation", quiet=json_ == "-"):
        checked = run(module, steps, package, _ran(package, steps, given))
    if json_ != "-":
        click.echo(checked_to_text(checked), nl=False)
    _write_json(json_, checked_to_dict(checked))
    if repair is not None:
        from parity_coreml.repair import repair as mend  # noqa: PLC0415

        mend(open_package(package), checked.causes.values(), repair)
        count = len(checked.causes)
        said = f"{count} operation{'' if count == 1 else 's'} repaired"
        click.echo(f"{repair}: {said}", err=json_ == "-")
    return {True: 0, False: 1, None: 3}[checked.holds]


@coreml.command("bundle")
@click.argument("package", type=_PATH)
@_arrays
@click.option("-o", "--output", required=True, type=_PATH, help="The folder to write.")
@click.option(
    "--batch",
    default=20,
    show_default=True,
    type=click.IntRange(min=1),
    help="Values a package gives out more.",
)
@click.option(
    "--repeat", default=5, show_default=True, type=click.IntRange(min=0), help="Runs for timing."
)
def bundle(package: Path, output: Path, batch: int, repeat: int, arrays: tuple[str, ...]) -> int:
    """Write a folder with all that a Mac or an iPhone needs to run PACKAGE and its copies.

    Arrays are named after the program's inputs; one axis too many is one step each.
    """
    _needs_extra()
    from parity_coreml.backend import steps_of  # noqa: PLC0415
    from parity_coreml.bundle import write_bundle  # noqa: PLC0415
    from parity_coreml.package import open_package  # noqa: PLC0415
    from parity_coreml.sidecar import read_sidecar  # noqa: PLC0415

    opened = open_package(package)
    steps = steps_of(_read_arrays(arrays), opened)
    made = write_bundle(opened, read_sidecar(package), steps, output, batch=batch, repeat=repeat)
    click.echo(
        f"{output}: {len(made.outputs)} values in {len(made.packages)} packages, {made.steps} steps"
    )
    for each in made.not_exposed:
        click.echo(f"  cannot come out: {each.name} ({each.reason})")
    return 0


@coreml.command("matrix")
@click.argument("program")
@click.argument("packages", nargs=-1, required=True, type=_PATH)
@_arrays
@_options
@click.option(
    "--results",
    "pairs",
    multiple=True,
    metavar="BUNDLE=RESULTS",
    help="What a harness brought back for the package that the bundle was made of. Repeatable.",
)
def matrix(program: str, packages: tuple[Path, ...], pairs: tuple[str, ...], **given: Any) -> int:
    """One table of PACKAGES by precision, runner and compute units: error and time."""
    module, arrays = _module(program, given)
    from parity_coreml.matrix import matrix as run  # noqa: PLC0415
    from parity_coreml.matrix import matrix_to_text  # noqa: PLC0415
    from parity_coreml.program import module_steps  # noqa: PLC0415

    steps = module_steps(module, arrays, str(packages[0]))
    ran = _all_results(packages, pairs, steps)
    click.echo(matrix_to_text(run(module, steps, packages, ran)), nl=False)
    return 0


@coreml.command("ops")
def ops() -> int:
    """List the MIL operations that the torch frontend can write, and how each is evaluated."""
    _needs_extra()
    from parity_coreml.operations import operations_to_text  # noqa: PLC0415

    click.echo(operations_to_text(), nl=False)
    return 0


def _module(program: str, given: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    _needs_extra()
    from parity.cli.case_options import assignments  # noqa: PLC0415
    from parity_coreml.program import load_module  # noqa: PLC0415

    module = load_module(program, assignments("--option", given.pop("options")))
    return module, _read_arrays(given.pop("arrays"))


def _read_arrays(texts: tuple[str, ...]) -> dict[str, Any]:
    from parity.cli.case_options import case_of  # noqa: PLC0415

    nothing = {"case_file": None, "inputs": (), "seed": None, "noise": None}
    return dict(case_of({**nothing, "arrays": texts}).arrays)


def _ran(package: Path, steps: Any, given: dict[str, Any]) -> Any:
    """What a device made of the steps, if the options name one."""
    from parity_coreml.backend import make_runner  # noqa: PLC0415
    from parity_coreml.package import open_package  # noqa: PLC0415

    results, units, remote = given["results"], given["device"], given["remote"]
    if given["bundle"] is not None or results is not None:
        kind = "results"
    elif remote is not None or given["team"]:
        kind = "remote"
    elif units is not None:
        kind = "device"
    else:
        return None
    if kind == "results" and (units is not None or remote is not None):
        raise ConfigError(
            "name --device, with or without --remote, or --results", where="parity coreml check"
        )
    runner = make_runner(
        kind,
        compute_units=units or "all",
        device=remote or "",
        team=given["team"],
        bundle=given["bundle"],
        results=results,
    )
    return runner.run(open_package(package), _inputs(package, steps))


def _inputs(package: Path | str, steps: Any) -> list[dict[str, Any]]:
    from parity_coreml.sidecar import read_sidecar  # noqa: PLC0415

    names = read_sidecar(package).inputs
    return [dict(zip(names, (each.numpy() for each in step), strict=True)) for step in steps]


def _all_results(
    packages: tuple[Path, ...], pairs: tuple[str, ...], steps: Any
) -> dict[str, list[Any]]:
    """What devices made of the packages: a bundle is of the package whose name it has."""
    from parity_coreml.package import open_package  # noqa: PLC0415
    from parity_coreml.runners import ResultsRunner  # noqa: PLC0415

    by_name = {path.stem: str(path) for path in packages}
    found: dict[str, list[Any]] = {}
    for pair in pairs:
        bundle, equals, results = pair.partition("=")
        if not equals:
            raise ConfigError(f"not BUNDLE=RESULTS: {pair!r}", where="--results")
        runner = ResultsRunner(bundle, results)
        if runner.bundle.name not in by_name:
            raise ConfigError(
                f"the bundle is of {runner.bundle.name}, which is none of the packages",
                where=bundle,
            )
        path = by_name[runner.bundle.name]
        inputs = _inputs(path, steps)
        found.setdefault(path, []).append(runner.run(open_package(path), inputs))
    return found


def _write_json(target: str | None, value: Any) -> None:
    if target is None:
        return
    text = json.dumps(value, indent=1, ensure_ascii=False)
    if target == "-":
        click.echo(text)
    else:
        Path(target).write_text(f"{text}\n", encoding="utf-8")


def _needs_extra() -> None:
    if find_spec("coremltools") is None or find_spec("torch") is None:
        raise MissingExtraError.of("coreml", needed_for="Core ML")


@click.command("precision")
@click.argument("program")
@_arrays
@_options
@click.option(
    "--target",
    "goal",
    required=True,
    type=float,
    help="Largest relative error of the outputs that is good enough, such as 1e-3.",
)
@click.option("-o", "--output", type=_PATH, help="Convert with the selector that was found.")
@_json
def precision(
    program: str, goal: float, output: Path | None, json_: str | None, **given: Any
) -> int:
    """Find the operations that a float16 Core ML program must keep in float32.

    Exit status: 0 the target is met, 1 it is not, even with everything in float32.
    """
    module, arrays = _module(program, given)
    from parity.cli.progress import Bar  # noqa: PLC0415
    from parity_coreml.program import arguments, tensors  # noqa: PLC0415
    from parity_coreml.search import search, search_to_dict, search_to_text  # noqa: PLC0415

    with Bar("rounding operation by operation", quiet=json_ == "-") as bar:
        args = tensors(arguments(module, arrays))
        found = search(module, args, goal, package=output, progress=bar.update)
    if json_ != "-":
        click.echo(search_to_text(found), nl=False)
    _write_json(json_, search_to_dict(found))
    return 0 if found.met else 1
