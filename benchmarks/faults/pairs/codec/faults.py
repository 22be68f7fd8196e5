"""The faults of the codec's port."""

from __future__ import annotations

from benchmarks.faults.pairs.codec.held_out import HELD_OUT, HELD_OUT_CONFLICTS
from benchmarks.faults.planted import Fault

__all__ = ["CONFLICTS", "FAULTS"]

ENC, DEC, VQ = "codec.encoder.model", "codec.decoder.model", "codec.quantizer"
SNAKES = (
    f"{DEC}.2", f"{DEC}.5", f"{DEC}.8", f"{DEC}.[47].block.[02]", f"{DEC}.[47].block",
    f"{DEC}.[47]",
)  # fmt: skip
UNIT_CONVS = ("codec.*.model.[47].block.1", "codec.*.model.[47].block.1.conv")
LSTM = (f"{ENC}.8.lstm", f"{ENC}.8")
CONVNEXT = f"{DEC}.1"


def _conv(path: str) -> tuple[str, ...]:
    """The sites of a streaming convolution: the layer and the plain one inside."""
    return path, f"{path}.conv"


def _convtr(path: str) -> tuple[str, ...]:
    return path, f"{path}.convtr"


FAULTS = (
    Fault(
        "int16_scale", "integers divided by 32767 instead of 32768",
        ("codec",), ("audio.scale", "preprocess.scale"), 32767.0,
    ),
    Fault(
        "volume_by_mean_magnitude", "loudness is the mean magnitude, not the root mean square",
        (*_conv(f"{ENC}.0"), "codec"), ("preprocess.scale", "audio.scale", "norm.kind"),
    ),
    Fault(
        "volume_by_peak", "loudness is the peak, not the root mean square",
        (*_conv(f"{ENC}.0"), "codec"), ("preprocess.scale", "audio.scale", "norm.kind"),
    ),
    Fault(
        "volume_of_frame_before", "audio is scaled back by the loudness of the frame before",
        ("codec",), ("streaming.state", "graph.source", "audio.scale"), 1.0,
    ),
    Fault(
        "volume_not_restored", "audio is not scaled back",
        ("codec",), ("audio.scale", "graph.omitted", "schedule.denormalise"), 1.0,
    ),
    Fault(
        "elu_alpha", "all ELUs of the encoder fall to -0.7 instead of -1",
        (f"{ENC}.[259]", f"{ENC}.[14].block.[02]", f"{ENC}.[14].block", f"{ENC}.[14]"),
        ("activation.slope",), 0.7,
    ),
    Fault(
        "leaky_relu_for_elu", "one ELU is a leaky ReLU of slope 0.2",
        (f"{ENC}.2",), ("activation.function", "activation.slope"), 0.2,
    ),
    Fault(
        "snake_alpha_not_exponentiated", "Snake's parameters taken as they are, not as logarithms",
        SNAKES, ("activation.slope", "activation.function", "weights.scale"),
    ),
    Fault(
        "snake_one_parameter", "Snake divides by its frequency (first version), in one unit",
        (f"{DEC}.4.block.[02]", f"{DEC}.4.block", f"{DEC}.4"),
        ("activation.slope", "weights.source", "activation.function"),
    ),
    Fault(
        "snake_without_square", "the last Snake adds the sine, not its square",
        (f"{DEC}.8",), ("activation.function", "graph.constant"),
    ),
    Fault(
        "activation_left_out", "the second activation of one residual unit is left out",
        (f"{DEC}.7.block.2", f"{DEC}.7.block", f"{DEC}.7"),
        ("activation.function", "graph.omitted"),
    ),
    Fault(
        "inplace_activation", "the skip of the encoder's units carries the activated tensor",
        (f"{ENC}.[14]",), ("residual.source", "activation.added", "graph.source"),
    ),
    Fault(
        "unit_skip_dropped", "one residual unit has no skip",
        (f"{ENC}.4",), ("residual.dropped", "graph.omitted"),
    ),
    Fault(
        "unit_skip_halved", "the decoder's residual sums are multiplied by the root of a half",
        (f"{DEC}.[47]",), ("residual.scale",), 0.70710678,
    ),
    Fault(
        "dilation_ignored", "one dilated convolution has dilation 1 instead of 3",
        _conv(f"{ENC}.4.block.1"), ("conv.dilation",), 1.0,
    ),
    Fault(
        "symmetric_padding_each_frame", "the first convolution pads each frame on both sides",
        _conv(f"{ENC}.0"), ("conv.alignment", "padding.side", "streaming.state"),
    ),
    Fault(
        "history_lost_dilated", "dilated convolutions of the units start each frame from zeros",
        _conv("codec.*.model.4.block.1"), ("streaming.state",),
    ),
    Fault(
        "history_lost_decoder", "all convolutions of the decoder start each frame from zeros",
        (
            *_conv(f"{DEC}.0"), *_conv(f"{CONVNEXT}.dwconv"), *_conv(f"{DEC}.[47].block.1"),
            *_conv(f"{DEC}.9"),
        ),
        ("streaming.state",),
    ),
    Fault(
        "history_one_early", "the last convolution's history ends one sample too early",
        _conv(f"{DEC}.9"), ("streaming.state", "conv.alignment"), 1.0,
    ),
    Fault(
        "history_in_half", "histories of all convolutions are kept in half precision",
        (
            *_conv(f"{ENC}.*"), *_conv("codec.encoder.downsample"), *_conv(f"{DEC}.0"),
            *_conv(f"{CONVNEXT}.dwconv"), *_conv(f"{DEC}.9"), *UNIT_CONVS,
        ),
        ("dtype.precision", "streaming.state"),
    ),
    Fault(
        "zeros_before_first_frame", "zeros stand before the first sample, not copies of it",
        _conv("codec.encoder.downsample"), ("padding.mode",),
    ),
    Fault(
        "stride_phase", "one strided convolution begins its windows one sample early",
        _conv(f"{ENC}.6"), ("conv.alignment", "conv.stride", "padding.amount"), 1.0,
    ),
    Fault(
        "kernel_flipped", "the decoder's first kernel runs backwards",
        _conv(f"{DEC}.0"), ("conv.kernel",),
    ),
    Fault(
        "conv_bias_lost", "the encoder's last convolution has no bias",
        _conv(f"{ENC}.10"), ("conv.bias", "weights.bias"),
    ),
    Fault(
        "upsample_kernel_flipped", "the depthwise transposed convolution's kernel runs backwards",
        _convtr("codec.decoder.upsample"), ("conv.kernel",),
    ),
    Fault(
        "bias_in_tail", "tails are kept with the bias, which is then added twice",
        (f"{DEC}.[36]",), ("streaming.overlap", "weights.bias", "conv.bias"),
    ),
    Fault(
        "tail_dropped", "one transposed convolution does not add the tail of the frame before",
        (f"{DEC}.6",), ("streaming.overlap", "streaming.state"),
    ),
    Fault(
        "tail_overwrites", "the tail of the frame before replaces the head instead of being added",
        ("codec.decoder.upsample",), ("streaming.overlap",),
    ),
    Fault(
        "transposed_trim_both_sides", "each frame of one transposed convolution trimmed both sides",
        (f"{DEC}.6",), ("conv.alignment", "streaming.overlap", "padding.side"), 1.0,
    ),
    Fault(
        "transposed_trim_left", "one transposed convolution is trimmed at its beginning",
        (f"{DEC}.3",), ("conv.alignment", "streaming.overlap", "padding.side"), 3.0,
    ),
    Fault(
        "convtr_weight_norm_not_folded", "transposed convolutions use directions without gains",
        (*_convtr(f"{DEC}.3"), *_convtr(f"{DEC}.6")), ("weights.norm", "weights.scale"),
    ),
    Fault(
        "weight_norm_without_norm", "one convolution's gain times a direction not normalised",
        _conv(f"{ENC}.3"), ("weights.norm", "weights.scale"),
    ),
    Fault(
        "weight_norm_whole_tensor", "one weight is normalised as a whole, not by channel",
        _conv(f"{DEC}.0"), ("weights.norm", "weights.scale"),
    ),
    Fault(
        "group_count", "8 groups instead of 4",
        (f"{ENC}.7",), ("norm.groups",), 8.0,
    ),
    Fault(
        "group_norm_each_step", "group statistics of each time step alone",
        (f"{ENC}.7",), ("norm.axis", "norm.statistics", "norm.kind"),
    ),
    Fault(
        "group_norm_unbiased", "group norm by the unbiased variance",
        (f"{ENC}.7",), ("norm.variance",),
    ),
    Fault(
        "group_norm_eps", "group norm's eps is 1e-3 instead of 1e-5",
        (f"{ENC}.7",), ("norm.eps",), 1e-3,
    ),
    Fault(
        "lstm_gate_order", "gates taken in the order input, forget, output, new",
        LSTM, ("recurrent.gates",),
    ),
    Fault(
        "lstm_state_reset", "the LSTM starts each frame from zeros",
        LSTM, ("recurrent.state", "streaming.state"),
    ),
    Fault(
        "lstm_cell_reset", "the LSTM carries its output but not its cell to the next frame",
        LSTM, ("recurrent.state", "streaming.state"),
    ),
    Fault(
        "lstm_hidden_bias_lost", "the LSTM adds only the first of its two biases",
        LSTM, ("recurrent.bias", "weights.bias"),
    ),
    Fault(
        "lstm_weights_swapped", "weights of input and hidden state swapped in the second layer",
        LSTM, ("weights.source", "recurrent.gates"),
    ),
    Fault(
        "lstm_over_batch", "the LSTM runs over the batch axis, the time axis taken for the batch",
        LSTM, ("layout.transposed", "recurrent.direction", "recurrent.state"),
    ),
    Fault(
        "lstm_skip_dropped", "no skip beside the LSTM",
        (f"{ENC}.8",), ("residual.dropped", "graph.omitted"),
    ),
    Fault(
        "codebook_sums_as_vectors", "codebooks' sums are not divided by their counts",
        (f"{VQ}.layers.*", f"{VQ}.output_proj", VQ),
        ("embedding.scale", "weights.scale", "graph.omitted"),
    ),
    Fault(
        "codebook_shared", "all layers look up the first codebook",
        (f"{VQ}.layers.[12]",), ("weights.source",),
    ),
    Fault(
        "residual_not_accumulated", "each codebook's vector is taken off the latent, not the rest",
        (f"{VQ}.layers.2", f"{VQ}.output_proj", VQ), ("residual.source", "graph.source"),
    ),
    Fault(
        "last_codebook_left_out", "the sum of vectors lacks the last codebook",
        (f"{VQ}.output_proj", VQ), ("graph.omitted", "control.calls", "residual.dropped"),
    ),
    Fault(
        "bypass_left_out", "nothing of the rest goes on to the decoder",
        (f"{VQ}.output_proj", VQ), ("graph.omitted", "residual.dropped", "residual.scale"), 0.0,
    ),
    Fault(
        "nearest_by_dot_product", "nearest vector by largest product, norms left out",
        (f"{VQ}.layers.*",), ("graph.function", "graph.omitted", "tokenization.ids"),
    ),
    Fault(
        "nearest_by_cosine", "nearest vector by angle",
        (f"{VQ}.layers.*",), ("graph.function", "graph.added", "tokenization.ids"),
    ),
    Fault(
        "codes_shifted", "codes are shifted by one row of the codebook",
        (f"{VQ}.layers.*",), ("embedding.offset", "tokenization.ids"), 1.0,
    ),
    Fault(
        "layer_norm_eps", "layer norm's eps is 1e-3 instead of 1e-6",
        (f"{CONVNEXT}.norm", CONVNEXT), ("norm.eps",), 1e-3,
    ),
    Fault(
        "layer_norm_over_time", "layer norm over the time axis",
        (f"{CONVNEXT}.norm", CONVNEXT), ("norm.axis",),
    ),
    Fault(
        "rms_for_layer_norm", "the mean is not taken off",
        (f"{CONVNEXT}.norm", CONVNEXT), ("norm.kind",),
    ),
    Fault(
        "layer_scale_lost", "the layer scale is left out",
        (CONVNEXT,), ("residual.scale", "weights.scale", "graph.omitted"), 1.0,
    ),
    Fault(
        "gelu_by_tanh", "GELU by its tanh formula",
        (f"{CONVNEXT}.act", CONVNEXT), ("activation.function",),
    ),
    Fault(
        "clamp_for_tanh", "the output is clamped to -1 and 1 instead of going through tanh",
        (f"{DEC}.10",), ("activation.function", "activation.clamp"), 1.0,
    ),
    *HELD_OUT,
)  # fmt: skip

_CLASHES = (
    ("history_lost_decoder", "history_one_early"),
    ("history_lost_decoder", "history_lost_dilated"),
    ("volume_by_mean_magnitude", "volume_by_peak"),
    ("nearest_by_dot_product", "nearest_by_cosine"),
    ("kernel_flipped", "weight_norm_whole_tensor"),
    ("volume_of_frame_before", "volume_not_restored"),
    ("volume_not_restored", "int16_scale"),
    ("tail_dropped", "transposed_trim_both_sides"),
    ("lstm_state_reset", "lstm_cell_reset"),
    ("lstm_state_reset", "lstm_over_batch"),
    ("codebook_shared", "codebook_sums_as_vectors"),
    ("unit_skip_dropped", "inplace_activation"),
    ("layer_norm_eps", "rms_for_layer_norm"),
)
CONFLICTS = HELD_OUT_CONFLICTS | frozenset(frozenset(clash) for clash in _CLASHES)
