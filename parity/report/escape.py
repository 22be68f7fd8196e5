"""Text of other people's within Markdown."""

from __future__ import annotations

__all__ = ["markdown_code", "markdown_text"]


def markdown_text(text: str) -> str:
    """`text` so that it stays within its line or cell and cannot become markup."""
    flat = " ".join(text.split())
    for character in "\\`*_[]<>|":
        flat = flat.replace(character, f"\\{character}")
    return flat


def markdown_code(text: str) -> str:
    """`text` for a code span within a table."""
    return " ".join(text.split()).replace("`", "'").replace("|", "\\|")
