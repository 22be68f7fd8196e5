"""What a number in the reference's arithmetic means, judged by the operations around it."""

from __future__ import annotations

from dataclasses import dataclass

from parity.diagnose.arguments import Binary, as_binary
from parity.diagnose.view import View
from parity.diagnose.wording import (
    comes_from,
    consumers_through,
    descends,
    fixed,
    leads_to,
    producer_through,
)
from parity.localize.tape import LEAF, Node

__all__ = ["Meaning", "meaning_of", "scales_draw"]

ROOTS = frozenset({"sqrt", "rsqrt", "sqrt_", "rsqrt_", "reciprocal"})
LOGS = frozenset({"log", "log2", "log10", "log1p", "log_"})
WAVES = frozenset({"cos", "sin", "polar"})
SOFTMAX = frozenset({"softmax", "_softmax", "log_softmax"})
PRODUCTS = frozenset({"matmul", "bmm", "mm", "einsum", "baddbmm", "scaled_dot_product_attention"})
LOOKUPS = frozenset({"embedding", "index_select", "embedding_bag"})
STATISTICS = frozenset({"std", "norm", "sqrt", "vector_norm", "linalg_vector_norm"})
CURVES = frozenset({
    "softplus", "leaky_relu", "elu", "celu", "softshrink", "hardshrink", "threshold",
})  # fmt: skip
FACTORIES = frozenset({"full", "full_like", "new_full"})
# An epsilon keeps a denominator or a logarithm from zero.
MOST_EPSILON = 0.05


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a number is.

    Attributes:
        family: of the convention.
        parameter: of the family.
        cost: how far-fetched another number is.
        is_epsilon: whether it is one of those that are small and of no meaning.
        is_offset: whether it is the one in `x * (1 + scale)`.
    """

    family: str
    parameter: str
    cost: float
    is_epsilon: bool = False
    is_offset: bool = False


OTHER = Meaning("graph", "constant", 1.7)


def meaning_of(  # noqa: PLR0911 - a list of cases
    view: View, node: Node, label: str, number: float, *, binary: Binary | None
) -> Meaning:
    """The meaning of a number in an operation, given what is done with it there."""
    result = next(iter((*node.outputs, *node.written)), None)
    if result is None:
        return OTHER
    if label == "eps":
        return Meaning("norm", "eps", 1.1, is_epsilon=True)
    if node.name in FACTORIES:
        return Meaning("schedule", "values", 1.8)
    if node.name in CURVES:
        return Meaning("activation", "slope", 1.2)
    if label in ("plus", "at least", "min") and 0 <= number <= MOST_EPSILON:
        found = _epsilon(view, result)
        if found is not None:
            return found
    if label in ("min", "max", "min_val", "max_val", "at least", "at most"):
        return Meaning("activation", "clamp", 1.4)
    if binary is None:
        return OTHER
    if label == "plus" and number == 1.0:
        return _offset(view, binary, result)
    if label in ("times", "divided by"):
        return _factor(view, binary, result, number)
    if label == "base" and leads_to(view, result, WAVES, steps=5):
        return Meaning("positional", "theta", 1.6)
    return OTHER


def _epsilon(view: View, result: int) -> Meaning | None:
    """An epsilon under a root, in a denominator or under a logarithm."""
    after = consumers_through(view, result)
    names = {node.name for node in after}
    if names & LOGS:
        return Meaning("audio", "log", 1.2, is_epsilon=True)
    if names & ROOTS:
        return Meaning("norm", "eps", 1.0, is_epsilon=True)
    for node in after:
        binary = as_binary(node)
        if binary is None:
            continue
        rooted = binary.kind == "pow" and binary.right in (0.5, -0.5, -1)
        divides = binary.kind == "div" and _is(view, binary.right, result)
        if rooted or (divides and comes_from(view, result, STATISTICS, steps=2)):
            return Meaning("norm", "eps", 1.0, is_epsilon=True)
        if divides:
            return Meaning("graph", "constant", 1.5, is_epsilon=True)
    return None


def _is(view: View, operand: object, value: int) -> bool:
    """Whether an operand is a value, maybe in another layout."""
    found = getattr(operand, "value", None)
    if found is None:
        return False
    if found == value:
        return True
    return view.tape.values[value].node == getattr(producer_through(view, found), "index", LEAF - 1)


def _offset(view: View, binary: Binary, result: int) -> Meaning:
    """The one in `x * (1 + scale)`, of a modulation or of a norm's weight."""
    if not any(node.name in ("mul", "mul_", "addcmul") for node in consumers_through(view, result)):
        return OTHER
    other = binary.values[0] if binary.values else None
    if other is not None and fixed(view, other):
        return Meaning("norm", "weight_offset", 1.2, is_offset=True)
    return Meaning("adaln", "scale", 1.1, is_offset=True)


def _factor(  # noqa: PLR0911 - a list of cases
    view: View, binary: Binary, result: int, number: float
) -> Meaning:
    """What a factor or divisor is."""
    operand = _operand(view, binary)
    if operand is None:
        return OTHER
    before = producer_through(view, operand)
    if operand in view.tape.draws or _is_draw(view, operand) or scales_draw(view, result):
        return Meaning("sampling", "scale", 1.1)
    if _is_guidance(view, before, result):
        return Meaning("conditioning", "guidance", 1.0)
    if before is not None and before.name in LOOKUPS:
        return Meaning("embedding", "scale", 1.1)
    if _is_score(view, before, result):
        return Meaning("attention", "scale", 1.1)
    if _is_capped(view, before, result):
        if leads_to(view, result, SOFTMAX, steps=4):
            return Meaning("attention", "softcap", 1.5)
        return Meaning("activation", "clamp", 1.5)
    if leads_to(view, result, WAVES, steps=3):
        return Meaning("positional", "time_scale", 1.6)
    if not view.is_float(operand) or _from_integers(view, operand):
        return Meaning("preprocess", "scale", 1.4)
    width = view.shape(result)[-1:]
    if width and width[0] > 1 and abs(number * number - width[0]) < 1e-3 * width[0]:
        return Meaning("embedding", "scale", 1.1)  # the root of the width
    terms = _terms(view, before) if before is not None else None
    if terms is not None:
        left, right = terms
        branches = descends(view, left, right) or descends(view, right, left)
        return Meaning("residual" if branches else "conditioning", "scale", 1.2)
    if any(node.name in ("add", "add_") for node in consumers_through(view, result)):
        return Meaning("residual", "scale", 1.2)
    return OTHER


def _terms(view: View, node: Node) -> tuple[int, int] | None:
    """The two computed tensors of one shape that an operation adds."""
    binary = as_binary(node)
    if binary is None or binary.kind != "add" or binary.both is None:
        return None
    left, right = binary.both
    computed = not (fixed(view, left) or fixed(view, right))
    alike = view.shape(left) == view.shape(right) and len(view.shape(left)) > 1
    return (left, right) if computed and alike else None


def scales_draw(view: View, value: int) -> bool:
    """Whether a value is a factor of random numbers, maybe times a number before."""
    for node in consumers_through(view, value):
        binary = as_binary(node)
        if binary is None or binary.kind not in ("mul", "div") or not node.outputs:
            continue
        if any(v in view.tape.draws or _is_draw(view, v) for v in binary.values):
            return True
        if binary.both is None and scales_draw(view, node.outputs[0]):
            return True
    return False


def _operand(view: View, binary: Binary) -> int | None:
    """The tensor that is scaled: of two the one with more elements."""
    return max(binary.values, key=lambda v: len(view.shape(v)), default=None)


def _is_draw(view: View, value: int) -> bool:
    before = view.tape.values[value].node
    inputs = view.tape.nodes[before].inputs if before != LEAF else ()
    return len(inputs) == 1 and inputs[0] in view.tape.draws


def _is_guidance(view: View, before: Node | None, result: int) -> bool:
    """`u + s (c - u)`: the difference of two tensors, scaled and added to one of them."""
    difference = as_binary(before) if before is not None else None
    if difference is None or difference.kind != "sub" or difference.both is None:
        return False
    sums = [as_binary(node) for node in consumers_through(view, result)]
    return any(
        one is not None and one.kind == "add" and set(one.values) & set(difference.both)
        for one in sums
    )


def _is_score(view: View, before: Node | None, result: int) -> bool:
    """Scores before a softmax, or queries before they become scores."""
    if before is not None and before.name in PRODUCTS and len(before.inputs) > 1:
        moving = not any(view.is_parameter(v) for v in before.inputs)
        if moving and leads_to(view, result, SOFTMAX, steps=3):
            return True
    if leads_to(view, result, SOFTMAX, steps=1):
        return True
    if not leads_to(view, result, PRODUCTS, steps=1):
        return False
    return leads_to(view, result, SOFTMAX, steps=4)


def _is_capped(view: View, before: Node | None, result: int) -> bool:
    """`c tanh(x / c)`."""
    if before is not None and before.name == "tanh":
        return True
    return any(node.name == "tanh" for node in consumers_through(view, result))


def _from_integers(view: View, value: int) -> bool:
    """Whether a tensor is one of integers in another type."""
    for _ in range(4):
        index = view.tape.values[value].node
        if index == LEAF:
            return not view.is_float(value)
        node = view.tape.nodes[index]
        if node.name not in ("to", "float", "type", "permute", "unsqueeze") or not node.inputs:
            return False
        value = node.inputs[0]
    return False
