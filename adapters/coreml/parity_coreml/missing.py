"""What should have come out and did not."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Missing"]


@dataclass(frozen=True, slots=True)
class Missing:
    """A value that did not come out, and why."""

    name: str
    reason: str
