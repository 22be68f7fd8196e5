"""`parity doctor`: what is installed here, and how to get the rest."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from parity.cli.findings import Finding

__all__ = ["command"]

EXAMPLES = """\b
Examples:
  parity doctor
  parity doctor --json | jq '.[] | select(.found == "")'"""


@click.command("doctor", epilog=EXAMPLES)
@click.option("--json", "json_", is_flag=True, help="Print JSON.")
def command(*, json_: bool) -> int:
    """Say what is installed here, what it is for, and how to get what is not.

    Exit status: 0 all that `parity` cannot do without is there, 2 some of it is not.
    """
    from parity.cli.findings import examine  # noqa: PLC0415 - keeps --help quick

    findings = examine()
    if json_:
        click.echo(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        _print(findings)
    return 0 if all(finding.found or not finding.required for finding in findings) else 2


def _print(findings: list[Finding]) -> None:
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table.grid(padding=(0, 2))
    group = ""
    for finding in findings:
        if finding.group != group:
            group = finding.group
            table.add_row("", Text(group, "bold"))
        mark = (
            Text("✓", "green") if finding.found else Text("✗", "red" if finding.required else "dim")
        )
        state = (
            Text(finding.found) if finding.found else Text(f"missing: {finding.remedy}", "yellow")
        )
        table.add_row(mark, finding.name, state, Text(finding.purpose, "dim"))
    Console(highlight=False).print(table)
