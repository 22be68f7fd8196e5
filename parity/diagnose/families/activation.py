"""Activations: another function, none, one too many, another slope.

A site is anything that maps a tensor elementwise, which is found out by trying: the outputs of
elements are a function of the elements alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch.nn import functional

from parity.diagnose.arguments import as_binary, operand_edit
from parity.diagnose.hypothesis import Hypothesis, Site, Solve
from parity.diagnose.view import Region, View
from parity.diagnose.wording import fixed, residual_parts
from parity.localize.execute import Edit, Operands
from parity.localize.tape import Node, Ref

__all__ = ["FUNCTIONS", "NAME", "propose"]

Tensor = torch.Tensor
Edits = tuple[Edit, ...]
NAME = "activation"


def quick_gelu(x: Tensor) -> Tensor:
    """`x sigmoid(1.702 x)` (https://arxiv.org/abs/1606.08415)."""
    return x * torch.sigmoid(1.702 * x)


def _hard_sigmoid_keras(x: Tensor) -> Tensor:
    return torch.clamp(0.2 * x + 0.5, 0.0, 1.0)


FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "GELU(erf)": functional.gelu,
    "GELU(tanh)": lambda x: functional.gelu(x, approximate="tanh"),
    "GELU(sigmoid)": quick_gelu,
    "SiLU": functional.silu,
    "ReLU": functional.relu,
    "ReLU6": functional.relu6,
    "squared ReLU": lambda x: functional.relu(x).square(),
    "LeakyReLU(0.01)": functional.leaky_relu,
    "ELU(alpha=1.0)": functional.elu,
    "SELU": functional.selu,
    "CELU": functional.celu,
    "Mish": functional.mish,
    "softplus": functional.softplus,
    "softsign": functional.softsign,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "log-sigmoid": functional.logsigmoid,
    "hard sigmoid": functional.hardsigmoid,
    "hard sigmoid (0.2 x + 0.5)": _hard_sigmoid_keras,
    "hard swish": functional.hardswish,
    "hard tanh": functional.hardtanh,
    "sine": torch.sin,
    "exponential": torch.exp,
    "no activation": lambda x: x,
}
# Seldom in use: where one of these fits as well as another, the other is meant.
_SELDOM = frozenset({
    "SELU", "CELU", "softsign", "log-sigmoid", "hard tanh", "sine", "exponential", "hard sigmoid",
    "hard sigmoid (0.2 x + 0.5)", "squared ReLU",
})  # fmt: skip

_SLOPES: dict[str, Callable[[Tensor, float], Tensor]] = {
    "LeakyReLU(slope={value:.4g})": lambda x, a: torch.where(x >= 0, x, a * x),
    "ELU(alpha={value:.4g})": lambda x, a: torch.where(x >= 0, x, a * torch.expm1(x)),
    "SiLU(beta={value:.4g})": lambda x, a: x * torch.sigmoid(a * x),
}

# A leaky ReLU with a slope of about one is none at all, and has that name.
_STEEPEST = {"LeakyReLU(slope={value:.4g})": 0.9}

# The number that makes a function what it is: a slope, a bound.
_NUMBERS = {"GELU(sigmoid)": 1.702, "LeakyReLU(0.01)": 0.01, "hard tanh": 1.0, "ReLU6": 6.0}
_FEW = 6
_BOUNDS = frozenset({"clamp", "clip", "clamp_min", "clamp_max", "hardtanh"})
# What torch's operations of one tensor are called that map it elementwise.
_OPERATIONS = frozenset({
    "gelu", "silu", "relu", "relu_", "relu6", "leaky_relu", "elu", "elu_", "selu", "celu", "mish",
    "softplus", "softsign", "tanh", "sigmoid", "logsigmoid", "hardsigmoid", "hardswish", "hardtanh",
    "exp", "sin", "clamp", "clamp_", "clamp_min", "square", "sqrt", "erf", "silu_", "tanh_",
})  # fmt: skip


def propose(view: View) -> Iterator[Hypothesis]:
    """Other functions wherever the reference maps elementwise, and one more after each module."""
    seen: set[int] = set()
    for region in _elementwise(view):
        if region.node in seen:
            continue
        seen.add(region.node)
        if view.is_parameter(region.source) or view.is_constant(region.source):
            continue  # a function of the weights is no activation
        if _counts(view, region.source):
            continue
        if _few_values(view.value(region.source)):
            continue  # nor is one of counts and masks, to which many curves fit
        yield from _other_functions(view, region)
    yield from _added(view)


def _few_values(x: Tensor) -> bool:
    """Whether a tensor holds so few different numbers that it shows no curve."""
    return len(torch.unique(x)) < _FEW


def _counts(view: View, value: int) -> bool:
    """Whether a value holds whole numbers only: lengths and positions have no activation."""
    x = view.value(value)
    return bool((x == x.round()).all()) and bool((x != 0).any())


def _elementwise(view: View) -> Iterator[Region]:
    for region in view.modules:
        alike = view.shape(region.source) == view.shape(region.result)
        if alike and (_maps(view, region) or _bends(view, region)):
            yield region
    for node in view.nodes:
        if node.name in _OPERATIONS and node.args and isinstance(node.args[0], Ref):
            source = node.args[0].value
            if view.is_float(source) and len(node.outputs or node.written) == 1 and node.outputs:
                yield Region(source, node.outputs[0], node.index, view.path(node), whole=False)


def _maps(view: View, region: Region) -> bool:
    """Whether equal elements give equal results and nearby ones nearby: a curve, not a cloud."""
    x, y = view.value(region.source).flatten(), view.value(region.result).flatten()
    if x.numel() < 16 or x.shape != y.shape or torch.equal(x, y) or _mixes(view, region):
        return False
    x, order = x[:4096].sort()
    y = y[:4096][order]
    if not bool(torch.isfinite(x).all() and torch.isfinite(y).all()):
        return False
    steps, spread = (y[1:] - y[:-1]).abs(), (x[1:] - x[:-1]).abs()
    # No activation in use is steeper than 2 by much.
    return bool((steps <= 3.0 * spread + 1e-5 * y.abs().max()).all())


# Operations that make of each element one, and no more than that.
_PLAIN = _OPERATIONS | frozenset({
    "add", "sub", "mul", "div", "pow", "neg", "abs", "where", "maximum", "minimum", "log", "log1p",
    "exp", "expm1", "cos", "square", "erf", "rsqrt", "reciprocal", "to", "float", "clone", "detach",
    "gt", "lt", "ge", "le", "softplus", "clip", "threshold", "prelu", "relu6", "view", "reshape",
})  # fmt: skip


def _mixes(view: View, region: Region) -> bool:
    """Whether a call does more than to map elements: within one row a norm is a curve too."""
    span = next((s for s in view.spans if s.path == region.path), None)
    nodes = [] if span is None else view.tape.nodes[span.start : max(span.stop, span.start)]
    return any(node.name not in _PLAIN for node in nodes if node.outputs)


def _bends(view: View, region: Region) -> bool:
    """Whether a call maps elements by a curve that parameters shape, channel by channel."""
    span = next((s for s in view.spans if s.path == region.path), None)
    nodes = [] if span is None else view.tape.nodes[span.start : max(span.stop, span.start)]
    curved = any(node.name in _CURVED for node in nodes)
    shaped = any(view.is_parameter(v) for node in nodes for v in node.inputs)
    return curved and shaped and not _mixes(view, region)


_CURVED = _OPERATIONS - _BOUNDS - {"clamp_", "square", "sqrt"}


def _other_functions(view: View, region: Region) -> Iterator[Hypothesis]:
    x, y = view.value(region.source), view.value(region.result)
    node = view.tape.nodes[region.node]
    if node.name in _BOUNDS and not region.whole:
        yield from _bounded(view, region, node)
        return
    reference = _name(x, y)
    site = Site(region.path, "" if region.whole else _operation(node), node.source)
    for name, function in FUNCTIONS.items():
        if name == reference:
            continue
        edit = view.instead(region, function)
        cost = 1.4 if name in _SELDOM else 1.2 if name == "no activation" else 1.0
        if reference == "exponential":
            cost += 0.5  # it makes deviations of logarithms, say, and is seldom an activation
        value = 1.0 if (reference, name) == ("GELU(sigmoid)", "SiLU") else _NUMBERS.get(name)
        kin = reference.startswith(("LeakyReLU(", "ELU(")) and _kind(reference) == _kind(name)
        parameter = "slope" if kin else "function"
        yield Hypothesis(NAME, parameter, reference, name, site, (edit,), cost=cost, value=value)
    for label, curve in _SLOPES.items():
        yield _slope(view, region, site, reference, form=(label, curve))
    yield from _clamp(view, region, site, reference)
    if reference in FUNCTIONS:
        yield from _gated(view, region, reference)


def _kind(name: str) -> str:
    return name.partition("(")[0]


def _bounded(view: View, region: Region, node: Node) -> Iterator[Hypothesis]:
    """Bounds of a tensor: none, or others on both sides."""
    site = Site(region.path, _operation(node), node.source)
    edit = view.instead(region, lambda x: x.clone())
    yield Hypothesis(NAME, "clamp", "clamped", "not clamped", site, (edit,), cost=1.0)

    def make(value: float) -> tuple[Edit, ...]:
        return (view.instead(region, lambda x: x.clamp(-value, value)),)

    x = view.value(region.source)
    top = float(x.abs().max()) if bool(torch.isfinite(x).all()) else 1.0
    # One bound alone is a number of the operation, and is solved for as such.
    if bool((x < 0).any()) and len([a for a in _bounds(node) if a is not None]) == 2:
        solve = Solve(make, 0.0, max(top, 1e-6), guesses=(1.0,))
        text = "clamped at {value:.4g} on both sides"
        yield Hypothesis(NAME, "clamp", "clamped", text, site, solve=solve, cost=0.9)


def _bounds(node: Node) -> tuple[object, object]:
    """The least and the largest number that an operation leaves, as it was given them."""
    given = (*node.args[1:3], None, None)
    low = given[0] if len(node.args) > 1 else node.kwargs.get("min", node.kwargs.get("min_val"))
    high = given[1] if len(node.args) > 2 else node.kwargs.get("max", node.kwargs.get("max_val"))
    if node.name == "hardtanh":
        return (-1.0 if low is None else low), (1.0 if high is None else high)
    return (None, low) if node.name == "clamp_max" else (low, high)


def _operation(node: Node) -> str:
    return f"{node.name}.{node.occurrence}" if node.occurrence else node.name


def _slope(
    view: View,
    region: Region,
    site: Site,
    reference: str,
    *,
    form: tuple[str, Callable[[Tensor, float], Tensor]],
) -> Hypothesis:
    label, curve = form

    def make(value: float) -> tuple[Edit, ...]:
        return (view.instead(region, lambda x: curve(x, value)),)

    high = _STEEPEST.get(label, 4.0)
    solve = Solve(make, 0.0, high, guesses=(0.01, 0.1, 0.2, 0.25, 1.0, 1.702))
    parameter = "slope" if _kind(reference) == _kind(label) else "function"
    return Hypothesis(NAME, parameter, reference, label, site, solve=solve, cost=1.5)


def _clamp(view: View, region: Region, site: Site, reference: str) -> Iterator[Hypothesis]:
    def make(value: float) -> tuple[Edit, ...]:
        return (view.after(view.tape.nodes[region.node], lambda y: y.clamp(max=value)),)

    top = float(view.value(region.result).max())
    solve = Solve(make, 0.0, max(top, 1e-6))
    candidate = "the same, clamped at {value:.4g}"
    yield Hypothesis(NAME, "clamp", reference, candidate, site, solve=solve, cost=2.0)
    function = FUNCTIONS.get(reference)
    if function is None:
        return

    def make_before(value: float) -> tuple[Edit, ...]:
        return (view.instead(region, lambda x: function(x.clamp(max=value))),)

    # Ports of gated layers bound what goes into the function; for a rising one both are the same.
    top = float(view.value(region.source).max())
    solve = Solve(make_before, 0.0, max(top, 1e-6))
    candidate = "the same of x, which is clamped at {value:.4g} before"
    yield Hypothesis(NAME, "clamp", reference, candidate, site, solve=solve, cost=1.9)


def _gated(view: View, region: Region, reference: str) -> Iterator[Hypothesis]:
    """`f(gate) * up` with both bounded, or with one added to `up`."""
    function = FUNCTIONS[reference]
    for node in view.consumers(region.result):
        binary = as_binary(node)
        if binary is None or binary.kind != "mul" or binary.both is None or node.written:
            continue
        up = binary.both[1] if binary.both[0] == region.result else binary.both[0]
        if view.shape(up) != view.shape(region.result) or up == region.source or fixed(view, up):
            continue
        site, said = view.site(node), f"{reference} of the gate times up"
        reads = (region.source, up)

        def make(value: float, index: int = node.index, reads: tuple[int, int] = reads) -> Edits:
            def apply(operands: Operands) -> Tensor:
                gate, up = operands.reads
                return function(gate.clamp(max=value)) * up.clamp(-value, value)

            return (Edit(index, apply, reads),)

        top = max(float(view.value(v).abs().max()) for v in reads)
        solve = Solve(make, 0.0, max(top, 1e-6), guesses=(7.0,))
        text = "gate and up clamped at {value:.4g}"
        yield Hypothesis(NAME, "clamp", said, text, site, solve=solve, cost=1.8)
        added = Edit(node.index, lambda o: function(o.reads[0]) * (o.reads[1] + 1), reads)
        yield Hypothesis(
            "graph", "added", said, "up + 1 in the place of up", site, (added,), cost=1.5, value=1.0
        )


def _name(x: Tensor, y: Tensor) -> str:
    """What the reference's own function is called, by what it does."""
    if not bool(torch.isfinite(x).all() and torch.isfinite(y).all()):
        return "its own function"
    for name, function in FUNCTIONS.items():
        if torch.allclose(function(x), y, rtol=1e-5, atol=1e-6 * float(y.abs().max())):
            return name
    for label, curve in _SLOPES.items():
        for value in (0.05, 0.1, 0.2, 0.25, 0.3, 1.4, 1.702, 2.0):
            if torch.allclose(curve(x, value), y, rtol=1e-5, atol=1e-6):
                return label.format(value=value)
    return "its own function"


_ON_TOP = ("tanh", "SiLU", "GELU(erf)", "GELU(tanh)", "ReLU", "sigmoid", "ELU(alpha=1.0)")


def _added(view: View) -> Iterator[Hypothesis]:
    """A function on top of the result of each call."""
    end = view.segment.tap.key.path
    for name in _ON_TOP if not view.nodes else ():
        edit = view.at_the_end(FUNCTIONS[name])
        site = Site(end, "result")
        yield Hypothesis(NAME, "added", "no function on the result", name, site, (edit,), cost=1.4)
    for span in view.spans:
        region = next((r for r in view.modules if r.path == span.path), None)
        result = region.result if region is not None else None
        if result is None:
            continue
        node = view.producer(result)
        if node is None:
            continue
        for name in _ON_TOP:
            edit = view.after(node, FUNCTIONS[name])
            site = Site(span.path, "result", node.source)
            yield Hypothesis(
                NAME, "added", "no function on the result", name, site, (edit,), cost=1.4
            )
    yield from _added_to_branch(view)


def _added_to_branch(view: View) -> Iterator[Hypothesis]:
    """A function on top of what is added to a residual."""
    for node in view.nodes:
        parts = residual_parts(view, node)
        if parts is None or node.written:
            continue
        binary, skip, branch = parts
        if skip == branch:
            continue
        for name in _ON_TOP:
            edit = operand_edit(node, (binary.places[branch],), FUNCTIONS[name])
            said = "no function on what is added"
            site = view.site(node)
            yield Hypothesis(NAME, "added", said, name, site, (edit,), cost=1.5)
