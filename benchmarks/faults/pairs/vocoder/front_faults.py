"""The switches before the recurrent layers: audio, mel, convolutions, speaker."""

from __future__ import annotations

from benchmarks.faults.planted import Fault

__all__ = ["FRONT_FAULTS"]

FRONT, SPECTRUM = "model.frontend", "model.frontend.spectrogram"
CONVS = "model.encoder.convs"

AUDIO = tuple(
    Fault(name, kind, sites, causes, value)
    for name, kind, sites, causes, value in (
        (
            "wave_unscaled",
            "takes 16-bit samples as they are; the reference divides them by 32768",
            (SPECTRUM, FRONT),
            ("audio.scale",),
            None,
        ),
        (
            "wave_normalised",
            "brings each wave's peak to 1; the reference does not",
            (SPECTRUM, FRONT),
            ("audio.scale", "graph.added"),
            None,
        ),
        (
            "preemphasis_omitted",
            "does not emphasise; the reference does, by 0.97",
            (SPECTRUM, FRONT),
            ("graph.omitted", "audio.emphasis"),
            None,
        ),
        (
            "preemphasis_factor",
            "emphasises by 0.95; the reference by 0.97",
            (SPECTRUM, FRONT),
            ("audio.emphasis",),
            0.95,
        ),
        (
            "window_symmetric",
            "ends the window on its first value; the reference is periodic",
            (SPECTRUM,),
            ("audio.window",),
            None,
        ),
        (
            "window_hamming",
            "a Hamming window; the reference a Hann window",
            (SPECTRUM,),
            ("audio.window",),
            None,
        ),
        (
            "window_at_left",
            "pads the window at its end; the reference on both sides",
            (SPECTRUM,),
            ("audio.window", "padding.side", "audio.centre"),
            None,
        ),
        (
            "frames_not_centred",
            "begins frames at their samples; the reference centres them there",
            (SPECTRUM,),
            ("audio.centre", "padding.side"),
            None,
        ),
        (
            "frames_padded_with_zeros",
            "pads the wave with zeros; the reference mirrors it",
            (SPECTRUM,),
            ("padding.mode", "audio.centre"),
            None,
        ),
        (
            "spectrum_magnitude",
            "takes magnitudes; the reference their squares",
            (SPECTRUM,),
            ("audio.power", "audio.scale", "graph.omitted"),
            None,
        ),
        (
            "mel_htk",
            "spaces filters logarithmically throughout; the reference linearly below 1 kHz",
            (FRONT,),
            ("audio.mel",),
            None,
        ),
        (
            "mel_not_normalised",
            "filters of height one; the reference of equal area",
            (FRONT,),
            ("audio.mel",),
            None,
        ),
        (
            "mel_fmax",
            "spreads filters up to 4 kHz; the reference to 3.6 kHz",
            (FRONT,),
            ("audio.mel",),
            4000.0,
        ),
        (
            "log_base_ten",
            "takes logarithms to base ten; the reference natural ones",
            (FRONT,),
            ("audio.log",),
            10.0,
        ),
        (
            "log_floor",
            "raises what is below 1e-3; the reference what is below 1e-5",
            (FRONT,),
            ("audio.log", "activation.clamp"),
            1e-3,
        ),
        (
            "log_floor_added",
            "adds 1e-5 before the logarithm; the reference raises what is below",
            (FRONT,),
            ("audio.log",),
            None,
        ),
        (
            "stats_as_variance",
            "divides by the square of the deviation; the reference by the deviation",
            (FRONT,),
            ("norm.statistics", "norm.variance", "audio.scale"),
            None,
        ),
        (
            "stats_reversed",
            "orders means and deviations from high to low; the reference from low to high",
            (FRONT,),
            ("norm.statistics", "weights.permuted"),
            None,
        ),
    )
)

ENCODER = (
    Fault(
        "conv_causal",
        "pads the first convolution in front only; the reference on both sides",
        (f"{CONVS}.0.conv",),
        ("conv.alignment", "padding.side"),
    ),
    Fault(
        "kernel_flipped",
        "runs the first kernel backwards; the reference forwards",
        (f"{CONVS}.0.conv",),
        ("conv.kernel",),
    ),
    Fault(
        "conv_bias_lost",
        "adds no bias in the first convolution; the reference does",
        (f"{CONVS}.0.conv",),
        ("weights.bias", "conv.bias"),
    ),
    Fault(
        "dilation_ignored",
        "places the second kernel on neighbours; the reference on every other frame",
        (f"{CONVS}.1.conv",),
        ("conv.dilation",),
        1.0,
    ),
    Fault(
        "groups_interleaved",
        "makes groups of every fourth channel; the reference of neighbours",
        (f"{CONVS}.2.conv",),
        ("conv.groups", "weights.permuted"),
    ),
    Fault(
        "conv_pads_replicate",
        "repeats the first and last frame; the reference pads zeros",
        (f"{CONVS}.?.conv",),
        ("padding.mode",),
    ),
    Fault(
        "bn_eps",
        "adds 1e-3 to variances, as Keras does; the reference 1e-5",
        (f"{CONVS}.?.bn", "model.postnet.bn"),
        ("norm.eps",),
        1e-3,
    ),
    Fault(
        "bn_batch_statistics",
        "standardises by the batch; the reference by what training saw",
        (f"{CONVS}.?.bn", "model.postnet.bn"),
        ("norm.statistics",),
    ),
    Fault(
        "bn_statistics_of_sibling",
        "standardises the second layer by the third's statistics",
        (f"{CONVS}.1.bn",),
        ("norm.statistics", "weights.source"),
    ),
    Fault(
        "relu_before_bn",
        "puts one layer's activation before its norm; the reference after it",
        (f"{CONVS}.1.bn", f"{CONVS}.1.act", f"{CONVS}.1"),
        ("graph.order", "norm.position"),
    ),
    Fault(
        "relu_clamped",
        "keeps one layer's activations at 1 or below; the reference does not bound them",
        (f"{CONVS}.2.act",),
        ("activation.clamp",),
        1.0,
    ),
    Fault(
        "speaker_from_one",
        "counts speakers from one; the reference from zero",
        ("model.encoder.speaker",),
        ("embedding.offset",),
        1.0,
    ),
    Fault(
        "speaker_not_added",
        "does not tell who speaks; the reference adds the speaker's vector",
        ("model.encoder.lstm", "model.encoder"),
        ("conditioning.combine", "graph.omitted"),
    ),
)

FRONT_FAULTS = (*AUDIO, *ENCODER)
