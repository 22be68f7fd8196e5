"""Positions of queries and keys."""

from __future__ import annotations

from dataclasses import replace

import torch

from benchmarks.faults.pairs.pocket_tts.planting import Change, Function, around_at, at
from parity_torch.pocket_tts import attention, rope, transformer
from parity_torch.pocket_tts.config import TransformerConfig
from parity_torch.pocket_tts.rope import Rotation
from parity_torch.pocket_tts.stream import Stream
from parity_torch.pocket_tts.weights import Site

__all__ = ["SWITCHES"]

Turned = tuple[torch.Tensor, torch.Tensor]  # [batch, length, heads, head_dim] each

LANGUAGE_MODEL = "flow_lm.transformer"
DECODER = "mimi.decoder_transformer.transformer"
ENCODER = "mimi.encoder_transformer.transformer"
THETA = 50_000.0


def halves(x: torch.Tensor, turn: Rotation) -> torch.Tensor:
    """Turn element i of a head with element i + head_dim / 2; any layout that `turn` fits."""
    real, imaginary = x.chunk(2, dim=-1)
    return torch.cat(
        [real * turn.cos - imaginary * turn.sin, real * turn.sin + imaginary * turn.cos], dim=-1
    ).to(x.dtype)


def halves_behind_transpose(
    site: Site, queries: torch.Tensor, keys: torch.Tensor, turn: Rotation
) -> Turned:
    """Split halves turned in [batch, heads, length, head_dim], and recorded so."""
    turn = Rotation(turn.cos.transpose(0, 1), turn.sin.transpose(0, 1))
    queries = site.record(halves(queries.transpose(1, 2), turn))
    keys = site.record(halves(keys.transpose(1, 2), turn), slot="1")
    return queries.transpose(1, 2), keys.transpose(1, 2)


def as_they_are(_site: Site, queries: torch.Tensor, keys: torch.Tensor, _turn: Rotation) -> Turned:
    """No positions; there is no such module, so nothing is recorded."""
    return queries, keys


def queries_only(site: Site, queries: torch.Tensor, keys: torch.Tensor, turn: Rotation) -> Turned:
    """Keys go into the cache as they are."""
    return site.record(rope.rotate(queries, turn)), site.record(keys, slot="1")


def half_of_each(site: Site, queries: torch.Tensor, keys: torch.Tensor, turn: Rotation) -> Turned:
    """Only the first half of each head turns, at every other frequency."""
    turn = Rotation(turn.cos[..., ::2], turn.sin[..., ::2])

    def rotate(x: torch.Tensor) -> torch.Tensor:
        turned, kept = x.chunk(2, dim=-1)
        return torch.cat([rope.rotate(turned, turn), kept], dim=-1)

    return site.record(rotate(queries)), site.record(rotate(keys), slot="1")


def other_way_round(original: Function) -> Function:
    """The sign of the angle."""

    def turn(site: Site, queries: torch.Tensor, keys: torch.Tensor, turn: Rotation) -> Turned:
        turned: Turned = original(site, queries, keys, Rotation(turn.cos, -turn.sin))
        return turned

    return turn


def from_zero(original: Function) -> Function:
    """The first position of every pass is 0, whatever stands in the cache."""

    def turn(site: Site, queries: torch.Tensor, keys: torch.Tensor, _turn: Rotation) -> Turned:
        restarted = rope.rotation(
            0,
            queries.shape[1],
            head_dim=queries.shape[-1],
            max_period=10_000.0,
            dtype=queries.dtype,
        )
        turned: Turned = original(site, queries, keys, restarted)
        return turned

    return turn


def other_theta(original: Function) -> Function:
    """Another longest period."""

    def faulty(
        site: Site, x: torch.Tensor, config: TransformerConfig, stream: Stream
    ) -> torch.Tensor:
        y: torch.Tensor = original(site, x, replace(config, max_period=THETA), stream)
        return y

    return faulty


SWITCHES: dict[str, tuple[Change, ...]] = {
    "story02": (at(attention, "turn", halves_behind_transpose, f"{LANGUAGE_MODEL}.rope"),),
    "story17": (at(attention, "turn", as_they_are, f"{DECODER}.rope"),),
    "rope_queries_only": (at(attention, "turn", queries_only, f"{ENCODER}.rope"),),
    "rope_half_of_head": (at(attention, "turn", half_of_each, f"{LANGUAGE_MODEL}.rope"),),
    "rope_sign": (around_at(attention, "turn", other_way_round, f"{DECODER}.rope"),),
    "rope_restarts": (around_at(attention, "turn", from_zero, f"{LANGUAGE_MODEL}.rope"),),
    "rope_theta": (around_at(transformer, "transformer", other_theta, LANGUAGE_MODEL),),
}
