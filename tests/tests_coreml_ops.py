"""For each MIL operation random arguments, and what torch makes of the same."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import hypothesis.strategies as st
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 - its usual name

Draw = Callable[..., Any]


@dataclass(frozen=True, slots=True, eq=False)
class Call:
    """One call of an operation.

    Attributes:
        tensors: inputs of the program, by the names of the operation's inputs.
        expected: what torch makes.
        params: constant inputs.
    """

    tensors: dict[str, Any]
    expected: Any
    params: dict[str, Any] = field(default_factory=dict)


CASES: dict[str, Callable[[Draw], Call]] = {}


def case(*kinds: str) -> Callable[[Callable[..., Call]], Callable[..., Call]]:
    """Register a function of `draw`, and of the operation's name where there are several."""

    def register(make: Callable[..., Call]) -> Callable[..., Call]:
        for kind in kinds:
            CASES[kind] = make if len(kinds) == 1 else (lambda draw, kind=kind: make(draw, kind))
        return make

    return register


def rand(draw: Draw, *shape: int, low: float = -2.0, high: float = 2.0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    return low + (high - low) * torch.rand(shape, generator=generator)


def ints(draw: Draw, *shape: int, low: int = -5, high: int = 6) -> torch.Tensor:
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    return torch.randint(low, high, shape, generator=generator, dtype=torch.int32)


def shape(draw: Draw, least: int = 1, most: int = 4) -> tuple[int, ...]:
    return tuple(draw(st.lists(st.integers(1, 5), min_size=least, max_size=most)))


def one_of(draw: Draw, *values: Any) -> Any:
    return draw(st.sampled_from(values))


def np32(value: Any) -> np.float32:
    return np.float32(value)


UNARY = {
    "abs": (torch.abs, -2, 2), "acos": (torch.acos, -0.9, 0.9), "asin": (torch.asin, -0.9, 0.9),
    "atan": (torch.atan, -2, 2), "atanh": (torch.atanh, -0.9, 0.9), "ceil": (torch.ceil, -3, 3),
    "cos": (torch.cos, -4, 4), "cosh": (torch.cosh, -2, 2), "erf": (torch.erf, -2, 2),
    "exp": (torch.exp, -3, 3), "exp2": (torch.exp2, -3, 3), "floor": (torch.floor, -3, 3),
    "identity": (torch.clone, -2, 2), "relu": (F.relu, -2, 2), "relu6": (F.relu6, -2, 9),
    "round": (torch.round, -3, 3), "sigmoid": (torch.sigmoid, -4, 4), "sign": (torch.sign, -2, 2),
    "silu": (F.silu, -4, 4), "sin": (torch.sin, -4, 4), "sinh": (torch.sinh, -2, 2),
    "softplus": (F.softplus, -120, 120), "softsign": (F.softsign, -4, 4),
    "sqrt": (torch.sqrt, 0, 4),
    "square": (torch.square, -2, 2), "tan": (torch.tan, -1, 1), "tanh": (torch.tanh, -2, 2),
}  # fmt: skip


@case(*UNARY)
def unary(draw: Draw, kind: str) -> Call:
    function, low, high = UNARY[kind]
    x = rand(draw, *shape(draw), low=low, high=high)
    return Call({"x": x}, function(x))


@case("rsqrt", "inverse", "log")
def with_epsilon(draw: Draw, kind: str) -> Call:
    x, epsilon = rand(draw, *shape(draw), low=0.1, high=3), one_of(draw, 1e-5, 1e-2)
    function = {"rsqrt": torch.rsqrt, "inverse": torch.reciprocal, "log": torch.log}[kind]
    return Call({"x": x}, function(x + epsilon), {"epsilon": np32(epsilon)})


BINARY = {
    "add": torch.add, "equal": torch.eq, "greater": torch.gt, "greater_equal": torch.ge,
    "less": torch.lt, "less_equal": torch.le, "maximum": torch.maximum, "minimum": torch.minimum,
    "mul": torch.mul, "not_equal": torch.ne, "sub": torch.sub, "floor_div": torch.floor_divide,
    "mod": torch.remainder, "real_div": torch.div,
}  # fmt: skip


@case(*BINARY)
def binary(draw: Draw, kind: str) -> Call:
    whole = draw(st.booleans()) and kind != "real_div"
    size = shape(draw)
    make = ints if whole else rand
    x, y = make(draw, *size), make(draw, *(size if draw(st.booleans()) else size[-1:]))
    if kind in ("floor_div", "mod", "real_div"):
        y = y.abs() + 1
    return Call({"x": x, "y": y}, BINARY[kind](x, y))


@case("pow")
def power(draw: Draw) -> Call:
    x, y = rand(draw, 2, 3, low=0.1), rand(draw, 2, 3)
    return Call({"x": x, "y": y}, x**y)


@case("logical_and", "logical_or", "logical_xor", "logical_not")
def logical(draw: Draw, kind: str) -> Call:
    x, y = rand(draw, 3, 4) > 0, rand(draw, 3, 4) > 0
    if kind == "logical_not":
        return Call({"x": x}, ~x)
    return Call({"x": x, "y": y}, getattr(torch, kind)(x, y))


@case("select")
def select(draw: Draw) -> Call:
    a, b, cond = rand(draw, 3, 4), rand(draw, 3, 4), rand(draw, 3, 4) > 0
    return Call({"cond": cond, "a": a, "b": b}, torch.where(cond, a, b))


@case("cast")
def cast(draw: Draw) -> Call:
    x, word = rand(draw, 3, 4), one_of(draw, "int32", "bool", "fp32")
    types = {"int32": torch.int32, "bool": torch.bool, "fp32": torch.float32}
    return Call({"x": x}, x.to(types[word]), {"dtype": word})


@case("clip")
def clip(draw: Draw) -> Call:
    x, low = rand(draw, 3, 4), draw(st.floats(-1, 0, width=32))
    return Call({"x": x}, x.clamp(low, low + 1), {"alpha": np32(low), "beta": np32(low + 1)})


@case("threshold", "thresholded_relu")
def threshold(draw: Draw, kind: str) -> Call:
    x, alpha = rand(draw, 3, 4), draw(st.floats(-1, 1, width=32))
    value = alpha if kind == "threshold" else 0.0
    return Call({"x": x}, F.threshold(x, alpha, value), {"alpha": np32(alpha)})


@case("gelu")
def gelu(draw: Draw) -> Call:
    x = rand(draw, 3, 4, low=-4, high=4)
    mode = one_of(draw, "EXACT", "TANH_APPROXIMATION")
    approximate = "none" if mode == "EXACT" else "tanh"
    return Call({"x": x}, F.gelu(x, approximate=approximate), {"mode": mode})


@case("elu", "leaky_relu")
def with_alpha(draw: Draw, kind: str) -> Call:
    x, alpha = rand(draw, 3, 4), draw(st.floats(0.125, 1, width=32))
    return Call({"x": x}, getattr(F, kind)(x, alpha), {"alpha": np32(alpha)})


@case("linear_activation", "sigmoid_hard", "scaled_tanh", "clamped_relu")
def with_alpha_and_beta(draw: Draw, kind: str) -> Call:
    x, a, b = rand(draw, 3, 4), draw(st.floats(0.25, 1, width=32)), draw(st.floats(0, 1, width=32))
    expected = {
        "linear_activation": a * x + b,
        "sigmoid_hard": torch.clamp(a * x + b, 0, 1),
        "scaled_tanh": a * torch.tanh(b * x),
        "clamped_relu": torch.minimum(torch.where(x < 0, a * x, x), torch.tensor(b)),
    }
    return Call({"x": x}, expected[kind], {"alpha": np32(a), "beta": np32(b)})


@case("prelu", "softplus_parametric")
def by_channel(draw: Draw, kind: str) -> Call:
    x, alpha, beta = rand(draw, 2, 3, 4, 2), rand(draw, 3, low=0.1), rand(draw, 3, low=0.5)
    if kind == "prelu":
        return Call({"x": x}, F.prelu(x, alpha), {"alpha": alpha.numpy()})
    by_place = beta[:, None, None] * x
    expected = alpha[:, None, None] * torch.log1p(torch.exp(by_place))
    return Call({"x": x}, expected, {"alpha": alpha.numpy(), "beta": beta.numpy()})


@case("softmax")
def softmax(draw: Draw) -> Call:
    x, axis = rand(draw, 2, 3, 4), one_of(draw, -1, 0, 1)
    return Call({"x": x}, torch.softmax(x, axis), {"axis": axis})


REDUCTIONS = {
    "reduce_l1_norm": lambda x, d, k: torch.linalg.vector_norm(x, 1, d, k),
    "reduce_l2_norm": lambda x, d, k: torch.linalg.vector_norm(x, 2, d, k),
    "reduce_log_sum": lambda x, d, k: torch.log(torch.sum(x, d, k)),
    "reduce_log_sum_exp": torch.logsumexp,
    "reduce_max": torch.amax,
    "reduce_mean": torch.mean,
    "reduce_min": torch.amin,
    "reduce_prod": lambda x, d, k: torch.prod(x, d[0], k),
    "reduce_sum": torch.sum,
    "reduce_sum_square": lambda x, d, k: torch.sum(x * x, d, k),
}


@case(*REDUCTIONS)
def reduction(draw: Draw, kind: str) -> Call:
    x, keep = rand(draw, 2, 3, 4, low=0.1), draw(st.booleans())
    axes = [one_of(draw, 0, 1, -1)] if kind == "reduce_prod" else one_of(draw, [1], [0, 2], [-1])
    return Call({"x": x}, REDUCTIONS[kind](x, axes, keep), {"axes": axes, "keep_dims": keep})


@case("reduce_argmax", "reduce_argmin")
def extreme(draw: Draw, kind: str) -> Call:
    x, axis, keep = rand(draw, 2, 3, 4), one_of(draw, 0, 1, -1), draw(st.booleans())
    function = torch.argmax if kind.endswith("max") else torch.argmin
    return Call({"x": x}, function(x, axis, keep), {"axis": axis, "keep_dims": keep})


@case("cumsum")
def cumsum(draw: Draw) -> Call:
    x, axis = rand(draw, 3, 4), one_of(draw, 0, 1)
    backwards, exclusive = draw(st.booleans()), draw(st.booleans())
    if exclusive and draw(st.booleans()):
        x = x.index_fill(axis, torch.tensor([1]), torch.inf)
    turned = x.flip(axis) if backwards else x
    total = turned.cumsum(axis)
    if exclusive:
        total = total.roll(1, axis).index_fill(axis, torch.tensor([0]), 0)
    expected = total.flip(axis) if backwards else total
    return Call({"x": x}, expected, {"axis": axis, "reverse": backwards, "exclusive": exclusive})


@case("linear")
def linear(draw: Draw) -> Call:
    x, layer = rand(draw, 2, 3, 4), (rand(draw, 5, 4), rand(draw, 5))
    weight, bias = (each.numpy() for each in layer)
    return Call({"x": x}, F.linear(x, *layer), {"weight": weight, "bias": bias})


@case("matmul")
def matmul(draw: Draw) -> Call:
    tx, ty = draw(st.booleans()), draw(st.booleans())
    x, y = rand(draw, 2, 3, 4), rand(draw, 2, 4, 5)
    given = {"x": x.mT.contiguous() if tx else x, "y": y.mT.contiguous() if ty else y}
    return Call(given, x @ y, {"transpose_x": tx, "transpose_y": ty})


@case("einsum")
def einsum(draw: Draw) -> Call:
    x, y = rand(draw, 2, 3, 4, 5), rand(draw, 2, 5, 4, 3)
    equation = "nchw,nwhu->nchu"
    return Call({"values": (x, y)}, torch.einsum(equation, x, y), {"equation": equation})


@case("scaled_dot_product_attention")
def attention(draw: Draw) -> Call:
    q, k, v = rand(draw, 1, 2, 3, 4), rand(draw, 1, 2, 5, 4), rand(draw, 1, 2, 5, 4)
    masked = one_of(draw, "no", "bool", "float")
    given = {"query": q, "key": k, "value": v}
    mask = None
    if masked != "no":
        mask = rand(draw, 3, 5)
        mask = mask if masked == "float" else torch.cat([mask[:, :4] > 0, torch.ones(3, 1) > 0], 1)
        given["attn_mask"] = mask
    return Call(given, F.scaled_dot_product_attention(q, k, v, mask))


@case("layer_norm")
def layer_norm(draw: Draw) -> Call:
    x, gamma, beta = rand(draw, 2, 3, 4), rand(draw, 4), rand(draw, 4)
    epsilon = one_of(draw, 1e-5, 1e-2)
    params = {"axes": [-1], "gamma": gamma.numpy(), "beta": beta.numpy(), "epsilon": np32(epsilon)}
    return Call({"x": x}, F.layer_norm(x, (4,), gamma, beta, epsilon), params)


@case("batch_norm")
def batch_norm(draw: Draw) -> Call:
    x, mean, gamma, beta = rand(draw, 2, 3, 4, 5), rand(draw, 3), rand(draw, 3), rand(draw, 3)
    variance = rand(draw, 3, low=0.5)
    expected = F.batch_norm(x, mean, variance, gamma, beta, eps=1e-3)
    given = {"mean": mean, "variance": variance, "gamma": gamma, "beta": beta}
    params = {name: each.numpy() for name, each in given.items()}
    return Call({"x": x}, expected, {**params, "epsilon": np32(1e-3)})


@case("instance_norm")
def instance_norm(draw: Draw) -> Call:
    x, gamma, beta = rand(draw, 2, 3, 4, 5), rand(draw, 3), rand(draw, 3)
    expected = F.instance_norm(x, weight=gamma, bias=beta, eps=1e-4)
    params = {"gamma": gamma.numpy(), "beta": beta.numpy(), "epsilon": np32(1e-4)}
    return Call({"x": x}, expected, params)


@case("l2_norm")
def l2_norm(draw: Draw) -> Call:
    x = rand(draw, 2, 3, 4, 5)
    norm = x.flatten(1).norm(dim=1).reshape(2, 1, 1, 1)
    return Call({"x": x}, x / (norm**2 + 1e-3).sqrt(), {"epsilon": np32(1e-3)})


@case("local_response_norm")
def local_response_norm(draw: Draw) -> Call:
    x, size = rand(draw, 2, 6, 4, 5), 3
    params = {"size": size, "alpha": np32(1e-2), "beta": np32(0.75), "k": np32(1.0)}
    return Call({"x": x}, F.local_response_norm(x, size, 1e-2, 0.75, 1.0), params)


@case("conv")
def conv(draw: Draw) -> Call:
    rank, groups, pad = one_of(draw, 1, 2, 3), one_of(draw, 1, 2), one_of(draw, 0, 1, 2)
    stride, dilation = one_of(draw, 1, 2), one_of(draw, 1, 2)
    x = rand(draw, 1, 4, *[7] * rank)
    weight, bias = rand(draw, 6, 4 // groups, *[3] * rank), rand(draw, 6)
    function = (F.conv1d, F.conv2d, F.conv3d)[rank - 1]
    expected = function(x, weight, bias, stride, pad, dilation, groups)
    params = {
        "weight": weight.numpy(), "bias": bias.numpy(), "strides": [stride] * rank,
        "groups": groups,
        "dilations": [dilation] * rank, "pad_type": "custom", "pad": [pad] * (2 * rank),
    }  # fmt: skip
    return Call({"x": x}, expected, params)


@case("conv_transpose")
def conv_transpose(draw: Draw) -> Call:
    rank, groups = one_of(draw, 1, 2), one_of(draw, 1, 2)
    stride, pad = one_of(draw, 1, 2, 3), one_of(draw, 0, 1)
    more = draw(st.integers(0, stride - 1))
    x = rand(draw, 1, 4, *[5] * rank)
    weight, bias = rand(draw, 4, 6 // groups, *[3] * rank), rand(draw, 6)
    function = (F.conv_transpose1d, F.conv_transpose2d)[rank - 1]
    expected = function(x, weight, bias, stride, pad, more, groups)
    params = {
        "weight": weight.numpy(), "bias": bias.numpy(), "strides": [stride] * rank,
        "groups": groups,
        "pad_type": "custom", "pad": [pad] * (2 * rank), "output_shape": list(expected.shape),
    }  # fmt: skip
    return Call({"x": x}, expected, params)


@case("max_pool", "avg_pool", "l2_pool")
def pool(draw: Draw, kind: str) -> Call:
    rank = 2 if kind == "l2_pool" else one_of(draw, 1, 2)
    kernel, stride = one_of(draw, 2, 3), one_of(draw, 1, 2)
    pad = 0 if kind == "l2_pool" else one_of(draw, 0, 1)
    x = rand(draw, 1, 3, *[8] * rank)
    params: dict[str, Any] = {
        "kernel_sizes": [kernel] * rank, "strides": [stride] * rank,
        "pad_type": "custom", "pad": [pad] * (2 * rank),
    }  # fmt: skip
    if kind == "l2_pool":
        return Call({"x": x}, F.lp_pool2d(x, 2, kernel, stride), params)
    ceil = draw(st.booleans())
    params["ceil_mode"] = ceil
    if kind == "max_pool":
        function = (F.max_pool1d, F.max_pool2d)[rank - 1]
        return Call({"x": x}, function(x, kernel, stride, pad, ceil_mode=ceil), params)
    apart = draw(st.booleans())
    params["exclude_padding_from_average"] = apart
    function = (F.avg_pool1d, F.avg_pool2d)[rank - 1]
    expected = function(x, kernel, stride, pad, ceil, not apart)
    return Call({"x": x}, expected, params)


@case("transpose")
def transpose(draw: Draw) -> Call:
    order = draw(st.permutations(range(3)))
    x = rand(draw, 2, 3, 4)
    return Call({"x": x}, x.permute(*order), {"perm": list(order)})


@case("reshape")
def reshape(draw: Draw) -> Call:
    x = rand(draw, 2, 3, 4)
    # 0 keeps an extent, counted from the last axis.
    wanted, size = one_of(
        draw, ([6, 4], (6, 4)), ([-1, 2], (12, 2)), ([24], (24,)), ([-1, 0], (6, 4)),
        ([0, -1], (3, 8)), ([0, 0, -1], (2, 3, 4)), ([0, -1, 0, 0], (1, 2, 3, 4)),
    )  # fmt: skip
    return Call({"x": x}, x.reshape(size), {"shape": wanted})


@case("flatten2d")
def flatten2d(draw: Draw) -> Call:
    x, axis = rand(draw, 2, 3, 4), one_of(draw, 1, 2)
    return Call({"x": x}, x.flatten(0, axis - 1).flatten(1), {"axis": axis})


@case("expand_dims", "squeeze")
def dims(draw: Draw, kind: str) -> Call:
    axis = one_of(draw, 0, 1, -1)
    x = rand(draw, 2, 3)
    if kind == "squeeze":
        return Call({"x": x.unsqueeze(axis)}, x, {"axes": [axis]})
    return Call({"x": x}, x.unsqueeze(axis), {"axes": [axis]})


@case("stack", "concat")
def join(draw: Draw, kind: str) -> Call:
    x, y, axis = rand(draw, 2, 3), rand(draw, 2, 3), one_of(draw, 0, 1)
    if kind == "stack":
        return Call({"values": (x, y)}, torch.stack([x, y], axis), {"axis": axis})
    if draw(st.booleans()):
        mixed = torch.stack([x, y], axis + 1).flatten(axis, axis + 1)
        return Call({"values": (x, y)}, mixed, {"axis": axis, "interleave": True})
    return Call({"values": (x, y)}, torch.cat([x, y], axis), {"axis": axis})


@case("split")
def split(draw: Draw) -> Call:
    x, axis = rand(draw, 4, 6), one_of(draw, 0, 1)
    if draw(st.booleans()):
        return Call({"x": x}, torch.chunk(x, 2, axis), {"num_splits": 2, "axis": axis})
    sizes = [1, x.shape[axis] - 1]
    return Call({"x": x}, torch.split(x, sizes, axis), {"split_sizes": sizes, "axis": axis})


@case("tile")
def tile(draw: Draw) -> Call:
    x, reps = rand(draw, 2, 3), [one_of(draw, 1, 2), one_of(draw, 1, 3)]
    return Call({"x": x}, torch.tile(x, reps), {"reps": reps})


@case("shape")
def shape_of(draw: Draw) -> Call:
    x = rand(draw, *shape(draw))
    return Call({"x": x}, torch.tensor(x.shape))


@case("reverse")
def reverse(draw: Draw) -> Call:
    x, axes = rand(draw, 2, 3, 4), one_of(draw, [0], [1, 2], [-1])
    return Call({"x": x}, x.flip(axes), {"axes": axes})


@case("pixel_shuffle", "pixel_unshuffle", "depth_to_space", "space_to_depth")
def pixels(draw: Draw, kind: str) -> Call:
    x = rand(draw, 1, 8, 4, 6)
    if kind == "pixel_shuffle":
        return Call({"x": x}, F.pixel_shuffle(x, 2), {"upscale_factor": 2})
    if kind == "pixel_unshuffle":
        return Call({"x": x}, F.pixel_unshuffle(x, 2), {"downscale_factor": np.uint32(2)})
    if kind == "space_to_depth":
        blocks = F.unfold(x, 2, stride=2).reshape(1, 8, 4, 2, 3)
        return Call({"x": x}, blocks.transpose(1, 2).reshape(1, 32, 2, 3), {"block_size": 2})
    blocks = x.reshape(1, 4, 2, 4, 6).transpose(1, 2).reshape(1, 8, 24)
    return Call({"x": x}, F.fold(blocks, (8, 12), 2, stride=2), {"block_size": 2})


@case("band_part")
def band_part(draw: Draw) -> Call:
    x, lower, upper = rand(draw, 4, 5), one_of(draw, -1, 0, 2), one_of(draw, -1, 0, 2)
    row, column = torch.arange(4)[:, None], torch.arange(5)[None]
    inside = ((row - column <= lower) | (lower < 0)) & ((column - row <= upper) | (upper < 0))
    return Call({"x": x}, x * inside, {"lower": lower, "upper": upper})


@case("sliding_windows")
def sliding_windows(draw: Draw) -> Call:
    x, size, stride = rand(draw, 2, 7), 3, one_of(draw, 1, 2)
    params = {"axis": 1, "size": size, "stride": stride}
    return Call({"x": x}, x.unfold(1, size, stride), params)


@case("pad")
def pad(draw: Draw) -> Call:
    x, mode = rand(draw, 1, 4, 5), one_of(draw, "constant", "reflect", "replicate")
    left, right = draw(st.integers(0, 3)), draw(st.integers(0, 3))
    value = {"value": 1.5} if mode == "constant" else {}
    params = {"pad": [0, 0, 0, 0, left, right], "mode": mode, "constant_val": np32(1.5)}
    return Call({"x": x}, F.pad(x, (left, right), mode, **value), params)


@case("slice_by_index")
def slice_by_index(draw: Draw) -> Call:
    x, step = rand(draw, 4, 6, 3), one_of(draw, 1, 2)
    params = {
        "begin": [1, -5, 0], "end": [3, 6, 0], "stride": [1, step, 1],
        "end_mask": [False, True, True], "squeeze_mask": [draw(st.booleans()), False, False],
    }  # fmt: skip
    part = x[1] if params["squeeze_mask"][0] else x[1:3]
    return Call({"x": x}, part[..., 1::step, :], params)


@case("slice_by_size")
def slice_by_size(draw: Draw) -> Call:
    x, begin = rand(draw, 4, 6), [one_of(draw, 0, 1), 2]
    expected = x[begin[0] : begin[0] + 2, 2:]
    return Call({"x": x}, expected, {"begin": begin, "size": [2, -1]})


@case("slice_update")
def slice_update(draw: Draw) -> Call:
    x, update, start = rand(draw, 4, 6), rand(draw, 2, 6), draw(st.integers(0, 2))
    expected = x.slice_scatter(update, 0, start, start + 2)
    return Call({"x": x, "update": update}, expected, {"begin": [start, 0], "end": [start + 2, 6]})


@case("crop")
def crop(draw: Draw) -> Call:
    x = rand(draw, 1, 2, 6, 7)
    top, left = one_of(draw, 0, 1), one_of(draw, 0, 2)
    params = {"crop_height": [top, 1], "crop_width": [left, 2]}
    return Call({"x": x}, F.pad(x, (-left, -2, -top, -1)), params)


@case("gather")
def gather(draw: Draw) -> Call:
    x, axis = rand(draw, 3, 4, 5), one_of(draw, 0, 1, -1)
    indices = ints(draw, 2, 2, low=0, high=3)
    expected = torch.from_numpy(np.take(x.numpy(), indices.numpy(), axis))
    return Call({"x": x, "indices": indices}, expected, {"axis": axis})


@case("gather_along_axis")
def gather_along_axis(draw: Draw) -> Call:
    x, axis = rand(draw, 3, 4), one_of(draw, 0, 1)
    indices = ints(draw, 3, 4, low=0, high=3)
    return Call({"x": x, "indices": indices}, x.gather(axis, indices.long()), {"axis": axis})


@case("gather_nd")
def gather_nd(draw: Draw) -> Call:
    x, indices = rand(draw, 3, 4, 5), ints(draw, 6, 2, low=0, high=3)
    expected = torch.stack([x[row[0], row[1]] for row in indices.tolist()])
    return Call({"x": x, "indices": indices}, expected)


@case("scatter", "scatter_along_axis", "scatter_nd")
def scatter(draw: Draw, kind: str) -> Call:
    data = rand(draw, 5, 4, low=0.5)
    mode = one_of(draw, "add", "update", "mul", "max", "min", "sub", "div")
    order = draw(st.permutations(range(5)))[:3]  # each place once: else the order would decide
    updates, rows = rand(draw, 3, 4, low=0.5), torch.tensor(order, dtype=torch.int32)
    change = {
        "add": data[rows] + updates, "update": updates, "mul": data[rows] * updates,
        "max": torch.maximum(data[rows], updates), "min": torch.minimum(data[rows], updates),
        "sub": data[rows] - updates, "div": data[rows] / updates,
    }[mode]  # fmt: skip
    expected = data.index_copy(0, rows.long(), change)
    indices = {"scatter": rows, "scatter_nd": rows[:, None]}.get(kind)
    if indices is None:
        indices = rows[:, None].expand(3, 4).contiguous()
    params = {"mode": mode, **({} if kind == "scatter_nd" else {"axis": 0})}
    return Call({"data": data, "indices": indices, "updates": updates}, expected, params)


@case("one_hot")
def one_hot(draw: Draw) -> Call:
    indices = ints(draw, 4, low=0, high=3)
    hot = F.one_hot(indices.long(), 3).float()
    axis = one_of(draw, -1, 0)
    params = {
        "one_hot_vector_size": 3,
        "axis": axis,
        "on_value": np32(2.0),
        "off_value": np32(-1.0),
    }
    return Call({"indices": indices}, (hot * 3 - 1).movedim(-1, axis), params)


@case("non_zero")
def non_zero(draw: Draw) -> Call:
    x = (rand(draw, 3, 4) > 0).float()
    return Call({"x": x}, torch.nonzero(x))


@case("argsort", "topk")
def order(draw: Draw, kind: str) -> Call:
    x, axis, up = rand(draw, 3, 5), one_of(draw, 0, 1), draw(st.booleans())
    if kind == "argsort":
        expected = torch.argsort(x, axis, descending=not up)
        return Call({"x": x}, expected, {"axis": axis, "ascending": up})
    expected = torch.topk(x, 2, axis, largest=not up)
    return Call({"x": x}, tuple(expected), {"k": 2, "axis": axis, "ascending": up})


@case("fill")
def fill(draw: Draw) -> Call:
    size = ints(draw, 2, low=1, high=4)
    return Call({"shape": size}, torch.full(size.tolist(), 1.5), {"value": np32(1.5)})


@case("fill_like")
def fill_like(draw: Draw) -> Call:
    x = rand(draw, *shape(draw))
    return Call({"ref_tensor": x}, torch.full_like(x, 1.5), {"value": np32(1.5)})


@case("range_1d")
def range_1d(draw: Draw) -> Call:
    end, step = draw(st.integers(1, 9)), one_of(draw, 1, 2)
    params = {"start": np.int32(0), "end": np.int32(end), "step": np.int32(step)}
    return Call({}, torch.arange(0, end, step), params)


@case("upsample_nearest_neighbor", "upsample_bilinear")
def upsample(draw: Draw, kind: str) -> Call:
    x, factor = rand(draw, 1, 2, 3, 4), one_of(draw, 2.0, 3.0)
    params: dict[str, Any] = {"scale_factor_height": np32(factor), "scale_factor_width": np32(2.0)}
    size = (int(3 * factor), 8)
    if kind == "upsample_nearest_neighbor":
        return Call({"x": x}, F.interpolate(x, size, mode="nearest"), params)
    corners = draw(st.booleans())
    expected = F.interpolate(x, size, mode="bilinear", align_corners=corners)
    return Call({"x": x}, expected, {**params, "align_corners": corners})


@case("resample")
def resample(draw: Draw) -> Call:
    x, grid = rand(draw, 1, 2, 5, 6), rand(draw, 1, 3, 4, 2, low=-1.2, high=1.2)
    corners, mode = draw(st.booleans()), one_of(draw, "bilinear", "nearest")
    padding = one_of(draw, "constant", "border")
    params = {
        "sampling_mode": mode, "padding_mode": padding, "padding_value": np32(0.0),
        "coordinates_mode": "normalized_minus_one_to_one", "align_corners": corners,
    }  # fmt: skip
    ours = {"constant": "zeros", "border": "border"}[padding]
    expected = F.grid_sample(x, grid, mode, ours, align_corners=corners)
    return Call({"x": x, "coordinates": grid}, expected, params)


@case("affine")
def affine(draw: Draw) -> Call:
    x, matrix = rand(draw, 1, 2, 5, 6), rand(draw, 1, 6, low=-1, high=1)
    grid = F.affine_grid(matrix.reshape(1, 2, 3), [1, 2, 4, 7], align_corners=True)
    params = {
        "output_height": 4, "output_width": 7, "sampling_mode": "bilinear",
        "padding_mode": "constant", "padding_value": np32(0.0), "align_corners": True,
        "coordinates_mode": "normalized_minus_one_to_one",
    }  # fmt: skip
    expected = F.grid_sample(x, grid, align_corners=True)
    return Call({"x": x, "transform_matrix": matrix}, expected, params)


@case("rnn", "gru", "lstm")
def recurrent(draw: Draw, kind: str) -> Call:
    torch.manual_seed(draw(st.integers(0, 2**31)))
    layer = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}[kind](3, 4)
    x, h, c = rand(draw, 5, 2, 3), rand(draw, 2, 4), rand(draw, 2, 4)
    state = (h[None], c[None]) if kind == "lstm" else h[None]
    with torch.no_grad():
        every, last = layer(x, state)
    names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    weights = {name: getattr(layer, f"{name}_l0").detach() for name in names}
    # torch: input, forget, cell, output; reset, update, new.
    places = {"rnn": [0], "gru": [0, 2, 1], "lstm": [0, 1, 3, 2]}[kind]
    moved = {
        name: torch.cat([each.split(4)[place] for place in places]).numpy()
        for name, each in weights.items()
    }
    params = {
        "weight_ih": moved["weight_ih"],
        "weight_hh": moved["weight_hh"],
        "output_sequence": True,
    }
    if kind == "gru":
        params |= {"bias": moved["bias_hh"], "input_bias": moved["bias_ih"], "reset_after": True}
        return Call({"x": x, "initial_h": h}, (every, last[0]), params)
    params["bias"] = moved["bias_ih"] + moved["bias_hh"]
    if kind == "rnn":
        return Call({"x": x, "initial_h": h}, (every, last[0]), params)
    given = {"x": x, "initial_h": h, "initial_c": c}
    return Call(given, (every, last[0][0], last[1][0]), params)


@case("quantize", "dequantize")
def quantisation(draw: Draw, kind: str) -> Call:
    scale, zero = 0.05, one_of(draw, 0, 3)
    x = rand(draw, 3, 4)
    steps = torch.clamp(torch.round(x / scale) + zero, -128, 127)
    params = {"scale": np32(scale), "zero_point": np.int8(zero)}
    if kind == "quantize":
        return Call({"input": x}, steps.int(), {**params, "output_dtype": "int8"})
    return Call({"input": steps.to(torch.int8)}, (steps - zero) * scale, params)
