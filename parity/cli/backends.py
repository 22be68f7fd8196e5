"""`parity backends`: which kinds of implementation can be captured here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from parity.cli.case_options import assignments, case_of, case_options

if TYPE_CHECKING:
    from parity.backends import BackendInfo
    from parity.backends.conformance import CheckResult, Subject

__all__ = ["command"]

EXAMPLES = """\b
Examples:
  parity backends
  parity backends check files --option folder=dumps/
  parity backends check my_port.backend:MyBackend --case short.toml
  parity backends check target/release/libmy_port.so --array x=x.npy"""

_LIBRARIES = frozenset({".so", ".dylib", ".dll"})

_MARKS = {"passed": "[green]✓[/]", "failed": "[red]✗[/]", "skipped": "[dim]-[/]"}


@click.group("backends", epilog=EXAMPLES, invoke_without_command=True)
@click.option("--json", "json_", is_flag=True, help="Print JSON.")
@click.pass_context
def command(context: click.Context, *, json_: bool) -> int:
    """List the backends, what each takes, and how to get those that do not work here yet."""
    if context.invoked_subcommand is not None:
        return 0
    from parity.backends import available  # noqa: PLC0415 - keeps --help quick

    infos = available()
    if json_:
        click.echo(json.dumps([_as_dict(info) for info in infos], indent=2))
    else:
        _print(infos)
    return 0


@command.command("check")
@click.argument("backend")
@click.option(
    "--option", "options", multiple=True, metavar="NAME=VALUE", help="Handed to the backend."
)
@case_options
@click.option("--json", "json_", is_flag=True, help="Print JSON.")
def check(backend: str, options: tuple[str, ...], *, json_: bool, **given: Any) -> int:
    """Run the conformance suite on BACKEND, a name, module:attribute, or shared library.

    Exit status: 0 it conforms, 1 it does not, 2 it does not run at all.
    """
    from parity.backends import load  # noqa: PLC0415
    from parity.backends.conformance import Status, Subject, examine  # noqa: PLC0415

    chosen = assignments("--option", options)
    if Path(backend).suffix in _LIBRARIES:
        backend, chosen = "native", {"library": backend, **chosen}

    def make() -> Any:
        return load(backend, chosen, python_path=["."])

    subject = Subject(make, case_of(given))
    _try(subject)
    results = examine(subject, None if json_ else _print_result)
    if json_:
        found = [
            {"check": r.check.name, "says": r.check.says, "status": r.status, "detail": r.detail}
            for r in results
        ]
        click.echo(json.dumps(found, indent=2))
    failed = sum(result.status is Status.FAILED for result in results)
    if not json_:
        click.echo(f"{failed} of {len(results)} checks failed" if failed else "it conforms")
    return 1 if failed else 0


def _try(subject: Subject) -> None:
    """Run it once: a misspelt option, or a case of no use, is one error and not one a check."""
    from parity.backends.conformance.subject import run  # noqa: PLC0415
    from parity.errors import ParityError  # noqa: PLC0415

    try:
        run(subject)
    except ParityError:
        raise
    except Exception:
        return  # for the checks to report


def _as_dict(info: BackendInfo) -> dict[str, Any]:
    return {
        "name": info.name,
        "summary": info.summary,
        "distribution": info.distribution,
        "ready": info.ready,
        "reason": info.reason,
        "install": info.install,
        "options": dict(info.options),
    }


def _print(infos: tuple[BackendInfo, ...]) -> None:
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    console = Console(highlight=False)
    for info in infos:
        mark = Text("✓", "green") if info.ready else Text("✗", "red")
        console.print(mark, Text(info.name, "bold"), Text(info.summary))
        if not info.ready:
            console.print(Text(f"  {info.reason}", "red"))
            console.print(Text(f"  get it: {info.install}") if info.install else "")
        table = Table.grid(padding=(0, 2, 0, 4))
        for name, meaning in info.options.items():
            table.add_row(Text(name, "cyan"), Text(meaning))
        console.print(table)


def _print_result(result: CheckResult) -> None:
    from rich.console import Console  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    console = Console(highlight=False, soft_wrap=True)
    text = Text.from_markup(_MARKS[result.status])
    text.append(f" {result.check.says}")
    if result.detail:
        text.append(f"\n    {result.detail}", "red" if result.status == "failed" else "dim")
    console.print(text)
