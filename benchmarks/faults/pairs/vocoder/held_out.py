"""Faults that were planted when the engine was made, and the truth about each."""

from __future__ import annotations

from benchmarks.faults.pairs.vocoder.reference import CHANNELS
from benchmarks.faults.planted import held_out

__all__ = ["HELD_OUT", "HELD_OUT_CONFLICTS"]


HELD_OUT = (
    held_out(
        "log_base_two",
        "takes logarithms to base 2; the reference natural ones",
        ("model.frontend",),
        ("audio.log",),
    ),
    held_out(
        "mel_fmin",
        "begins filters at 20 Hz, as Kaldi does; the reference at 40 Hz",
        ("model.frontend",),
        ("audio.mel",),
        20.0,
    ),
    held_out(
        "transform_scaled",
        "divides the transform by the root of its length; the reference does not",
        ("model.frontend.spectrogram",),
        (
            "audio.scale",
            "graph.scale",
        ),
    ),
    held_out(
        "bn_weight_lost",
        "multiplies by no weight in the first norm; the reference does",
        ("model.encoder.convs.0.bn",),
        (
            "norm.weight",
            "weights.lost",
        ),
    ),
    held_out(
        "dilation_doubled",
        "places the second kernel on every fourth frame; the reference on every other",
        ("model.encoder.convs.1.conv",),
        ("conv.dilation",),
        4.0,
    ),
    held_out(
        "speaker_enlarged",
        "multiplies the speaker's vector by the root of its width; the reference does not",
        ("model.encoder.lstm",),
        (
            "embedding.scale",
            "conditioning.scale",
        ),
        CHANNELS**0.5,
    ),
    held_out(
        "candidate_by_sigmoid",
        "bends the LSTM's candidate by a sigmoid; the reference by tanh",
        ("model.encoder.lstm",),
        ("activation.function",),
    ),
    held_out(
        "second_cell_by_first",
        "gives the second cell the weights of the first",
        ("model.decoder.cell.gru2",),
        ("weights.source",),
    ),
    held_out(
        "mean_and_spread_swapped",
        "reads spread, then mean; the reference mean, then spread",
        (
            "model.decoder.cell",
            "model.decoder.cell.prenet.fc1",
            "model.decoder",
        ),
        ("graph.chunks",),
    ),
    held_out(
        "temperature_squared",
        "scales noise by 0.49, the temperature as a variance; the reference by 0.7",
        (
            "model.decoder.cell",
            "model.decoder.cell.prenet.fc1",
            "model.decoder",
        ),
        (
            "sampling.scale",
            "graph.constant",
        ),
        0.49,
    ),
    held_out(
        "noise_of_first_step",
        "adds the first step's noise in all steps; the reference a new one in each",
        (
            "model.decoder.cell",
            "model.decoder.cell.prenet.fc1",
            "model.decoder",
        ),
        ("sampling.noise",),
    ),
    held_out(
        "postnet_bias_lost",
        "adds no bias in the post-net's first layer; the reference does",
        ("model.postnet.conv1",),
        (
            "conv.bias",
            "weights.bias",
        ),
    ),
    held_out(
        "expansion_last",
        "undoes the emphasis, then expands; the reference expands first",
        (
            "model.deemphasis",
            "model.expand",
        ),
        ("graph.order",),
    ),
)

# Of these, each pair would act on the same operation, where one hides or alters the other.
HELD_OUT_CONFLICTS = frozenset(
    frozenset(pair)
    for pair in (
        ("log_base_two", "log_base_ten"),
        ("mel_fmin", "mel_htk"),
        ("mel_fmin", "mel_fmax"),
        ("transform_scaled", "spectrum_magnitude"),
        ("dilation_doubled", "dilation_ignored"),
        ("speaker_enlarged", "speaker_not_added"),
        ("bn_weight_lost", "bn_batch_statistics"),
        ("second_cell_by_first", "gru_hidden_bias_lost"),
        ("second_cell_by_first", "gru_gates_swapped"),
        ("second_cell_by_first", "gru_update_inverted"),
        ("temperature_squared", "temperature_one"),
        ("temperature_squared", "noise_left_out"),
        ("noise_of_first_step", "noise_left_out"),
        ("noise_of_first_step", "temperature_squared"),
        ("noise_of_first_step", "noise_laid_out_by_frame"),
        ("expansion_last", "expansion_omitted"),
        ("expansion_last", "deemphasis_omitted"),
        ("feedback_without_noise", "mean_and_spread_swapped"),
    )
)
