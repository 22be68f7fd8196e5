"""Checks that a backend records what the plan selects, and that selecting changes nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TypeVar

from parity.backends.conformance.subject import Broken, Inapplicable, Subject, difference, run
from parity.backends.memory import Recorded
from parity.tensors import TapPlan

T = TypeVar("T")

__all__ = [
    "honours_excluded_paths",
    "honours_selected_calls",
    "honours_selected_paths",
    "honours_selected_roles",
    "leaves_other_paths_alone",
]


def honours_selected_paths(subject: Subject) -> None:
    """A tap selected by its path is recorded as it is in a whole run, call numbers included."""
    everything = run(subject).records
    for path in _first_middle_last(record.key.path for record in everything):
        expected = [record for record in everything if record.key.path == path]
        _compare(subject, TapPlan(include=(_literal(path),)), expected)


def honours_excluded_paths(subject: Subject) -> None:
    """A tap excluded by its path is missing, and everything else is there."""
    everything = run(subject).records
    for path in _first_middle_last(record.key.path for record in everything):
        expected = [record for record in everything if record.key.path != path]
        _compare(subject, TapPlan(exclude=(_literal(path),)), expected)


def honours_selected_roles(subject: Subject) -> None:
    """Selecting one role records the tensors of that role, as in a whole run."""
    everything = run(subject).records
    for role in _first_middle_last(record.key.role for record in everything):
        expected = [record for record in everything if record.key.role == role]
        _compare(subject, TapPlan(roles=frozenset({role})), expected)


def honours_selected_calls(subject: Subject) -> None:
    """Selecting the second call of every tap records it under the number 1."""
    everything = run(subject).records
    if all(record.key.call == 0 for record in everything):
        raise Inapplicable("no tap of this case runs twice")
    _compare(subject, TapPlan(calls=(1, 2)), [one for one in everything if one.key.call == 1])


def leaves_other_paths_alone(subject: Subject) -> None:
    """A path that the plan rules out is not even handed to the sink: copies cost time."""
    records = run(subject).records
    if not records:
        raise Inapplicable("the run records nothing")
    path = records[0].key.path
    sink = run(subject, plan=TapPlan(include=(_literal(path),)))
    others = {key.path for key in sink.offered} - {path}
    if others:
        raise Broken(
            f"with only {path} selected, the sink was handed {', '.join(sorted(others)[:5])}; "
            "ask plan.wants_path first"
        )


def _compare(subject: Subject, plan: TapPlan, expected: list[Recorded]) -> None:
    problem = difference(expected, run(subject, plan=plan).records)
    if problem:
        raise Broken(f"under {_words(plan)}, against the same part of a whole run: {problem}")


def _first_middle_last(values: Iterable[T]) -> list[T]:
    distinct = list(dict.fromkeys(values))
    chosen = (distinct[0], distinct[len(distinct) // 2], distinct[-1]) if distinct else ()
    return list(dict.fromkeys(chosen))


def _literal(path: str) -> str:
    return re.sub(r"([*?\[])", r"[\1]", path)


def _words(plan: TapPlan) -> str:
    parts = {
        "include": plan.include if plan.include != ("*",) else None,
        "exclude": plan.exclude or None,
        "roles": sorted(plan.roles) if plan.roles else None,
        "calls": plan.calls,
    }
    return ", ".join(f"{name}={value}" for name, value in parts.items() if value)
