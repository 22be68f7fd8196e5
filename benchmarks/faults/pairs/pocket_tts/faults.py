"""The truth about the port's switches, for scoring alone."""

from __future__ import annotations

from itertools import combinations

from benchmarks.faults.pairs.pocket_tts.held_out import HELD_OUT, HELD_OUT_CONFLICTS
from benchmarks.faults.planted import Fault

__all__ = ["CONFLICTS", "FAULTS", "LATER", "STORY"]

_LM = "flow_lm.transformer"
_NET = "flow_lm.flow_net"
_DECODER = "mimi.decoder_transformer"
_ENCODER = "mimi.encoder_transformer"


def _fault(
    name: str,
    kind: str,
    sites: tuple[str, ...],
    causes: tuple[str, ...],
    value: float | None = None,
) -> Fault:
    return Fault(name, kind, sites, causes, value)


# The fourteen that made the story's port noise.
STORY: tuple[Fault, ...] = (
    _fault(
        "story01",
        "tokenised by character; SentencePiece",
        ("tokens", "flow_lm.conditioner", "flow_lm.conditioner.embed"),
        ("tokenization.ids",),
    ),
    _fault(
        "story02",
        "RoPE on split halves, behind the head transpose; interleaved pairs, before it",
        (f"{_LM}.rope", f"{_LM}.layers.*.self_attn"),
        ("rope.layout",),
    ),
    _fault(
        "story03",
        "RMSNorm in the language model; LayerNorm with bias",
        (f"{_LM}.layers.*.norm?", "flow_lm.out_norm"),
        ("norm.kind",),
    ),
    _fault(
        "story04",
        "time embedding [sin, cos]; [cos, sin]",
        (f"{_NET}.time_embed.?", f"{_NET}.time_embed.?.mlp", f"{_NET}.time_embed.?.mlp.0"),
        ("positional.order",),
    ),
    _fault(
        "story05",
        "GELU in the flow MLP; SiLU",
        (f"{_NET}.res_blocks.*.mlp", f"{_NET}.res_blocks.*.mlp.1"),
        ("activation.function",),
    ),
    _fault(
        "story06",
        "AdaLN chunks scale, shift, gate and no SiLU before them; shift, scale, gate, with SiLU",
        (
            f"{_NET}.res_blocks.?",
            f"{_NET}.res_blocks.?.mlp.0",
            f"{_NET}.final_layer",
            f"{_NET}.final_layer.linear",
            f"{_NET}.*.adaLN_modulation*",
        ),
        ("adaln.order", "adaln.activation", "activation.function"),
    ),
    _fault(
        "story07",
        "one time going from 1 to 0; start and target, their embeddings averaged",
        (f"{_NET}.time_embed.?*", _NET, f"{_NET}.res_blocks.0.adaLN_modulation*"),
        (
            "schedule.direction",
            "schedule.values",
            "conditioning.combine",
            "conditioning.source",
            "graph.source",
            "conditioning.scale",
            "graph.omitted",
        ),
    ),
    _fault(
        "story08",
        "GELU in the SEANet decoder; ELU",
        ("mimi.decoder.model.*",),
        ("activation.function",),
    ),
    _fault(
        "story09",
        "the voice's mean added to the text's embeddings; the voice's sequence before the text",
        ("flow_lm", "flow_lm.backbone", _LM, f"{_LM}.layers.0*", "flow_lm.conditioner*"),
        ("conditioning.combine", "control.prefill", "control.calls"),
    ),
    _fault(
        "story10",
        "text, then voice, in one pass; the voice in a pass of its own, then the text",
        ("flow_lm", "flow_lm.backbone", _LM, f"{_LM}.layers.0*", "flow_lm.conditioner*"),
        ("control.order", "control.prefill", "conditioning.order", "control.calls"),
    ),
    _fault(
        "story11",
        "no norm in the final layer; LayerNorm without weights",
        (f"{_NET}.final_layer", f"{_NET}.final_layer.norm_final", f"{_NET}.final_layer.linear"),
        ("norm.omitted", "graph.omitted"),
    ),
    _fault(
        "story12",
        "tanh at the decoder's output; none",
        ("mimi.decoder", "mimi.decoder.model.11", "mimi.decode_from_latent"),
        ("activation.added", "graph.added", "activation.function"),
    ),
    _fault(
        "story13",
        "the time embedding's norm only multiplies; it divides by the unbiased variance's root",
        (f"{_NET}.time_embed.?", f"{_NET}.time_embed.?.mlp", f"{_NET}.time_embed.?.mlp.3"),
        ("norm.kind", "norm.omitted"),
    ),
    _fault(
        "story14",
        "latents denormalised in the loop and fed back so; denormalised only before the decoder",
        ("flow_lm.input_linear", "flow_lm", "latents"),
        ("schedule.denormalise", "graph.source", "graph.added"),
    ),
)

# Those that the story found later, and the halves of two of them.
LATER: tuple[Fault, ...] = (
    _fault(
        "story15",
        "time embedding added to the flow network's input as well; only to the condition",
        (f"{_NET}", f"{_NET}.input_proj", f"{_NET}.res_blocks.0*"),
        ("residual.added", "graph.added", "conditioning.combine"),
    ),
    _fault(
        "story16",
        "upsampling, then ELU; ELU, then upsampling",
        ("mimi.decoder.model.1", "mimi.decoder.model.2*", "mimi.decoder.model.[4578]*"),
        ("graph.order",),
    ),
    _fault(
        "story17",
        "no RoPE in the decoder's transformer; RoPE",
        (f"{_DECODER}.transformer.rope", f"{_DECODER}.transformer.layers.*.self_attn*"),
        ("rope.applied", "graph.omitted"),
    ),
    _fault(
        "story18",
        "the decoder's transformer sees everything; causal, 250 positions",
        (f"{_DECODER}.transformer.layers.*.self_attn*",),
        ("mask.causal", "mask.applied", "mask.window"),
    ),
    _fault(
        "story19",
        "transposed convolutions forget the overlap; they add it to the next call",
        ("mimi.upsample*", "mimi.decoder.model.[258]*"),
        ("streaming.state", "streaming.overlap"),
    ),
    _fault(
        "story20",
        "the decoder's convolutions begin with copies of the first sample; with zeros",
        ("mimi.decoder.model.*",),
        ("padding.mode",),
    ),
    _fault(
        "story21",
        "end of speech not believed before 40 frames; before 6",
        ("flow_lm", "flow_lm.out_eos", "latents", "waveform"),
        ("control.end", "control.calls"),
    ),
    _fault(
        "story22",
        "no frames kept behind the end of speech; 3",
        ("flow_lm", "flow_lm.out_eos", "latents", "waveform"),
        ("control.end", "control.calls"),
    ),
    _fault(
        "story23",
        "noise of zeros; normal draws",
        (f"{_NET}", f"{_NET}.input_proj", "flow_lm"),
        ("sampling.noise",),
    ),
    _fault(
        "story24",
        "draws of its own generator, the seed ignored; the case's",
        (f"{_NET}", f"{_NET}.input_proj", "flow_lm"),
        ("sampling.noise",),
    ),
    _fault(
        "story25",
        "the two prompt passes counted as frames; thrown away",
        ("latents", "mimi.decode_from_latent", "mimi.quantizer*", "mimi.upsample*", "flow_lm"),
        ("control.calls", "control.prefill"),
    ),
    _fault(
        "story06a",
        "AdaLN chunks scale, shift, gate; shift, scale, gate",
        (
            f"{_NET}.res_blocks.?",
            f"{_NET}.res_blocks.?.mlp.0",
            f"{_NET}.final_layer",
            f"{_NET}.final_layer.linear",
            f"{_NET}.*.adaLN_modulation",
        ),
        ("adaln.order",),
    ),
    _fault(
        "story06b",
        "no SiLU before the modulation's linear layer; SiLU",
        (f"{_NET}.*.adaLN_modulation*",),
        ("adaln.activation", "activation.function", "graph.omitted"),
    ),
    _fault(
        "story18a",
        "no causal mask in the decoder's transformer; causal",
        (f"{_DECODER}.transformer.layers.*.self_attn*",),
        ("mask.causal", "mask.applied"),
    ),
    _fault(
        "story18b",
        "no context window in the decoder's transformer; 250 positions",
        (f"{_DECODER}.transformer.layers.*.self_attn*",),
        ("mask.window",),
    ),
)

_TEXT: tuple[Fault, ...] = (
    _fault(
        "begin_token",
        "a begin-of-sentence token in front; none",
        ("tokens", "flow_lm.conditioner", "flow_lm.conditioner.embed"),
        ("tokenization.ids",),
    ),
    _fault(
        "embedding_shifted",
        "text table read one row further; by the token's number",
        ("flow_lm.conditioner.embed", "flow_lm.conditioner"),
        ("embedding.offset",),
        1.0,
    ),
    _fault(
        "embedding_enlarged",
        "text embeddings times the root of their width; as they are",
        ("flow_lm.conditioner.embed", "flow_lm.conditioner"),
        ("embedding.scale",),
    ),
    _fault(
        "voice_forgotten",
        "the text read by a fresh cache; behind the voice",
        (f"{_LM}.rope", f"{_LM}.layers.0.self_attn*"),
        ("cache.reset", "cache.position", "rope.offset"),
    ),
    _fault(
        "voice_untrimmed",
        "the voice prompt with its silence, no fade; trimmed, faded, with a short pause",
        ("mimi.encoder", "mimi.encoder.model.0*", "mimi.encode_to_latent"),
        ("graph.omitted", "padding.amount", "preprocess.layout"),
    ),
    _fault(
        "int16_full_scale",
        "voice samples divided by 32767; by 32768",
        ("mimi.encoder", "mimi.encoder.model.0*"),
        ("audio.scale", "preprocess.scale"),
        32768 / 32767,
    ),
)

_ROPE: tuple[Fault, ...] = (
    _fault(
        "rope_queries_only",
        "keys of the encoder's transformer not turned; turned",
        (f"{_ENCODER}.transformer.rope", f"{_ENCODER}.transformer.layers.0.self_attn*"),
        ("rope.applied",),
    ),
    _fault(
        "rope_half_of_head",
        "half of each head turned; all of it",
        (f"{_LM}.rope", f"{_LM}.layers.0.self_attn*"),
        ("rope.fraction",),
        0.5,
    ),
    _fault(
        "rope_sign",
        "turned the other way in the decoder's transformer",
        (f"{_DECODER}.transformer.rope", f"{_DECODER}.transformer.layers.0.self_attn*"),
        ("rope.sign",),
    ),
    _fault(
        "rope_restarts",
        "positions of each pass from 0; they go on",
        (f"{_LM}.rope", f"{_LM}.layers.0.self_attn*"),
        ("rope.offset", "cache.position"),
    ),
    _fault(
        "rope_theta",
        "longest period 50000; 10000",
        (f"{_LM}.rope", f"{_LM}.layers.0.self_attn*"),
        ("rope.theta",),
        50_000.0,
    ),
)

_ATTENTION: tuple[Fault, ...] = (
    _fault(
        "context_and_one",
        "context of 251 in the decoder's transformer; 250",
        (f"{_DECODER}.transformer.layers.*.self_attn*",),
        ("mask.window",),
        251.0,
    ),
    _fault(
        "context_short",
        "context of 32 in the language model; all positions",
        (f"{_LM}.layers.*.self_attn*",),
        ("mask.window",),
        32.0,
    ),
    _fault(
        "keys_first",
        "fused projection keys, queries, values in layer 1; queries, keys, values",
        (f"{_LM}.layers.1.self_attn*", f"{_LM}.rope"),
        ("attention.qkv", "graph.chunks", "weights.permuted"),
    ),
    _fault(
        "qkv_head_by_head",
        "fused projection head by head in the encoder's first layer; part by part",
        (f"{_ENCODER}.transformer.layers.0.self_attn*", f"{_ENCODER}.transformer.rope"),
        ("attention.qkv", "weights.permuted"),
    ),
    _fault(
        "heads_not_transposed",
        "heads merged without the transpose in layer 0; with it",
        (f"{_LM}.layers.0.self_attn*",),
        ("attention.merge", "layout.transposed", "layout.flatten"),
    ),
    _fault(
        "attention_unscaled",
        "scores as they are in the decoder's transformer; over the root of the head's width",
        (f"{_DECODER}.transformer.layers.*.self_attn*",),
        ("attention.scale",),
        1.0,
    ),
    _fault(
        "softmax_over_queries",
        "softmax along the queries in layer 0; along the keys",
        (f"{_LM}.layers.0.self_attn*",),
        ("attention.axis",),
    ),
    _fault(
        "cache_in_half",
        "keys and values kept in half precision; float32",
        (f"{_LM}.layers.*.self_attn*",),
        ("dtype.precision",),
    ),
)

_TRANSFORMER: tuple[Fault, ...] = (
    _fault(
        "out_norm_left_out",
        "no norm behind the language model's layers; LayerNorm",
        ("flow_lm.out_norm", "flow_lm.backbone"),
        ("norm.omitted", "graph.omitted", "graph.source"),
    ),
    _fault(
        "norm_eps",
        "eps 1e-3 in the decoder's transformer; 1e-5",
        (f"{_DECODER}.transformer.layers.*.norm?",),
        ("norm.eps",),
        1e-3,
    ),
    _fault(
        "norm_bias_lost",
        "no bias in the encoder's first norms; bias",
        (f"{_ENCODER}.transformer.layers.*.norm1",),
        ("norm.bias", "weights.bias"),
    ),
    _fault(
        "norm_of_sibling",
        "second norm of layer 1 with the first one's weights; its own",
        (f"{_LM}.layers.1.norm2",),
        ("weights.source", "norm.weight"),
    ),
    _fault(
        "layer_scale_left_out",
        "attention branch of the decoder's transformer unscaled; LayerScale",
        (f"{_DECODER}.transformer.layers.*.layer_scale_1", f"{_DECODER}.transformer.layers.?"),
        ("residual.scale", "graph.omitted"),
    ),
    _fault(
        "layer_scale_of_sibling",
        "feed-forward branch of the encoder's transformer with the attention's LayerScale",
        (f"{_ENCODER}.transformer.layers.*.layer_scale_2",),
        ("weights.source", "residual.scale"),
    ),
    _fault(
        "gelu_exact",
        "exact GELU in the language model; the tanh form",
        (f"{_LM}.layers.*.linear2", f"{_LM}.layers.?"),
        ("activation.function",),
    ),
    _fault(
        "gelu_quick",
        "quick GELU in the decoder's first layer; the tanh form",
        (f"{_DECODER}.transformer.layers.0.linear2", f"{_DECODER}.transformer.layers.0"),
        ("activation.function",),
    ),
    _fault(
        "relu",
        "ReLU in the encoder's transformer; GELU",
        (f"{_ENCODER}.transformer.layers.*.linear2", f"{_ENCODER}.transformer.layers.?"),
        ("activation.function",),
    ),
    _fault(
        "attention_skip_dropped",
        "attention of layer 1 without the skip around it; with it",
        (f"{_LM}.layers.1", f"{_LM}.layers.1.norm2", f"{_LM}.layers.1.layer_scale_1"),
        ("residual.dropped",),
    ),
    _fault(
        "branches_side_by_side",
        "both branches of the decoder's first layer read its input; one after the other",
        (f"{_DECODER}.transformer.layers.0", f"{_DECODER}.transformer.layers.0.norm2"),
        ("graph.order", "graph.source", "residual.source"),
    ),
)

_FLOW: tuple[Fault, ...] = (
    _fault(
        "waves_in_pairs",
        "cosine and sine by turns; all cosines, then all sines",
        (f"{_NET}.time_embed.?", f"{_NET}.time_embed.?.mlp", f"{_NET}.time_embed.?.mlp.0"),
        ("positional.layout",),
    ),
    _fault(
        "time_in_thousandths",
        "times from 0 to 1000; from 0 to 1",
        (f"{_NET}.time_embed.?", f"{_NET}.time_embed.?.mlp", f"{_NET}.time_embed.?.mlp.0"),
        ("positional.time_scale",),
        1000.0,
    ),
    _fault(
        "frequencies_to_the_last",
        "frequencies by i / (count - 1); i / count",
        (f"{_NET}.time_embed.?", f"{_NET}.time_embed.?.mlp", f"{_NET}.time_embed.?.mlp.0"),
        ("positional.shift", "positional.theta"),
    ),
    _fault(
        "times_swapped",
        "start and target by each other's embedding; each by its own",
        (f"{_NET}.time_embed.?*", _NET),
        ("conditioning.order", "schedule.direction", "schedule.values", "weights.source"),
    ),
    _fault(
        "times_summed",
        "sum of the two time embeddings; mean",
        (_NET, f"{_NET}.res_blocks.0.adaLN_modulation*"),
        ("conditioning.scale", "conditioning.combine"),
        2.0,
    ),
    _fault(
        "rms_biased",
        "biased variance in the time embedding's norm; unbiased",
        (f"{_NET}.time_embed.?", f"{_NET}.time_embed.?.mlp", f"{_NET}.time_embed.?.mlp.3"),
        ("norm.variance",),
    ),
    _fault(
        "rms_mean_square",
        "mean square in the time embedding's norm; variance",
        (f"{_NET}.time_embed.?", f"{_NET}.time_embed.?.mlp", f"{_NET}.time_embed.?.mlp.3"),
        ("norm.kind",),
    ),
    _fault(
        "plain_scale",
        "modulation by the scale; by one more",
        (
            f"{_NET}.res_blocks.?",
            f"{_NET}.res_blocks.?.mlp.0",
            f"{_NET}.final_layer",
            f"{_NET}.final_layer.linear",
        ),
        ("adaln.scale",),
    ),
    _fault(
        "gate_left_out",
        "no gate in block 1; a gate",
        (f"{_NET}.res_blocks.1",),
        ("adaln.gate",),
    ),
    _fault(
        "flow_skip_dropped",
        "no skip around block 0; a skip",
        (f"{_NET}.res_blocks.0",),
        ("residual.dropped",),
    ),
    _fault(
        "sample_variance",
        "unbiased variance in the blocks' norms; biased",
        (f"{_NET}.res_blocks.*.in_ln",),
        ("norm.variance",),
    ),
    _fault(
        "one_eps_for_all",
        "eps 1e-5 in the flow network's norms; 1e-6",
        (f"{_NET}.res_blocks.*.in_ln", f"{_NET}.final_layer.norm_final"),
        ("norm.eps",),
        1e-5,
    ),
    _fault(
        "weight_transposed",
        "a square weight of block 0 transposed",
        (f"{_NET}.res_blocks.0.mlp.0",),
        ("weights.transposed",),
    ),
    _fault(
        "target_at_start",
        "target time equal to the start; a step later",
        (f"{_NET}.time_embed.1*", _NET),
        ("schedule.values",),
    ),
    _fault(
        "flow_backwards",
        "direction subtracted from the noise; added",
        ("flow_lm", "latents"),
        ("sampling.sign", "schedule.direction", "residual.scale"),
    ),
    _fault(
        "noise_negative",
        "starting point mirrored; as drawn",
        (f"{_NET}", f"{_NET}.input_proj", "flow_lm"),
        ("sampling.sign", "sampling.noise"),
    ),
)

_LOOP: tuple[Fault, ...] = (
    _fault(
        "temperature_as_deviation",
        "temperature taken for the deviation; for the variance",
        (f"{_NET}", f"{_NET}.input_proj", "flow_lm"),
        ("sampling.scale",),
        0.7**0.5,
    ),
    _fault(
        "mean_forgotten",
        "latents only scaled before the decoder; scaled and shifted",
        ("mimi.quantizer*", "mimi.decode_from_latent"),
        ("schedule.denormalise",),
    ),
    _fault(
        "mean_before_scale",
        "mean added, then scaled; scaled, then added",
        ("mimi.quantizer*", "mimi.decode_from_latent"),
        ("schedule.denormalise",),
    ),
    _fault(
        "end_by_sigmoid",
        "end of speech where its probability is above 0.5; where the logit is above the case's",
        ("flow_lm", "flow_lm.out_eos", "latents", "waveform"),
        ("control.end", "control.calls"),
    ),
    _fault(
        "zeros_for_beginning",
        "zeros before the first latent; the learnt beginning",
        ("flow_lm.input_linear",),
        ("graph.source", "graph.omitted", "conditioning.source", "recurrent.state", "weights.lost"),
    ),
    _fault(
        "fade_in_left_out",
        "no fade-in; 5 ms",
        ("waveform",),
        ("graph.omitted",),
    ),
)

_CODEC: tuple[Fault, ...] = (
    _fault(
        "elu_alpha",
        "ELU with alpha 0.5 in the encoder; 1",
        ("mimi.encoder.model.*",),
        ("activation.slope", "activation.function"),
        0.5,
    ),
    _fault(
        "elu_left_out",
        "no ELU in the middle of unit 9; ELU",
        ("mimi.decoder.model.9.block.2", "mimi.decoder.model.9.block.3*", "mimi.decoder.model.9"),
        ("activation.function", "graph.omitted"),
    ),
    _fault(
        "unit_skip_dropped",
        "no skip around unit 6; a skip",
        ("mimi.decoder.model.6",),
        ("residual.dropped",),
    ),
    _fault(
        "kernel_flipped",
        "kernel of the decoder's first convolution from end to start",
        ("mimi.decoder.model.0*",),
        ("conv.kernel",),
    ),
    _fault(
        "upsample_flipped",
        "kernel of the upsampling from end to start",
        ("mimi.upsample*",),
        ("conv.kernel",),
    ),
    _fault(
        "dilation",
        "dilation 2 in unit 6; 1",
        ("mimi.decoder.model.6.block.1*",),
        ("conv.dilation",),
        2.0,
    ),
    _fault(
        "conv_bias_lost",
        "no bias in the encoder's first strided convolution; bias",
        ("mimi.encoder.model.3*",),
        ("weights.bias", "conv.bias"),
    ),
    _fault(
        "conv_centred",
        "the encoder's first convolution padded on both sides; before the first sample",
        ("mimi.encoder.model.0*",),
        ("conv.alignment", "padding.side"),
    ),
    _fault(
        "downsample_zeros",
        "downsampling begins with zeros; with copies of the first sample",
        ("mimi.downsample*",),
        ("padding.mode",),
    ),
    _fault(
        "history_lost",
        "the decoder's first convolution forgets the frame before; it carries it",
        ("mimi.decoder.model.0*",),
        ("streaming.state",),
    ),
    _fault(
        "history_in_half",
        "the decoder's convolutions carry their past in half precision; in float32",
        ("mimi.decoder.model.*",),
        ("dtype.precision", "streaming.state"),
    ),
    _fault(
        "tail_with_bias",
        "overlaps kept with their bias; without",
        ("mimi.decoder.model.[258]",),
        ("streaming.overlap", "conv.bias"),
    ),
    _fault(
        "cut_in_front",
        "last transposed convolution cut in front; behind, the rest added to the next call",
        ("mimi.decoder.model.8",),
        ("conv.alignment", "streaming.overlap", "streaming.state"),
    ),
    _fault(
        "transpose_forgotten",
        "features before the decoder's transformer reshaped; transposed",
        (f"{_DECODER}", f"{_DECODER}.transformer*"),
        ("layout.transposed", "layout.strided", "layout.flatten"),
    ),
)

FAULTS: tuple[Fault, ...] = (
    *STORY,
    *LATER,
    *_TEXT,
    *_ROPE,
    *_ATTENTION,
    *_TRANSFORMER,
    *_FLOW,
    *_LOOP,
    *_CODEC,
    *HELD_OUT,
)

# Of each group one can be on: the others would be replaced, or would have nothing to work on.
_EITHER: tuple[tuple[str, ...], ...] = (
    ("story02", "rope_half_of_head"),
    ("rope_restarts", "rope_theta"),
    ("story04", "waves_in_pairs"),
    ("story06", "story06a"),
    ("story06", "story06b"),
    ("story07", "times_swapped", "times_summed"),
    ("story07", "target_at_start"),
    ("story09", "voice_forgotten"),
    ("story10", "voice_forgotten"),
    ("story13", "rms_biased", "rms_mean_square"),
    ("story14", "mean_forgotten", "mean_before_scale"),
    ("story17", "rope_sign"),
    ("story18", "story18a"),
    ("story18", "story18b", "context_and_one"),
    ("story19", "tail_with_bias"),
    ("story19", "cut_in_front"),
    ("story20", "history_lost"),
    ("story21", "end_by_sigmoid"),
    ("story23", "story24", "temperature_as_deviation"),
    ("story23", "noise_negative"),
    ("story24", "noise_negative"),
    ("story03", "out_norm_left_out"),
    ("voice_forgotten", "rope_restarts"),
    # A key that no query sees has no weights along the queries.
    ("context_short", "softmax_over_queries"),
)

CONFLICTS: frozenset[frozenset[str]] = HELD_OUT_CONFLICTS | frozenset(
    frozenset(pair) for group in _EITHER for pair in combinations(group, 2)
)
