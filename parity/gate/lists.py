"""The lists of what may fail or be left out for a while, with reasons and last days."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from fnmatch import fnmatchcase

from parity.run.gate_config import Listed

__all__ = ["Lists", "covers", "words"]


def covers(entry: Listed, case: str, candidate: str, tap: str | None = None) -> bool:
    """Whether an entry is about a tap; without one, whether it is about the whole comparison."""
    if not (fnmatchcase(case, entry.case) and fnmatchcase(candidate, entry.candidate)):
        return False
    return entry.tap == "*" if tap is None else fnmatchcase(tap, entry.tap)


def words(entry: Listed) -> str:
    """An entry as one finds it in the file: `candidate = "rust", tap = "mimi.*"`."""
    named = {"candidate": entry.candidate, "case": entry.case, "tap": entry.tap}
    shown = [f'{name} = "{value}"' for name, value in named.items() if value != "*"]
    return ", ".join(shown) or "every tap"


class Lists:
    """Looks entries up, and remembers which of them were of use.

    Args:
        entries: in the order of the file.
        today: the day on which the gate judges.
    """

    def __init__(self, entries: Sequence[Listed], today: date) -> None:
        self._entries = entries
        self._today = today
        self._used: set[int] = set()
        self._met: set[int] = set()

    def find(self, case: str, candidate: str, tap: str | None = None) -> Listed | None:
        """The entry that excuses a failure, if its last day has not passed."""
        for place, entry in enumerate(self._entries):
            if covers(entry, case, candidate, tap):
                self._used.add(place)
                if self._today <= entry.until:
                    return entry
        return None

    def expired(self, case: str, candidate: str, tap: str | None = None) -> str:
        """What to say of a failure that was excused until lately; empty where it never was."""
        for entry in self._entries:
            if covers(entry, case, candidate, tap) and self._today > entry.until:
                return f"; it was excused until {entry.until} ({entry.reason})"
        return ""

    def meet(self, case: str, candidate: str, taps: Sequence[str]) -> None:
        """Note that these taps were judged, so that entries about them could have been of use."""
        for place, entry in enumerate(self._entries):
            if any(covers(entry, case, candidate, tap) for tap in taps):
                self._met.add(place)

    def stale(self, *, whole: bool) -> list[Listed]:
        """Entries that excused nothing, though what they are about was judged.

        Args:
            whole: whether the whole of the configuration was judged, so that entries that are
                about nothing at all count too.
        """
        return [
            entry
            for place, entry in enumerate(self._entries)
            if place not in self._used and (whole or place in self._met)
        ]
