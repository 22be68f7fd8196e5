"""Runs each candidate of a `parity.toml` once on each case, however many tests ask for it."""

from __future__ import annotations

import glob
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from parity.run import STAGES, Comparison, Config, Stage, run
from parity.run.captures import slug
from parity.run.config import ReportConfig
from parity.run.explain import explain_broken
from parity.run.golden import golden_path, write_goldens
from parity.run.pipeline import compare, report
from parity.testing.lock import locked

__all__ = ["Pairs"]


@dataclass(slots=True)
class Pairs:
    """The comparisons of one configuration, made when they are first asked for.

    Attributes:
        config: the configuration.
        create: whether golden captures that are not there are created.
        update: whether those that are there are replaced.
        diagnose: whether to say why a candidate differs.
        reports: where a page a comparison is written; None for nowhere.
    """

    config: Config
    create: bool = False
    update: bool = False
    diagnose: bool = False
    reports: Path | None = None
    _made: dict[tuple[str, str], Comparison] = field(default_factory=dict)
    _written: dict[str, Path | None] = field(default_factory=dict)

    def comparison(self, case: str, candidate: str) -> Comparison:
        """A candidate on a case."""
        if (case, candidate) not in self._made:
            with self._lock(case):
                result = run(
                    self._configured(),
                    candidates=[candidate],
                    cases=[glob.escape(case)],
                    stages=self._stages(),
                )
            self._made[case, candidate] = result.comparisons[0]
        return self._made[case, candidate]

    def written(self, case: str) -> Path | None:
        """The golden capture of a case, if it is written now because somebody asked for that."""
        if not self.config.reference.golden or not (self.create or self.update):
            return None
        if case not in self._written:
            with self._lock(case):
                files = write_goldens(self.config, [glob.escape(case)], update=self.update)
            self._written[case] = files[0] if files else None
        return self._written[case]

    def reference(self, case: str) -> Path:
        """Where the reference's capture of a case lies, or will lie."""
        if self.config.reference.golden:
            return golden_path(self.config, case)
        return self._store(case) / "reference.h5"

    def _store(self, case: str) -> Path:
        config = self.config
        return config.resolve(config.store.folder) / slug(config.subject.name) / slug(case)

    def _lock(self, case: str) -> AbstractContextManager[None]:
        return locked(self._store(case) / "lock")

    def _configured(self) -> Config:
        if self.reports is None:
            return self.config
        to = ReportConfig(folder=str(self.reports), formats=("html",))
        return msgspec.structs.replace(self.config, report=to)

    def _stages(self) -> list[Stage]:
        wanted: dict[Callable[..., Comparison], bool] = {
            compare: True,
            explain_broken: self.diagnose,
            report: self.reports is not None,
        }
        return [stage for stage in STAGES if wanted.get(stage, False)]
