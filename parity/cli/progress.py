"""Progress of long work: a bar on a terminal, silence in a pipe."""

from __future__ import annotations

from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

__all__ = ["Bar"]


class Bar:
    """A bar on the standard error, shown only where that is a terminal, and gone when done.

    Args:
        label: what is going on.
        quiet: show nothing, terminal or not.
    """

    def __init__(self, label: str, *, quiet: bool = False) -> None:
        console = Console(stderr=True)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=quiet or not console.is_terminal,
        )
        self._task = self._progress.add_task(label, total=None)

    def update(self, done: int, total: int | None = None, label: str | None = None) -> None:
        """Show that `done` of `total` steps are behind us."""
        if label is not None:
            self._progress.update(self._task, description=label)
        self._progress.update(self._task, completed=done, total=total)

    def __enter__(self) -> Bar:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._progress.stop()
