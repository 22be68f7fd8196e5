"""Where the flow network's starting points come from: a tape of draws, or a seeded generator."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

import torch

from parity.errors import NoiseTapeError
from parity.tensors import Case, NoiseDraw

__all__ = ["NoiseSource", "noise_source"]


class NoiseSource(Protocol):
    """Gives one starting point for each pass of the language model, the prompt passes included."""

    def draw(self) -> torch.Tensor:
        """The next starting point, [1, latent]."""
        ...


def noise_source(
    case: Case, *, latent_dim: int, temperature: float, clamp: float | None, dtype: torch.dtype
) -> NoiseSource:
    """The case's tape where it has one, else draws from its seed.

    Args:
        case: the input.
        latent_dim: width of a draw.
        temperature: variance of a draw; a tape's draws have it in them already.
        clamp: bound of a draw's magnitude, or None.
        dtype: element type of a draw.
    """
    if case.noise is not None:
        return Tape(case.noise, latent_dim=latent_dim, dtype=dtype)
    return Generator(
        case.seed, latent_dim=latent_dim, std=temperature**0.5, clamp=clamp, dtype=dtype
    )


class Tape:
    """Draws of another run, in its order; those of another shape were for something else."""

    def __init__(self, draws: Sequence[NoiseDraw], *, latent_dim: int, dtype: torch.dtype) -> None:
        fitting = [draw for draw in draws if draw.values.shape == (1, latent_dim)]
        self._count = len(fitting)
        self._draws: Iterator[NoiseDraw] = iter(fitting)
        self._dtype = dtype

    def draw(self) -> torch.Tensor:
        """The next draw, [1, latent].

        Raises:
            NoiseTapeError: the tape is at its end.
        """
        draw = next(self._draws, None)
        if draw is None:
            raise NoiseTapeError(
                f"the tape ends after {self._count} draws, and this run asks for one more",
                hint="the run is longer than the one that was taped: compare where speech ends",
            )
        return torch.tensor(draw.values).to(self._dtype)


class Generator:
    """Normal draws from a seed, the same as the reference's after `torch.manual_seed`."""

    def __init__(
        self, seed: int, *, latent_dim: int, std: float, clamp: float | None, dtype: torch.dtype
    ) -> None:
        self._generator = torch.Generator().manual_seed(seed)
        self._shape = (1, latent_dim)
        self._std = std
        self._clamp = clamp
        self._dtype = dtype

    def draw(self) -> torch.Tensor:
        """The next draw, [1, latent], always drawn in float32."""
        values = torch.empty(self._shape)
        if self._clamp is None:
            values.normal_(0.0, self._std, generator=self._generator)
        else:
            torch.nn.init.trunc_normal_(
                values, 0.0, self._std, -self._clamp, self._clamp, generator=self._generator
            )
        return values.to(self._dtype)
