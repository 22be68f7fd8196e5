"""`parity`: the group of subcommands, and the one place that turns errors into exit status 2."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Sequence
from difflib import get_close_matches
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points

import click

from parity import __version__
from parity.errors import ParityError

__all__ = ["main", "parity"]

# Subcommand -> (module, one line for --help). The line stands here so that --help loads no module.
COMMANDS = {
    "run": ("run", "The main job, from parity.toml: capture, diff, diagnose, report."),
    "diagnose": ("diagnose", "Say why a candidate differs: which convention, where, and its cost."),
    "diff": ("diff", "Compare two captures, tensor by tensor."),
    "listen": ("listen", "Hear a candidate beside its reference: waveform, words, signal health."),
    "calibrate": ("calibrate", "Measure what rounding alone does to the reference."),
    "capture": ("capture", "Record one run of one implementation."),
    "import": ("import_", "Make a capture from a folder of dumped tensors."),
    "show": ("show", "Look into a capture."),
    "backends": ("backends", "Which kinds of implementation can be captured here."),
    "doctor": ("doctor", "What is installed here, and how to get the rest."),
}

# What people look for under a name of its own, and where it is.
ELSEWHERE = {
    "compare": "Compare two captures with: parity diff REF CAND",
    "gate": "The gate is an option: parity run --gate",
    "golden": "Golden captures are written by: parity run --create-golden",
    "report": "Reports are options: parity diff REF CAND --html report.html; "
    "parity run writes them too",
    "test": "Tests are run by: pytest parity.toml",
}

# Commands that an adapter or another package brings: the name, and a click command.
PLUGIN_GROUP = "parity.commands"

EPILOG = """\b
Examples:
  parity run
  parity diff reference.h5 candidate.h5
  parity show reference.h5 decoder.out_norm

\b
Exit status: 0 parity holds, 1 it does not, 2 the call or an input is unusable,
3 nothing can be concluded."""


class _LazyGroup(click.Group):
    """A group that imports a subcommand's module only when that subcommand runs."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return [*COMMANDS, *_plugins()]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name in COMMANDS:
            command = import_module(f"parity.cli.{COMMANDS[cmd_name][0]}").command
        elif cmd_name in (plugins := _plugins()):
            command = plugins[cmd_name].load()
        else:
            return None
        assert isinstance(command, click.Command)  # noqa: S101 - a slip of ours, not of the user
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        known = self.list_commands(ctx)
        if name not in known and not name.startswith("-"):
            near = get_close_matches(name, known, n=1)
            meant = f"Did you mean {near[0]!r}?" if near else ""
            ctx.fail(f"no such command: {name!r}. {ELSEWHERE.get(name, meant)}".rstrip())
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            lines = [(name, line) for name, (_, line) in COMMANDS.items()]
            plugins = ((name, point.load()) for name, point in _plugins().items())
            lines += [(name, command.get_short_help_str(100)) for name, command in plugins]
            formatter.write_dl(lines)


def _plugins() -> dict[str, EntryPoint]:
    """Commands of other packages by name; none can take the place of one of ours."""
    points = sorted(entry_points(group=PLUGIN_GROUP), key=lambda point: point.name)
    return {point.name: point for point in points if point.name not in COMMANDS}


@click.group(
    cls=_LazyGroup, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.version_option(__version__, prog_name="parity")
def parity() -> None:
    """Say where, why and at what cost a ported neural network differs from its reference."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and leave the process with its exit status."""
    try:
        status = parity.main(
            args=None if arguments is None else list(arguments),
            # Whatever it was called by: `python -m parity`, or a test.
            prog_name="parity",
            standalone_mode=False,
        )
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except click.Abort:
        click.echo("interrupted", err=True)
        sys.exit(130)
    except ParityError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(error.exit_status)
    except BrokenPipeError:
        # The reader of our output has gone (`| head`); nothing is left to say to it.
        sys.stderr.close()
        status = 0
    except OSError as error:
        click.echo(f"error: {_said_of(error)}", err=True)
        sys.exit(2)
    except Exception:
        # Python would leave with 1, which says that parity does not hold.
        traceback.print_exc()
        click.echo("error: a defect of parity itself, with the trace above", err=True)
        sys.exit(2)
    # Subcommands return their exit status; --help and --version return 0 or nothing.
    sys.exit(status or 0)


def _said_of(error: OSError) -> str:
    """What the system refused, and on which file."""
    said = error.strerror or str(error)
    return f"{error.filename}: {said}" if error.filename else said
