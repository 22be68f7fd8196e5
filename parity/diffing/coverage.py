"""How much of the reference's model a comparison covers: modules, parameters and graph edges.

A comparison of few tensors can hold without saying much. What was compared is counted here against
what there is, from the reference's capture alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from parity.tensors import Role, TapRecord
from parity.tolerance import Verdict

if TYPE_CHECKING:
    from parity.diffing.result import DiffTable

__all__ = ["ModelCoverage", "Share", "model_coverage"]

# What a module hands on. The rest (arguments, weights, states) is its context.
_RESULTS = (Role.OUTPUT, Role.TAP)
_OPERATION = "::"  # separates a functional operation from the module that it ran in


@dataclass(frozen=True, slots=True)
class Share:
    """`compared` of `total`."""

    compared: int
    total: int

    @property
    def value(self) -> float:
        """The share, 0 to 1; 0 of nothing."""
        return self.compared / self.total if self.total else 0.0


@dataclass(frozen=True, slots=True)
class ModelCoverage:
    """What of the reference's model was compared by value.

    A module counts when every result of it that the reference recorded was compared; its
    parameters count with it. An edge leads from one recorded tap to another that it feeds, and
    counts when both were compared.

    Attributes:
        modules: of those that can be called.
        parameters: elements; a total of 0 where the capture does not list the model's modules.
        edges: of those between taps; a total of 0 where the capture does not say what fed what.
        uncompared: the modules that do not count, in the model's order, each with the reason.
    """

    modules: Share
    parameters: Share
    edges: Share
    uncompared: Mapping[str, str] = field(default_factory=dict)


def model_coverage(
    table: DiffTable, records: Sequence[TapRecord], stated: Mapping[str, int]
) -> ModelCoverage:
    """The coverage of a comparison.

    Args:
        table: its rows.
        records: the reference's, those included that were not chosen.
        stated: its modules, each with the elements of its parameters; where it states none, those
            that it recorded are taken for all.
    """
    reasons = _reasons(table)
    whole = {path for path, reason in reasons.items() if not reason}
    recorded = _recorded(records)
    modules = stated or dict.fromkeys((p for p in recorded if _OPERATION not in p), 0)
    edges = _edges(records)
    return ModelCoverage(
        Share(sum(path in whole for path in modules), len(modules)),
        Share(sum(modules[path] for path in modules if path in whole), sum(modules.values())),
        Share(sum(one in whole and two in whole for one, two in edges), len(edges)),
        {path: _why(path, reasons, recorded) for path in modules if path not in whole},
    )


def _reasons(table: DiffTable) -> dict[str, str]:
    """By path of the compared taps: why a result of it was not compared; empty where all were."""
    found: dict[str, str] = {}
    for i, key in enumerate(table.keys):
        if table.references[i] is None or key.role not in _RESULTS:
            continue
        reason = "" if table.compared[i] else _WORDS.get(table.verdicts[i], str(table.verdicts[i]))
        found[key.path] = found.get(key.path) or reason
    return found


_WORDS = {
    Verdict.MISSING: "the candidate has no such tensor",
    Verdict.SHAPE: "its shape differs",
    Verdict.DTYPE: "its type differs",
    Verdict.UNDECIDED: "its tensors were not kept",
}


def _why(path: str, reasons: Mapping[str, str], recorded: Mapping[str, None]) -> str:
    if path in reasons:
        return reasons[path]
    return "left out of the comparison" if path in recorded else "the reference did not record it"


def _recorded(records: Sequence[TapRecord]) -> dict[str, None]:
    return {record.key.path: None for record in records if record.key.role in _RESULTS}


def _edges(records: Sequence[TapRecord]) -> set[tuple[str, str]]:
    """Pairs of taps of which one feeds the other; arguments hand on what fed them."""
    fed_by: dict[int, frozenset[str]] = {}
    edges: set[tuple[str, str]] = set()
    for record in records:
        sources: set[str] = set()
        for order in record.producers:
            sources |= fed_by.get(order, frozenset())
        path, role = record.key.path, record.key.role
        if role in _RESULTS:
            edges.update((source, path) for source in sources)
            sources = {path}
        fed_by[record.order] = frozenset(sources)
    return edges
