"""Faults that were planted when the engine was made, and the truth about each."""

from __future__ import annotations

from benchmarks.faults.planted import held_out

__all__ = ["HELD_OUT", "HELD_OUT_CONFLICTS"]


HELD_OUT = (
    held_out(
        "volume_of_batch",
        "loudness of the batch, not of each signal",
        (
            "codec.encoder.model.0",
            "codec.encoder.model.0.conv",
        ),
        (
            "audio.scale",
            "graph.axis",
            "norm.axis",
            "preprocess.scale",
        ),
    ),
    held_out(
        "norm_behind_recurrent",
        "group norm behind the LSTM, not before it",
        (
            "codec.encoder.model.8.lstm",
            "codec.encoder.model.8",
            "codec.encoder.model.7",
        ),
        (
            "graph.order",
            "norm.position",
        ),
    ),
    held_out(
        "lstm_forget_bias",
        "1 is added to the forget gate",
        (
            "codec.encoder.model.8.lstm",
            "codec.encoder.model.8",
        ),
        ("recurrent.bias",),
        1.0,
    ),
    held_out(
        "lstm_hidden_reset",
        "the LSTM carries its cell but not its output to the next frame",
        (
            "codec.encoder.model.8.lstm",
            "codec.encoder.model.8",
        ),
        (
            "recurrent.state",
            "streaming.state",
        ),
    ),
    held_out(
        "downsample_history_copied",
        "each frame's first sample is copied in front of it, not the frame before",
        (
            "codec.encoder.downsample",
            "codec.encoder.downsample.conv",
        ),
        (
            "streaming.state",
            "padding.mode",
        ),
    ),
    held_out(
        "codebooks_reversed",
        "codebooks are used from the last to the first",
        ("codec.quantizer.layers.*",),
        (
            "weights.source",
            "graph.order",
        ),
    ),
    held_out(
        "bypass_whole",
        "all of the rest goes on to the decoder, not 0.35 of it",
        (
            "codec.quantizer.output_proj",
            "codec.quantizer",
        ),
        (
            "residual.scale",
            "graph.constant",
            "conditioning.scale",
        ),
        1.0,
    ),
    held_out(
        "convnext_skip_dropped",
        "no skip around the depthwise convolution and its MLP",
        ("codec.decoder.model.1",),
        (
            "residual.dropped",
            "graph.omitted",
        ),
    ),
    held_out(
        "tail_halved",
        "half of the tail of the frame before is added in one transposed convolution",
        ("codec.decoder.model.3",),
        ("streaming.overlap",),
    ),
    held_out(
        "unit_bias_lost",
        "one unit's last convolution has no bias",
        (
            "codec.decoder.model.4.block.3",
            "codec.decoder.model.4.block.3.conv",
        ),
        (
            "conv.bias",
            "weights.bias",
        ),
    ),
    held_out(
        "elu_for_snake",
        "one Snake of the decoder is an ELU",
        ("codec.decoder.model.5",),
        ("activation.function",),
    ),
    held_out(
        "dilation_two",
        "one dilated convolution has dilation 2 instead of 3",
        (
            "codec.decoder.model.7.block.1",
            "codec.decoder.model.7.block.1.conv",
        ),
        ("conv.dilation",),
        2.0,
    ),
)

# Of these, each pair would act on the same operation, where one hides or alters the other.
HELD_OUT_CONFLICTS = frozenset(
    frozenset(pair)
    for pair in (
        ("volume_of_batch", "volume_by_peak"),
        ("volume_of_batch", "volume_by_mean_magnitude"),
        ("lstm_hidden_reset", "lstm_state_reset"),
        ("lstm_hidden_reset", "lstm_cell_reset"),
        ("lstm_hidden_reset", "lstm_over_batch"),
        ("lstm_forget_bias", "lstm_gate_order"),
        ("downsample_history_copied", "zeros_before_first_frame"),
        ("codebooks_reversed", "codebook_shared"),
        ("bypass_whole", "bypass_left_out"),
        ("convnext_skip_dropped", "layer_scale_lost"),
        ("tail_halved", "transposed_trim_left"),
        ("norm_behind_recurrent", "lstm_skip_dropped"),
    )
)
