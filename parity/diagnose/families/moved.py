"""An affine step with the model's own numbers that is also done where the reference does not do it.

Latents that are denormalised inside the loop that makes them, features that are normalised twice:
the step itself is found elsewhere on the tape, as a product with a parameter and a sum with one.
"""

from __future__ import annotations

from collections.abc import Iterator
from weakref import WeakKeyDictionary

import torch

from parity.diagnose.hypothesis import Hypothesis, Site
from parity.diagnose.view import View
from parity.localize.tape import Node, Tape

__all__ = ["propose"]

Tensor = torch.Tensor
Step = tuple[str, str, Tensor, Tensor]

MOST_PLACES = 12
_known: WeakKeyDictionary[Tape, tuple[Step, ...]] = WeakKeyDictionary()


def propose(view: View) -> Iterator[Hypothesis]:
    """Each affine step of the reference, or its inverse, at each value of its width."""
    steps = _known.get(view.tape)
    if steps is None:
        steps = _known[view.tape] = tuple(_steps(view.tape))
    for scale_name, shift_name, scale, shift in steps:
        places = [n for n in view.nodes if _fits(view, n, scale) and not _is_step(view, n)]
        for node in places[:MOST_PLACES]:
            site = view.site(node, f"result of {node.name}")
            yield _hypothesis(view, node, site, (scale_name, shift_name, scale, shift))


def _hypothesis(view: View, node: Node, site: Site, step: Step) -> Hypothesis:
    scale_name, shift_name, scale, shift = step

    def apply(value: Tensor) -> Tensor:
        return value * scale.to(value.dtype) + shift.to(value.dtype)

    words = f"times {_last(scale_name)}, plus {_last(shift_name)}"
    edit = view.after(node, apply)
    return Hypothesis("schedule", "denormalise", "as it is", words, site, (edit,), cost=1.3)


def _last(name: str) -> str:
    return name.rpartition(".")[2]


def _steps(tape: Tape) -> Iterator[Step]:
    """`x * scale + shift` with two parameters, outside of normalisations."""
    seen: set[tuple[str, str]] = set()
    for node in tape.nodes:
        if node.name not in ("add", "add_") or len(node.inputs) != 2:
            continue
        for product, shift in (node.inputs, node.inputs[::-1]):
            made_by = tape.values[product].node
            if made_by < 0 or not tape.values[shift].name:
                continue
            before = tape.nodes[made_by]
            scales = [v for v in before.inputs if tape.values[v].name]
            if before.name not in ("mul", "mul_") or len(scales) != 1:
                continue
            names = (tape.values[scales[0]].name, tape.values[shift].name)
            if names in seen or tape.path(node) != tape.path(before):
                continue
            seen.add(names)
            yield (*names, tape.leaves[scales[0]].tensor, tape.leaves[shift].tensor)


def _fits(view: View, node: Node, scale: Tensor) -> bool:
    if len(node.outputs) != 1 or not view.is_float(node.outputs[0]) or not scale.dim():
        return False
    shape = view.shape(node.outputs[0])
    return bool(shape) and shape[-1] == scale.shape[-1] and len(shape) >= scale.dim()


def _is_step(view: View, node: Node) -> bool:
    return any(view.is_parameter(v) for v in node.inputs) and node.name in ("mul", "add")
