"""Paths as a reader in this folder would write them."""

from __future__ import annotations

from pathlib import Path

__all__ = ["near"]


def near(path: str | Path) -> str:
    """A path from here, if it lies below; else, and what is no path at all, as it is."""
    here = Path.cwd()
    return str(Path(path).relative_to(here) if Path(path).is_relative_to(here) else path)
