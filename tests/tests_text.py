"""What a rich renderable looks like on a terminal of a given width."""

import io

from rich.console import Console, RenderableType


def text_of(renderable: RenderableType, *, width: int = 100) -> str:
    """The lines of `renderable`, without colours."""
    console = Console(width=width, file=io.StringIO(), record=True)
    console.print(renderable)
    return console.export_text()
