"""The flow network: times, modulation, and the way from noise to a latent."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch.nn import functional

from benchmarks.faults.pairs.pocket_tts.planting import (
    Change,
    Function,
    around,
    around_at,
    at,
    instead,
    overlaid,
)
from parity_torch.pocket_tts import flow_net, layers
from parity_torch.pocket_tts.weights import Site

__all__ = ["SWITCHES"]

Elementwise = Function

FLOW_NET = "flow_lm.flow_net"
TIME_SCALE = 1000.0
EPS = 1e-5


# Times.


def sine_first(angles: torch.Tensor) -> torch.Tensor:
    """First all sines; [batch, frequencies] -> [batch, 2 * frequencies]."""
    return torch.cat([torch.sin(angles), torch.cos(angles)], dim=-1)


def in_pairs(angles: torch.Tensor) -> torch.Tensor:
    """Cosine and sine of one frequency, then of the next; [batch, 2 * frequencies]."""
    return torch.stack([torch.cos(angles), torch.sin(angles)], dim=-1).flatten(-2)


def in_thousandths(original: Function) -> Function:
    """Times go to 1000, as in diffusion models; [batch, 1] -> [batch, frequencies]."""

    def angles(site: Site, time: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = original(site, TIME_SCALE * time)
        return y

    return angles


def to_the_last(original: Function) -> Function:
    """Frequencies of its own, of which the last has the longest period: i / (count - 1)."""

    def angles(site: Site, time: torch.Tensor) -> torch.Tensor:
        count = site["freqs"].shape[0]
        steps = torch.arange(count, dtype=time.dtype) / (count - 1)
        y: torch.Tensor = original(overlaid(site, freqs=torch.exp(-math.log(10_000) * steps)), time)
        return y

    return angles


def one_time(site: Site, start: torch.Tensor, _target: torch.Tensor) -> torch.Tensor:
    """One time, which goes from 1 to 0, embedded once; [batch, 1] -> [batch, dim]."""
    return flow_net.embed_time(site / "time_embed" / 0, 1 - start)


def swapped(original: Function) -> Function:
    """The target by the first embedding and the start by the second; [batch, dim]."""

    def time_context(site: Site, start: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = original(site, target, start)
        return y

    return time_context


def summed(site: Site, start: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """The sum of the two embeddings; [batch, 1] -> [batch, dim]."""
    first, second = site / "time_embed" / 0, site / "time_embed" / 1
    return flow_net.embed_time(first, start) + flow_net.embed_time(second, target)


def only_scaled(site: Site, x: torch.Tensor, *, eps: float = 1e-5) -> torch.Tensor:
    """A norm that only multiplies; any shape."""
    del eps
    return site.record(site["alpha"] * x)


def biased(site: Site, x: torch.Tensor, *, eps: float = 1e-5) -> torch.Tensor:
    """The variance divided by the width, as a layer norm does; any shape."""
    variance = x.var(dim=-1, keepdim=True, unbiased=False)
    return site.record(site["alpha"] * x * torch.rsqrt(variance + eps))


def mean_square(site: Site, x: torch.Tensor, *, eps: float = 1e-5) -> torch.Tensor:
    """What everybody else calls RMSNorm; any shape."""
    return site.record(site["alpha"] * x * torch.rsqrt(x.square().mean(-1, keepdim=True) + eps))


# Blocks.


def with_gelu(original: Function) -> Function:
    """GELU where another function was asked for."""

    def activation(site: Site, _function: Elementwise, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = original(site, functional.gelu, x)
        return y

    return activation


def no_activation(_site: Site, _function: Elementwise, x: torch.Tensor) -> torch.Tensor:
    """Nothing; there is no such module, so nothing is recorded; any shape."""
    return x


def scale_before_shift(original: Function) -> Function:
    """The first chunk read as the scale and the second as the shift; [batch, dim] each."""

    def chunks(site: Site, context: torch.Tensor) -> tuple[torch.Tensor, ...]:
        scale, shift, *gate = original(site, context)
        return shift, scale, *gate

    return chunks


def plain_scale(x: torch.Tensor, shift: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    """An affine map in which a scale of one changes nothing; any shape."""
    return x * scale + shift


def _mlp(site: Site, x: torch.Tensor) -> torch.Tensor:
    mlp = site / "mlp"
    h = layers.activation(mlp / 1, functional.silu, layers.linear(mlp / 0, x))
    return mlp.record(layers.linear(mlp / 2, h))


def ungated(site: Site, x: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
    """The branch added without its gate; [batch, dim] twice."""
    shift, scale, _ = flow_net.shift_scale_gate(site, context)
    h = layers.layer_norm(site / "in_ln", x, eps=flow_net.NORM_EPS)
    return site.record(x + _mlp(site, flow_net.modulate(h, shift, scale)))


def skip_dropped(site: Site, x: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
    """The branch alone goes on; [batch, dim] twice."""
    shift, scale, gate = flow_net.shift_scale_gate(site, context)
    h = layers.layer_norm(site / "in_ln", x, eps=flow_net.NORM_EPS)
    return site.record(gate * _mlp(site, flow_net.modulate(h, shift, scale)))


def no_norm(_site: Site, x: torch.Tensor, *, eps: float) -> torch.Tensor:
    """Nothing; there is no such module, so nothing is recorded; any shape."""
    del eps
    return x


def sample_variance(site: Site, x: torch.Tensor, *, eps: float) -> torch.Tensor:
    """A layer norm by hand with `var`, which divides by the width less one; any shape."""
    normal = (x - x.mean(-1, keepdim=True)) / torch.sqrt(x.var(-1, keepdim=True) + eps)
    return site.record(normal * site["weight"] + site["bias"])


def one_eps_for_all(original: Function) -> Function:
    """The eps of the transformers."""

    def layer_norm(site: Site, x: torch.Tensor, *, eps: float) -> torch.Tensor:
        del eps
        y: torch.Tensor = original(site, x, eps=EPS)
        return y

    return layer_norm


def transposed(original: Function) -> Function:
    """A square weight the wrong way round."""

    def linear(site: Site, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = original(overlaid(site, weight=site["weight"].T), x)
        return y

    return linear


# From noise to a latent.


def time_added_to_input(
    site: Site,
    condition: torch.Tensor,
    start: torch.Tensor,
    target: torch.Tensor,
    x: torch.Tensor,
    *,
    depth: int,
) -> torch.Tensor:
    """The times steer the blocks and are added to what goes into them; [batch, latent]."""
    time = flow_net.time_context(site, start, target)
    x = layers.linear(site / "input_proj", x) + time
    context = layers.linear(site / "cond_embed", condition) + time
    for index in range(depth):
        x = flow_net.residual_block(site / "res_blocks" / index, x, context)
    return site.record(flow_net.final_layer(site / "final_layer", x, context))


def target_at_start(original: Function) -> Function:
    """Both times are that of the start, as if the jump had no length."""

    def flow_direction(
        site: Site, condition: torch.Tensor, start: torch.Tensor, *rest: Any, **others: Any
    ) -> torch.Tensor:
        _target, x = rest
        y: torch.Tensor = original(site, condition, start, start, x, **others)
        return y

    return flow_direction


def backwards(
    site: Site, condition: torch.Tensor, noise: torch.Tensor, *, depth: int, steps: int
) -> torch.Tensor:
    """The direction subtracted, as where it points to the noise; [batch, latent]."""
    x = noise
    for step in range(steps):
        start = torch.full_like(noise[:, :1], step / steps)
        target = torch.full_like(noise[:, :1], (step + 1) / steps)
        x = x - flow_net.flow_direction(site, condition, start, target, x, depth=depth) / steps
    return x


def negative_noise(original: Function) -> Function:
    """From the mirrored starting point; [batch, latent]."""

    def sample_latent(
        site: Site, condition: torch.Tensor, noise: torch.Tensor, **others: int
    ) -> torch.Tensor:
        y: torch.Tensor = original(site, condition, -noise, **others)
        return y

    return sample_latent


_CHUNKS = (
    around(flow_net, "shift_scale_gate", scale_before_shift),
    around(flow_net, "shift_scale", scale_before_shift),
)
_LINEAR_CONTEXT = at(layers, "activation", no_activation, f"{FLOW_NET}.*.adaLN_modulation.0")

SWITCHES: dict[str, tuple[Change, ...]] = {
    "story04": (instead(flow_net, "waves", sine_first),),
    "story05": (around_at(layers, "activation", with_gelu, f"{FLOW_NET}.res_blocks.*.mlp.1"),),
    "story06": (*_CHUNKS, _LINEAR_CONTEXT),
    "story06a": _CHUNKS,
    "story06b": (_LINEAR_CONTEXT,),
    "story07": (instead(flow_net, "time_context", one_time),),
    "story11": (at(layers, "layer_norm", no_norm, f"{FLOW_NET}.final_layer.norm_final"),),
    "story13": (instead(layers, "rms_norm", only_scaled),),
    "story15": (instead(flow_net, "flow_direction", time_added_to_input),),
    "waves_in_pairs": (instead(flow_net, "waves", in_pairs),),
    "time_in_thousandths": (around(flow_net, "angles", in_thousandths),),
    "frequencies_to_the_last": (around(flow_net, "angles", to_the_last),),
    "times_swapped": (around(flow_net, "time_context", swapped),),
    "times_summed": (instead(flow_net, "time_context", summed),),
    "rms_biased": (instead(layers, "rms_norm", biased),),
    "rms_mean_square": (instead(layers, "rms_norm", mean_square),),
    "plain_scale": (instead(flow_net, "modulate", plain_scale),),
    "gate_left_out": (at(flow_net, "residual_block", ungated, f"{FLOW_NET}.res_blocks.1"),),
    "flow_skip_dropped": (
        at(flow_net, "residual_block", skip_dropped, f"{FLOW_NET}.res_blocks.0"),
    ),
    "sample_variance": (
        at(layers, "layer_norm", sample_variance, f"{FLOW_NET}.res_blocks.*.in_ln"),
    ),
    "one_eps_for_all": (around_at(layers, "layer_norm", one_eps_for_all, f"{FLOW_NET}.*"),),
    "weight_transposed": (
        around_at(layers, "linear", transposed, f"{FLOW_NET}.res_blocks.0.mlp.0"),
    ),
    "target_at_start": (around(flow_net, "flow_direction", target_at_start),),
    "flow_backwards": (instead(flow_net, "sample_latent", backwards),),
    "noise_negative": (around(flow_net, "sample_latent", negative_noise),),
}
