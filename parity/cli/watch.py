"""Shows what `parity run` is doing: a moving line on a terminal, one line a capture in a pipe."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType

from rich.console import Console

from parity.cli.progress import Bar
from parity.run import CaptureState, Observer

__all__ = ["Watcher"]


class Watcher(Observer):
    """Writes to the standard error, so that the standard output stays clean.

    Args:
        quiet: show nothing at all.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self._console = Console(stderr=True, quiet=quiet, highlight=False)
        self._bar = Bar("starting", quiet=quiet)

    def began(self, what: str) -> None:
        """Name the work in the moving line."""
        self._bar.update(0, None, what)

    def recorded(self, count: int, last: str) -> None:  # noqa: ARG002 - names fly by too fast
        """Count the tensors."""
        self._bar.update(count)

    def captured(self, what: str, state: CaptureState) -> None:
        """One line a capture that stays."""
        if state.problem:
            self._console.print(f"[red]✗[/] {what}: failed", markup=True)
        elif state.reused:
            self._console.print(
                f"[green]✓[/] {what}: reused, nothing that it is known to depend on has changed"
            )
        else:
            size = state.path.stat().st_size / 2**20
            self._console.print(f"[green]✓[/] {what}: {state.seconds:.1f} s, {size:,.0f} MiB")

    def wrote(self, path: Path) -> None:
        """One line a golden capture that stays."""
        self._console.print(f"golden capture written: {path}", markup=False)

    def measured(self, done: int, total: int) -> None:
        """Move the bar."""
        self._bar.update(done, total)

    def __enter__(self) -> Watcher:
        self._bar.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._bar.__exit__(kind, error, traceback)
