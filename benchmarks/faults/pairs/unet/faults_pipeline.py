"""The faults of the UNet's port around its layers: conditioning, sampler, layout, noise."""

from __future__ import annotations

from benchmarks.faults.planted import Fault

__all__ = ["PIPELINE_FAULTS"]

U, STEP, GUIDANCE = "pipeline.unet", "pipeline.scheduler", "pipeline.guidance"
TIME = (f"{U}.time_proj",)
# The embedding is a sum that no module makes; the residual blocks activate it first.
EMB = (f"{U}.*.nonlinearity", f"{U}.*.time_emb_proj", U)
# Noise and image enter the network at its first convolution, and the scheduler beside it.
START = (f"{U}.conv_in", U, STEP)

PIPELINE_FAULTS = (
    Fault(
        "unshuffle_block_first", "pixels become channels with the place in the block first",
        (f"{U}.conv_in", U), ("layout.flatten", "preprocess.layout"),
    ),
    Fault(
        "shuffle_block_first", "channels become pixels with the place in the block first",
        (U,), ("layout.flatten",),
    ),
    Fault(
        "shuffle_rows_and_columns_swapped", "channels become pixels, rows and columns swapped",
        (U,), ("layout.flatten", "layout.transposed"),
    ),
    Fault(
        "skip_first", "the skip stands before the map from below",
        (f"{U}.up_blocks.?.resnets.?.norm1", f"{U}.up_blocks.?.resnets.?", f"{U}.up_blocks.?"),
        ("conditioning.order", "graph.order"),
    ),
    Fault(
        "skips_first_in_first_out", "the last stage takes its two skips in the wrong order",
        (
            f"{U}.up_blocks.1.resnets.?.norm1", f"{U}.up_blocks.1.resnets.?", f"{U}.up_blocks.1",
        ),
        ("graph.source", "residual.source", "conditioning.source"),
    ),
    Fault(
        "frequency_shift", "frequencies reach the last period at index 15, not 16",
        TIME, ("positional.shift",), 1.0,
    ),
    Fault(
        "time_period", "the longest period of the time is 1000 instead of 10000",
        TIME, ("positional.theta",), 1000.0,
    ),
    Fault(
        "time_in_bfloat16", "the time is rounded to bfloat16",
        TIME, ("dtype.precision", "positional.time_scale"),
    ),
    Fault(
        "time_from_zero_to_one", "the time runs from 0 to 1 instead of to 1000",
        TIME, ("positional.time_scale", "schedule.scale"), 1e-3,
    ),
    Fault(
        "sine_before_cosine", "sines stand before cosines",
        TIME, ("positional.order",),
    ),
    Fault(
        "sinusoids_interleaved", "cosines and sines alternate",
        TIME, ("positional.layout",),
    ),
    Fault(
        "time_of_first_step", "the embedding of the first step's time is used in all steps",
        TIME, ("conditioning.source", "schedule.values", "graph.source"),
    ),
    Fault(
        "label_shifted", "classes are shifted by one, the first row taken for none",
        (f"{U}.class_embedding",), ("embedding.offset", "tokenization.ids"), 1.0,
    ),
    Fault(
        "label_left_out", "the class is not added to the time",
        EMB, ("conditioning.combine", "graph.omitted"),
    ),
    Fault(
        "embeddings_averaged", "the embedding is the mean of time and class, not the sum",
        EMB, ("conditioning.scale", "conditioning.combine"), 0.5,
    ),
    Fault(
        "zeros_for_no_context", "zeros stand for no context, not the learnt vector",
        (f"{U}.context_norm",), ("conditioning.source", "weights.lost"),
    ),
    Fault(
        "guidance_halves_swapped", "the conditional half is taken for the unconditional one",
        (GUIDANCE,), ("conditioning.guidance", "conditioning.order", "graph.chunks"),
    ),
    Fault(
        "guidance_from_conditional", "guidance starts from the conditional prediction",
        (GUIDANCE,), ("conditioning.guidance",), 3.5,
    ),
    Fault(
        "guidance_rescale_left_out", "the contrast that guidance adds is not taken back",
        (GUIDANCE,), ("conditioning.guidance", "graph.omitted", "norm.omitted"),
    ),
    Fault(
        "guidance_spread_of_batch", "contrast is measured over the whole batch",
        (GUIDANCE,), ("conditioning.guidance", "norm.axis", "norm.statistics"),
    ),
    Fault(
        "another_generator", "noise of another generator",
        START, ("sampling.noise",),
    ),
    Fault(
        "noise_channels_last", "noise is drawn with the channels last",
        START, ("sampling.layout", "layout.transposed", "sampling.noise"),
    ),
    Fault(
        "noise_drawn_once", "each step adds the noise that the run started from",
        (STEP,), ("sampling.noise",),
    ),
    Fault(
        "linear_betas", "betas grow linearly, not their roots",
        (STEP,), ("schedule.values",),
    ),
    Fault(
        "trailing_timesteps", "times are counted back from the last one",
        (*TIME, STEP), ("schedule.values",),
    ),
    Fault(
        "timestep_offset_missing", "times are not offset by one",
        (*TIME, STEP), ("schedule.values", "positional.offset"), -1.0,
    ),
    Fault(
        "timesteps_ascending", "times run from the first to the last",
        (*TIME, STEP), ("schedule.direction", "schedule.values"),
    ),
    Fault(
        "last_alpha_is_one", "the last step goes to an image without noise, not to the first time",
        (STEP,), ("schedule.values",), 1.0,
    ),
    Fault(
        "epsilon_for_velocity", "the prediction is taken for the noise, not for the velocity",
        (STEP,), ("schedule.scale", "schedule.denormalise", "graph.source"),
    ),
    Fault(
        "clip_left_out", "the predicted image is not clipped",
        (STEP,), ("activation.clamp", "graph.omitted"),
    ),
    Fault(
        "clip_at_one", "the predicted image is clipped at 1 instead of 1.5",
        (STEP,), ("activation.clamp",), 1.0,
    ),
    Fault(
        "epsilon_before_clip", "the noise is derived from the image before it is clipped",
        (STEP,), ("graph.order", "graph.source", "activation.clamp"),
    ),
    Fault(
        "eta_zero", "no noise is added in the steps",
        (STEP,), ("sampling.noise", "sampling.scale"), 0.0,
    ),
    Fault(
        "variance_for_std", "noise is added with the variance for a factor",
        (STEP,), ("sampling.scale",),
    ),
    Fault(
        "direction_without_variance", "room for the added noise is not taken off the direction",
        (STEP,), ("schedule.scale", "graph.omitted", "schedule.values"),
    ),
    Fault(
        "colours_reversed", "colours are read as blue, green, red",
        ("pipeline.denormalize",), ("preprocess.channels",),
    ),
    Fault(
        "plain_denormalisation", "colours from 0.5 and 0.5, not each one's mean and spread",
        ("pipeline.denormalize",),
        ("preprocess.mean", "schedule.denormalise", "preprocess.scale"), 0.5,
    ),
)  # fmt: skip
