"""Which failures the configuration lists, and whether it still may."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import date
from fnmatch import fnmatchcase

from parity.gate.result import Failure, Forgiven, Kind
from parity.run.gate_config import GateConfig, Listed

__all__ = ["Lists"]

# What may be expected to fail, and what may be left out.
_EXPECTED = {Kind.DIVERGENCE}
_SKIPPED = {Kind.DID_NOT_RUN, Kind.INCONCLUSIVE, Kind.NOT_COMPARED}


@dataclass(slots=True)
class Lists:
    """Sorts failures into those that count and those that are listed.

    Attributes:
        config: `[gate]`.
        today: the day on which entries must still hold.
        failures: those that count.
        forgiven: those that are listed.
    """

    config: GateConfig
    today: date
    failures: list[Failure] = field(default_factory=list)
    forgiven: list[Forgiven] = field(default_factory=list)
    _used: set[int] = field(default_factory=set)

    def add(self, failure: Failure) -> None:
        """Note a failure; the first entry that lists it and has not expired forgives it."""
        expired: Listed | None = None
        for entry in self._entries(failure.kind):
            if not _matches(entry, failure):
                continue
            self._used.add(id(entry))
            if entry.until >= self.today:
                self.forgiven.append(Forgiven(failure, entry))
                return
            expired = expired or entry
        if expired is not None:
            late = f"; it was listed until {expired.until} ({expired.reason})"
            failure = replace(failure, words=failure.words + late)
        self.failures.append(failure)

    def _entries(self, kind: Kind) -> tuple[Listed, ...]:
        if kind in _EXPECTED:
            return self.config.expected
        return self.config.skip if kind in _SKIPPED else ()

    def add_stale(self) -> None:
        """Entries that nothing fails by any more: they would hide the next failure."""
        for table, entries in (("expected", self.config.expected), ("skip", self.config.skip)):
            for entry in entries:
                if id(entry) in self._used:
                    continue
                verb = "fails" if table == "expected" else "is left out"
                self.failures.append(
                    Failure(
                        Kind.STALE, _plain(entry.case), _plain(entry.candidate), _plain(entry.tap),
                        f"listed under gate.{table} ({entry.reason}), and nothing that it matches "
                        f"{verb}", "remove the entry",
                    )
                )  # fmt: skip


def _matches(entry: Listed, failure: Failure) -> bool:
    wanted = ((entry.case, failure.case), (entry.candidate, failure.candidate))
    if not all(fnmatchcase(name, pattern) for pattern, name in wanted):
        return False
    # A comparison as a whole is listed only by an entry that is not about some of its taps.
    return fnmatchcase(failure.tap, entry.tap) if failure.tap else entry.tap == "*"


def _plain(pattern: str) -> str:
    return "" if pattern == "*" else pattern
