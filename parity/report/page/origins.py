"""For each row of a comparison: does its error enter there, or come from upstream?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from parity.diagnose import Diagnosis, Verdict
from parity.diffing import DiffResult

if TYPE_CHECKING:
    from parity.localize import Localization  # loads torch

__all__ = ["origins"]

_CODES = {"origin": 1, "inherited": 2}
_SAID = {Verdict.EXPLAINED, Verdict.PARTLY_EXPLAINED, Verdict.UNEXPLAINED}


def origins(
    result: DiffResult, diagnosis: Diagnosis | None, localization: Localization | None
) -> list[int]:
    """1 where an error enters, 2 where it is inherited, 0 where nobody knows or nothing is wrong.

    A localization says it of every tensor. A diagnosis replayed every tensor too, but names taps:
    those of its findings and those that it could not explain.
    """
    if localization is not None:
        return _measured(result, localization)
    if diagnosis is not None and diagnosis.verdict in _SAID:
        return _named(result, diagnosis)
    return [0] * len(result)


def _measured(result: DiffResult, localization: Localization) -> list[int]:
    known = {tap.key: _CODES.get(str(tap.origin), 0) for tap in localization}
    return _where_failing(result, [known.get(key, 0) for key in result.table.keys])


def _named(result: DiffResult, diagnosis: Diagnosis) -> list[int]:
    entering = {site.tap for finding in diagnosis.findings for site in finding.sites}
    entering |= {rest.tap for rest in diagnosis.unexplained}
    return _where_failing(result, [1 if key.path in entering else 2 for key in result.table.keys])


def _where_failing(result: DiffResult, codes: Sequence[int]) -> list[int]:
    table = result.table
    failing = (~table.ok & table.compared).tolist()
    return [code if fails else 0 for code, fails in zip(codes, failing, strict=True)]
