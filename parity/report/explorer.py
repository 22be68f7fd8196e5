"""The model as a graph with its verdicts, as Google's Model Explorer reads it.

One file: a node a tap, nested by the dots in its name, an edge where the reference fed one
recorded tensor into another, and on each node its worst tensor. Format: `graph_builder.py` of the
package `ai-edge-model-explorer`, 0.1.34.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from parity.diagnose import Diagnosis
from parity.diffing import DiffResult
from parity.report.causes import summary
from parity.report.numbers import size
from parity.report.words import NAMES, headline, place, printable
from parity.tolerance import Verdict

__all__ = ["to_explorer"]

COLOURS = {
    Verdict.IDENTICAL: "#8fcfc5",
    Verdict.WITHIN_NOISE: "#c5e6e1",
    Verdict.DRIFT: "#f0c266",
    Verdict.DIVERGENT: "#e07a6b",
    Verdict.NONFINITE: "#c792dc",
    Verdict.SHAPE: "#d08aa5",
    Verdict.DTYPE: "#d08aa5",
    Verdict.MISSING: "#c4c6ca",
    Verdict.EXTRA: "#a9c3e0",
    Verdict.UNDECIDED: "#e0d4a9",
}


def to_explorer(
    result: DiffResult,
    diagnosis: Diagnosis | None = None,
    *,
    title: str = "parity",
    edges: Iterable[tuple[str, str]] = (),
) -> str:
    """The graph as JSON.

    Args:
        result: the comparison.
        diagnosis: why it differs, shown with the graph as a whole.
        title: of the graph.
        edges: `(from, to)` taps of the reference; `Evidence.edges` has them. Without any, only the
            nesting shows.
    """
    rows: dict[str, list[int]] = defaultdict(list)
    for row, key in enumerate(result.table.keys):
        rows[key.path].append(row)
    incoming: dict[str, list[str]] = defaultdict(list)
    for source, target in edges:
        if source in rows and target in rows and source != target:
            incoming[target].append(source)
    modules = {name for path in rows for name in _outer(path)}
    nodes = [_node(result, path, rows[path], incoming[path], path in modules) for path in rows]
    graph = {
        "id": printable(title),
        "nodes": nodes,
        "groupNodeAttributes": {"": _about(result, diagnosis)},
    }
    # Without a label the page of 0.1.34 calls the file an "Unsupported JSON format".
    document = {"label": printable(title), "graphs": [graph]}
    return json.dumps(document, ensure_ascii=False, allow_nan=False)


def _outer(path: str) -> list[str]:
    """The modules around a tap: `a` and `a.b` of `a.b.c`."""
    parts = path.split(".")
    return [".".join(parts[:count]) for count in range(1, len(parts))]


def _node(
    result: DiffResult, path: str, rows: list[int], fed_by: list[str], is_module: bool
) -> dict[str, Any]:
    worst = _worst(result, rows)
    table, row = result.table, result.table.row(worst)
    # The output of a module lies in the module, beside what is in it.
    within = path if is_module else path.rpartition(".")[0]
    facts = {
        "verdict": NAMES[row.verdict],
        "worst": place(row),
        "relative error": size(float(table.metrics["rel_l2"][worst])),
        "noise floor": size(row.floor),
        "reason": row.reason,
        "tensor": str(row.reference or row.candidate),
        "source": row.source,
        "tensors": f"{len(rows):,}, of which {int((~table.ok[rows]).sum()):,} not accepted",
    }
    return {
        "id": printable(path),
        "label": printable(path.rpartition(".")[2]),
        "namespace": printable(within.replace(".", "/")),
        "attrs": [{"key": k, "value": printable(v)} for k, v in facts.items() if v],
        "incomingEdges": [{"sourceNodeId": printable(one)} for one in dict.fromkeys(fed_by)],
        "style": {"backgroundColor": COLOURS[row.verdict]},
    }


def _worst(result: DiffResult, rows: list[int]) -> int:
    """The failing row with the largest error, NaN counting as largest; else the largest of all."""
    table = result.table
    error = np.where(table.compared[rows], table.metrics["rel_l2"][rows], -1.0)
    error = np.where(np.isnan(error), np.inf, error)
    return rows[int(np.lexsort((error, ~table.ok[rows]))[-1])]


def _about(result: DiffResult, diagnosis: Diagnosis | None) -> Mapping[str, str]:
    why = {"causes": summary(diagnosis)} if diagnosis is not None else {}
    sides = {"reference": result.reference, "candidate": result.candidate}
    about = {"verdict": headline(result)} | why | sides
    return {name: printable(text) for name, text in about.items()}
