"""Changes of operands compose, whatever wrapped them on the way."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from parity.diagnose.operands import changed, places
from parity.localize.execute import Edit, Operands
from parity.localize.tape import Node, Ref


def _node(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Node:
    return Node(3, _weigh, "weigh", args, kwargs, Ref(9), (), (), (), -1, 0, "")


def _weigh(a: float, parts: list[float], *, bias: float = 0.0) -> float:
    return a * sum(parts) + bias


def _run(edits: list[Edit], wrap: Callable[[Any], Any] = lambda apply: apply) -> Any:
    args, kwargs = (2.0, [3.0, 4.0]), {"bias": 5.0}
    call = partial(_weigh, *args, **kwargs)
    for edit in edits:
        call = partial(wrap(edit.apply), Operands(args, kwargs, call))
    return call()


def _moved(apply: Callable[[Operands], Any], operands: Operands) -> Any:
    return apply(operands)


NODE = _node((Ref(0), [Ref(1), Ref(2)]), {"bias": Ref(4)})
EDITS = [
    changed(NODE, {("a", 1, 0): lambda part, _: part + 10}),
    Edit(3, lambda operands: -operands.default()),
    changed(NODE, {("k", "bias"): lambda *_: 0.0, ("a", 0): lambda a, _: 3 * a}),
]


def test_places() -> None:
    assert list(places(NODE)) == [
        (("a", 0), 0), (("a", 1, 0), 1), (("a", 1, 1), 2), (("k", "bias"), 4),
    ]  # fmt: skip


def test_changes_compose() -> None:
    assert _run([]) == 19
    assert _run(EDITS[:1]) == 39
    assert _run(EDITS[1:2]) == -19
    assert _run(EDITS) == -(6 * 17)


def test_changes_compose_when_they_were_wrapped() -> None:
    assert _run(EDITS, lambda apply: partial(_moved, apply)) == -(6 * 17)
