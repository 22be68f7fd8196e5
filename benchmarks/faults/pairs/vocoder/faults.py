"""The switches of the vocoder port, and the truth about each."""

from __future__ import annotations

from benchmarks.faults.pairs.vocoder.front_faults import FRONT_FAULTS
from benchmarks.faults.pairs.vocoder.held_out import HELD_OUT, HELD_OUT_CONFLICTS
from benchmarks.faults.planted import Fault

__all__ = ["CONFLICTS", "FAULTS"]

CELL = "model.decoder.cell"
FEEDBACK = (f"{CELL}.prenet.fc1", f"{CELL}.prenet", CELL, "model.decoder")

LSTM = tuple(
    Fault(name, kind, ("model.encoder.lstm",), causes, value)
    for name, kind, causes, value in (
        (
            "gates_in_onnx_order",
            "reads gates as input, output, forget, candidate; the reference i, f, g, o",
            ("recurrent.gates", "weights.permuted"),
            None,
        ),
        (
            "gates_candidate_last",
            "reads gates as input, forget, output, candidate; the reference i, f, g, o",
            ("recurrent.gates", "weights.permuted"),
            None,
        ),
        (
            "forget_bias_added",
            "adds 1 to the forget gate, as TensorFlow does; the reference does not",
            ("recurrent.bias",),
            1.0,
        ),
        (
            "hidden_bias_lost",
            "adds one of the two biases; the reference both",
            ("recurrent.bias", "weights.bias"),
            None,
        ),
        (
            "backward_not_flipped",
            "leaves the second layer's backward outputs in the order of computation",
            ("recurrent.direction",),
            None,
        ),
        (
            "backward_by_forward_weights",
            "runs the first layer's backward direction with the forward weights",
            ("weights.source", "recurrent.direction"),
            None,
        ),
        (
            "directions_swapped",
            "puts the second layer's backward outputs first; the reference last",
            ("recurrent.direction", "conditioning.order"),
            None,
        ),
        (
            "gates_hard_sigmoid",
            "gates by 0.2 x + 0.5 between 0 and 1; the reference by a sigmoid",
            ("activation.function", "activation.slope", "recurrent.gates"),
            0.2,
        ),
        (
            "cell_without_tanh",
            "puts the cell out as it is; the reference its tanh",
            ("activation.function", "graph.omitted"),
            None,
        ),
        (
            "cell_in_half",
            "keeps the cell in half precision; the reference in single",
            ("dtype.precision", "recurrent.state"),
            None,
        ),
        (
            "cell_clipped",
            "keeps the cell within 0.5; the reference does not bound it",
            ("activation.clamp", "recurrent.state"),
            0.5,
        ),
    )
)

BRIDGE = (
    Fault(
        "bridge_reads_last_frame",
        "reads the last frame of both directions; the reference where each one ended",
        ("model.encoder.bridge",),
        ("recurrent.state", "graph.source"),
    ),
    Fault(
        "bridge_reads_first_layer",
        "reads where the first layer ended; the reference the second",
        ("model.encoder.bridge",),
        ("recurrent.state", "graph.source"),
    ),
    Fault(
        "bridge_without_tanh",
        "starts the decoder from a linear map; the reference from its tanh",
        ("model.encoder",),
        ("activation.function", "graph.omitted"),
    ),
    Fault(
        "upsample_trims_right",
        "cuts both samples too many off the end; the reference one at each end",
        ("model.upsample",),
        ("conv.alignment", "padding.side"),
    ),
    Fault(
        "upsample_kernel_transposed",
        "takes the kernel's inputs for outputs; the reference does not",
        ("model.upsample",),
        ("weights.transposed",),
    ),
    Fault(
        "upsample_kernel_not_flipped",
        "correlates with the kernel of a transposed convolution",
        ("model.upsample",),
        ("conv.kernel",),
    ),
)

DECODER = (
    Fault(
        "first_state_zero",
        "starts both cells from zero; the reference the first from the encoder",
        (f"{CELL}.gru1", CELL, "model.decoder"),
        ("recurrent.state",),
    ),
    Fault(
        "state_for_second_cell",
        "starts the second cell from the encoder; the reference the first",
        (f"{CELL}.gru1", CELL, "model.decoder"),
        ("recurrent.state",),
    ),
    Fault(
        "second_state_reset",
        "starts the second cell from zero in each step; the reference carries its state",
        (f"{CELL}.gru2", CELL, "model.decoder"),
        ("recurrent.state", "streaming.state", "cache.reset"),
    ),
    Fault(
        "state_in_half",
        "keeps the first state in half precision; the reference in single",
        (f"{CELL}.gru1", CELL),
        ("dtype.precision", "recurrent.state"),
    ),
    Fault(
        "condition_lags",
        "conditions on the frame before; the reference on the step's own",
        (f"{CELL}.rnn_in", CELL, "model.decoder"),
        ("conditioning.source", "graph.source"),
        1.0,
    ),
    Fault(
        "condition_before_samples",
        "puts the condition before the samples; the reference after them",
        (f"{CELL}.rnn_in", CELL),
        ("conditioning.order",),
    ),
    Fault(
        "feedback_expanded",
        "feeds linear samples back; the reference companded ones",
        FEEDBACK,
        ("graph.source", "conditioning.source", "graph.added"),
    ),
    Fault(
        "feedback_without_noise",
        "feeds the mean back; the reference the sample",
        FEEDBACK,
        ("graph.source", "conditioning.source", "sampling.noise"),
    ),
    Fault(
        "prenet_slope",
        "leaks 0.01 of negative numbers; the reference 0.1",
        (f"{CELL}.prenet.fc2", f"{CELL}.prenet"),
        ("activation.slope",),
        0.01,
    ),
    Fault(
        "prenet_last_activation_omitted",
        "ends the pre-net with a linear map; the reference with an activation",
        (f"{CELL}.prenet",),
        ("activation.function", "graph.omitted"),
    ),
    Fault(
        "gru_reset_before",
        "resets the state before its matrix, as old Keras does; the reference after",
        (f"{CELL}.gru?",),
        ("recurrent.gates", "graph.order"),
    ),
    Fault(
        "gru_gates_swapped",
        "reads the first cell's gates as update, reset; the reference reset, update",
        (f"{CELL}.gru1",),
        ("recurrent.gates", "weights.permuted"),
    ),
    Fault(
        "gru_update_inverted",
        "the second cell's update gate keeps what it should replace",
        (f"{CELL}.gru2",),
        ("recurrent.gates",),
    ),
    Fault(
        "gru_hidden_bias_lost",
        "adds one of the second cell's two biases; the reference both",
        (f"{CELL}.gru2",),
        ("recurrent.bias", "weights.bias"),
    ),
    Fault(
        "first_residual_dropped",
        "hands on the first state alone; the reference adds its input",
        (f"{CELL}.gru2", CELL),
        ("residual.dropped",),
    ),
    Fault(
        "output_slope",
        "leaks 0.2 of negative numbers before the last map; the reference 0.1",
        (f"{CELL}.act",),
        ("activation.slope",),
        0.2,
    ),
)

SAMPLING = tuple(
    Fault(name, kind, (CELL,), causes, value)
    for name, kind, causes, value in (
        (
            "spread_is_log_variance",
            "takes the logarithm for that of a variance; it is of a deviation",
            ("sampling.scale",),
            None,
        ),
        (
            "temperature_one",
            "scales noise by 1; the reference by 0.7",
            ("sampling.scale",),
            1.0,
        ),
        (
            "spread_floor",
            "bounds the logarithm of the deviation by -2; the reference by -3",
            ("activation.clamp", "sampling.scale"),
            -2.0,
        ),
        (
            "noise_sign",
            "subtracts the noise; the reference adds it",
            ("sampling.sign",),
            None,
        ),
        (
            "noise_left_out",
            "adds zeros; the reference noise",
            ("sampling.noise",),
            None,
        ),
        (
            "noise_laid_out_by_frame",
            "lays noise out with the batch innermost; the reference outermost",
            ("sampling.layout", "layout.transposed"),
            None,
        ),
        (
            "samples_not_clamped",
            "lets samples leave -1 to 1; the reference does not",
            ("activation.clamp", "graph.omitted"),
            None,
        ),
    )
)

POSTNET = (
    Fault(
        "weight_norm_over_all",
        "divides by one length of all kernels; the reference by each one's",
        ("model.postnet.conv1",),
        ("weights.norm",),
    ),
    Fault(
        "weight_norm_over_inputs",
        "takes the lengths over outputs; the reference over inputs and places",
        ("model.postnet.conv1",),
        ("weights.norm",),
    ),
    Fault(
        "weight_norm_length_lost",
        "keeps the kernel's direction without its length",
        ("model.postnet.conv2",),
        ("weights.norm", "weights.scale", "weights.lost"),
    ),
    Fault(
        "bn_variance_as_deviation",
        "divides by what is a variance; the reference by its root",
        ("model.postnet.bn",),
        ("norm.variance", "norm.statistics"),
    ),
    Fault(
        "postnet_pads_zeros",
        "pads with zeros; the reference mirrors",
        ("model.postnet.conv?",),
        ("padding.mode",),
    ),
    Fault(
        "postnet_tanh_last",
        "bends the last layer by tanh; the reference leaves it linear",
        ("model.postnet",),
        ("activation.added",),
    ),
    Fault(
        "postnet_residual_dropped",
        "puts the correction out alone; the reference adds it",
        ("model.postnet",),
        ("residual.dropped",),
    ),
    Fault(
        "expansion_omitted",
        "leaves samples companded; the reference expands them",
        ("model.expand",),
        ("graph.omitted", "activation.function"),
    ),
    Fault(
        "expansion_mu",
        "expands with mu 100; the reference with 255",
        ("model.expand",),
        ("audio.companding", "audio.scale", "activation.function"),
        100.0,
    ),
    Fault(
        "deemphasis_omitted",
        "leaves the emphasis in; the reference undoes it",
        ("model.deemphasis",),
        ("graph.omitted", "audio.emphasis"),
    ),
    Fault(
        "deemphasis_factor",
        "undoes an emphasis of 0.95; the reference of 0.97",
        ("model.deemphasis",),
        ("audio.emphasis",),
        0.95,
    ),
)

FAULTS = (*FRONT_FAULTS, *LSTM, *BRIDGE, *DECODER, *SAMPLING, *POSTNET, *HELD_OUT)

# Of these, each pair would act on the same operation, where one hides or alters the other.
_EXCLUSIVE = (
    ("preemphasis_omitted", "preemphasis_factor"),
    ("wave_unscaled", "wave_normalised"),
    ("window_symmetric", "window_hamming", "window_at_left"),
    ("frames_not_centred", "frames_padded_with_zeros"),
    ("log_floor", "log_floor_added", "log_base_ten"),
    ("mel_htk", "mel_fmax", "mel_not_normalised"),
    ("stats_as_variance", "stats_reversed"),
    ("bn_eps", "bn_batch_statistics", "bn_statistics_of_sibling", "relu_before_bn"),
    ("bn_batch_statistics", "bn_variance_as_deviation"),
    ("conv_causal", "kernel_flipped", "conv_pads_replicate"),
    ("conv_bias_lost", "bn_batch_statistics"),  # the batch's own mean takes the bias off anyway
    ("speaker_from_one", "speaker_not_added"),
    ("gates_in_onnx_order", "gates_candidate_last", "forget_bias_added", "gates_hard_sigmoid"),
    ("backward_not_flipped", "directions_swapped"),
    ("cell_without_tanh", "cell_in_half", "cell_clipped"),
    ("bridge_reads_last_frame", "bridge_reads_first_layer"),
    ("upsample_trims_right", "upsample_kernel_not_flipped"),
    ("first_state_zero", "state_for_second_cell", "second_state_reset", "bridge_without_tanh"),
    ("first_state_zero", "bridge_reads_last_frame", "bridge_reads_first_layer"),
    ("feedback_expanded", "feedback_without_noise"),
    ("feedback_expanded", "expansion_omitted"),
    ("noise_sign", "noise_left_out", "noise_laid_out_by_frame"),
    ("noise_left_out", "feedback_without_noise"),
    ("noise_left_out", "spread_is_log_variance", "temperature_one", "spread_floor"),
    ("gru_reset_before", "gru_gates_swapped"),
    ("weight_norm_over_all", "weight_norm_over_inputs"),
    ("postnet_tanh_last", "postnet_residual_dropped"),
    ("expansion_omitted", "expansion_mu"),
    ("deemphasis_omitted", "deemphasis_factor"),
)
CONFLICTS = HELD_OUT_CONFLICTS | frozenset(
    frozenset((first, second))
    for group in _EXCLUSIVE
    for first in group
    for second in group
    if first != second
)
