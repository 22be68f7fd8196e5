"""The switches of the Conformer's port, and the truth about each."""

from __future__ import annotations

from benchmarks.faults.planted import held_out

__all__ = ["CONFLICTS", "FAULTS"]

SUB, LAYERS = "model.subsampling", "model.layers"
# What is added within a layer shows first in the norm of what comes next.
AFTER_FF1, AFTER_ATTENTION = f"{LAYERS}.?.attention.norm", f"{LAYERS}.?.conv.norm"
OUTPUT = ("model", "log_probs")


def _attention(layer: str = "?") -> tuple[str, ...]:
    """Where what happens between the projections and the last one shows."""
    return f"{LAYERS}.{layer}.attention.out", f"{LAYERS}.{layer}.attention"


def _conv(part: str, layer: str = "?") -> tuple[str, ...]:
    return f"{LAYERS}.{layer}.conv.{part}", f"{LAYERS}.{layer}.conv"


_ENTRANCE = (
    held_out(
        "inverse_deviation_divides",
        "divides by what is stored as the inverse of a deviation; the reference multiplies",
        ("model.feature_norm",),
        ("preprocess.scale", "norm.statistics", "graph.function"),
    ),
    held_out(
        "mean_behind_scale",
        "takes the mean off behind the scaling; the reference before it",
        ("model.feature_norm",),
        ("graph.order", "preprocess.mean", "norm.statistics"),
    ),
    held_out(
        "window_one_late",
        "the first convolution's windows begin at the second frame; the reference's at the first",
        (f"{SUB}.conv1",),
        ("conv.alignment", "graph.lag"),
        1.0,
    ),
    held_out(
        "kernel_axes_swapped",
        "takes the second kernel by bands and time; the reference by time and bands",
        (f"{SUB}.conv2",),
        ("weights.transposed", "conv.kernel", "layout.transposed"),
    ),
    held_out(
        "second_relu_omitted",
        "has no activation behind the second convolution; the reference a ReLU",
        (f"{SUB}.out", SUB),
        ("activation.function", "graph.omitted"),
    ),
    held_out(
        "bands_before_channels",
        "flattens bands, then channels; the reference channels, then bands",
        (f"{SUB}.out", SUB),
        ("layout.flatten", "layout.transposed", "weights.permuted"),
    ),
    held_out(
        "input_unscaled",
        "hands on what was subsampled as it is; the reference times the root of the width",
        (SUB,),
        ("embedding.scale", "graph.constant", "graph.scale", "graph.omitted"),
        1.0,
    ),
)

_POSITION = (
    held_out(
        "distances_reversed",
        "counts distances from the farthest back; the reference from the farthest ahead",
        ("model.positions",),
        ("positional.order", "positional.offset"),
    ),
    held_out(
        "distance_one_more",
        "takes every distance for one more than it is",
        ("model.positions",),
        ("positional.offset",),
        1.0,
    ),
    held_out(
        "distances_absolute",
        "does not tell ahead from back; the reference does",
        ("model.positions",),
        ("graph.added", "graph.function", "activation.function", "positional.order"),
    ),
    held_out(
        "position_base",
        "waves of distances with base 1000; the reference with 10000",
        ("model.positions",),
        ("positional.theta",),
        1000.0,
    ),
    held_out(
        "cosine_first",
        "cosines stand before sines; in the reference behind them",
        ("model.positions",),
        ("positional.order",),
    ),
    held_out(
        "waves_in_halves",
        "all sines, then all cosines; in the reference by turns",
        ("model.positions",),
        ("positional.layout",),
    ),
    held_out(
        "distances_by_key_map",
        "maps distances of one layer by the keys' weights; the reference by their own",
        (f"{LAYERS}.1.attention.position",),
        ("weights.source",),
    ),
    held_out(
        "shift_omitted",
        "does not shift one layer's scores of distances by the query; the reference does",
        _attention("0"),
        ("graph.omitted", "attention.bias", "positional.offset"),
    ),
    held_out(
        "distances_unscaled",
        "scales scores of content alone; the reference those of distance as well",
        _attention(),
        ("attention.bias", "graph.order", "attention.scale", "conditioning.scale"),
    ),
)

_ATTENTION = (
    held_out(
        "biases_swapped",
        "adds the distance's bias for content and the other way round",
        _attention(),
        ("weights.source", "graph.source"),
    ),
    held_out(
        "content_bias_lost",
        "adds no content bias to one layer's queries; the reference does",
        _attention("0"),
        ("weights.bias", "weights.lost", "graph.omitted"),
    ),
    held_out(
        "bias_by_size_and_head",
        "reads one layer's distance bias as channels by heads; the reference as heads by channels",
        _attention("1"),
        ("weights.transposed", "layout.transposed", "weights.permuted"),
    ),
    held_out(
        "heads_interleaved",
        "deals one layer's channels to heads in turn; the reference cuts them",
        _attention("1"),
        ("attention.heads", "layout.flatten"),
    ),
    held_out(
        "projection_transposed",
        "transposes the square projection behind one attention",
        _attention("0"),
        ("weights.transposed",),
    ),
    held_out(
        "lengths_of_frames",
        "hides times by the number of frames; the reference by that of subsampled ones",
        (f"{SUB}", *_attention("0")),
        ("mask.padding", "graph.omitted", "mask.applied"),
    ),
    held_out(
        "padding_one_late",
        "one time behind the end is seen",
        (*_attention("0"), *_conv("depthwise", "0")),
        ("mask.padding",),
        1.0,
    ),
    held_out(
        "padding_zeroed_behind",
        "zeroes weights of padding behind the softmax; the reference hides its scores",
        _attention(),
        ("mask.applied", "mask.padding", "graph.order"),
    ),
)

_CONVOLUTION = (
    held_out(
        "gate_first",
        "takes the first half for the gate; the reference the second",
        (*_conv("depthwise"),),
        ("graph.chunks",),
    ),
    held_out(
        "tanh_gate",
        "gates one layer's convolution by tanh; the reference by a sigmoid",
        _conv("depthwise", "0"),
        ("activation.function",),
    ),
    held_out(
        "padding_kept_in_convolution",
        "lets padding into the depthwise convolution; the reference puts zeros there",
        _conv("depthwise"),
        ("mask.applied", "mask.padding", "graph.omitted"),
    ),
    held_out(
        "convolution_causal",
        "pads the depthwise convolution in front only; the reference on both sides",
        _conv("depthwise"),
        ("conv.alignment", "padding.side"),
    ),
    held_out(
        "kernel_flipped",
        "runs one layer's depthwise kernels backwards; the reference forwards",
        _conv("depthwise", "1"),
        ("conv.kernel",),
    ),
    held_out(
        "depthwise_bias_lost",
        "adds no bias behind the depthwise convolution; the reference does",
        _conv("depthwise"),
        ("conv.bias", "weights.bias"),
    ),
    held_out(
        "batch_norm_eps",
        "adds 1e-3 to the running variances, as Keras does; the reference 1e-5",
        _conv("batch_norm"),
        ("norm.eps",),
        1e-3,
    ),
    held_out(
        "batch_statistics",
        "standardises by the batch; the reference by what training saw",
        _conv("batch_norm"),
        ("norm.statistics",),
    ),
    held_out(
        "running_mean_lost",
        "takes no running mean off in one layer; the reference does",
        _conv("batch_norm", "0"),
        ("norm.statistics", "weights.lost"),
    ),
    held_out(
        "activation_before_norm",
        "puts one layer's SiLU before the batch norm; the reference behind it",
        (*_conv("act", "1"), *_conv("batch_norm", "1")),
        ("graph.order", "norm.position"),
    ),
    held_out(
        "hard_swish",
        "activates the convolution by hard swish; the reference by SiLU",
        _conv("act"),
        ("activation.function",),
    ),
)

_LAYER = (
    held_out(
        "steps_whole",
        "adds feed-forwards whole; the reference half of each",
        (AFTER_FF1, f"{LAYERS}.?.norm", f"{LAYERS}.?"),
        ("residual.scale", "graph.constant"),
        1.0,
    ),
    held_out(
        "last_step_whole",
        "adds the last feed-forward whole; the reference half of it",
        (f"{LAYERS}.1.norm", f"{LAYERS}.1"),
        ("residual.scale", "graph.constant"),
        1.0,
    ),
    held_out(
        "second_half_by_first",
        "ends the last feed-forward by the weights of the one before it",
        (f"{LAYERS}.1.ff2.down", f"{LAYERS}.1.ff2"),
        ("weights.source",),
    ),
    held_out(
        "relu_in_feed_forward",
        "activates the first half steps by ReLU; the reference by SiLU",
        (f"{LAYERS}.?.ff1.act", f"{LAYERS}.?.ff1"),
        ("activation.function",),
    ),
    held_out(
        "convolution_first",
        "convolves before attention in one layer; the reference behind it",
        (f"{LAYERS}.1.conv.norm", f"{LAYERS}.1.attention.norm", f"{LAYERS}.1"),
        ("graph.order", "graph.source"),
    ),
    held_out(
        "layer_norm_omitted",
        "has no norm at the end of the first layer; the reference has",
        (f"{LAYERS}.0.norm", f"{LAYERS}.0"),
        ("norm.omitted", "graph.omitted"),
    ),
    held_out(
        "condition_not_added",
        "does not tell the second layer what the first one found; the reference does",
        (f"{LAYERS}.1.ff1.norm", f"{LAYERS}.1.ff1", "model"),
        ("conditioning.combine", "graph.omitted", "residual.dropped"),
    ),
    held_out(
        "condition_by_logits",
        "tells the second layer scores; the reference probabilities",
        ("model.condition",),
        ("activation.function", "graph.omitted"),
    ),
    held_out(
        "blank_last",
        "has the blank behind all words; the reference before them",
        ("model.head",),
        ("weights.permuted", "layout.permuted"),
    ),
    held_out(
        "normalised_over_time",
        "normalises each word over time; the reference each time over words",
        OUTPUT,
        ("graph.axis", "norm.axis"),
    ),
    held_out(
        "probabilities_for_logarithms",
        "puts out probabilities; the reference their logarithms",
        OUTPUT,
        ("activation.function", "graph.function", "graph.omitted"),
    ),
)

FAULTS = (*_ENTRANCE, *_POSITION, *_ATTENTION, *_CONVOLUTION, *_LAYER)

# Of these, each pair would act on the same operation, where one hides or alters the other.
_EXCLUSIVE = (
    ("inverse_deviation_divides", "mean_behind_scale"),
    ("distances_reversed", "distance_one_more", "distances_absolute"),
    ("cosine_first", "distances_absolute"),
    ("lengths_of_frames", "padding_one_late", "padding_zeroed_behind"),
    ("lengths_of_frames", "padding_kept_in_convolution"),
    ("biases_swapped", "content_bias_lost", "bias_by_size_and_head"),
    ("gate_first", "tanh_gate"),
    ("convolution_causal", "kernel_flipped"),
    ("batch_norm_eps", "batch_statistics", "running_mean_lost", "depthwise_bias_lost"),
    ("activation_before_norm", "batch_statistics", "hard_swish"),
    ("steps_whole", "last_step_whole"),
    ("condition_not_added", "condition_by_logits"),
    ("normalised_over_time", "probabilities_for_logarithms"),
)
CONFLICTS = frozenset(
    frozenset((first, second))
    for group in _EXCLUSIVE
    for first in group
    for second in group
    if first != second
)
