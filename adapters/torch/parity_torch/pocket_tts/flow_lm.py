"""The language model over latents: what was said so far in, the next latent out."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from parity_torch.pocket_tts import flow_net
from parity_torch.pocket_tts.layers import embedding, layer_norm, linear
from parity_torch.pocket_tts.model import Model
from parity_torch.pocket_tts.run import Run
from parity_torch.pocket_tts.stream import Stream
from parity_torch.pocket_tts.transformer import transformer
from parity_torch.pocket_tts.weights import Site

__all__ = ["Inputs", "forward"]

NORM_EPS = 1e-5


@dataclass(frozen=True, slots=True)
class Inputs:
    """What one pass adds to the stream, in this order; what is empty adds nothing.

    Attributes:
        tokens: of the text, int64[1, count].
        voice: voice embeddings, [1, count, dim].
        latents: spoken last, [1, count, latent].
    """

    tokens: torch.Tensor
    voice: torch.Tensor
    latents: torch.Tensor

    @classmethod
    def of(
        cls,
        model: Model,
        *,
        tokens: torch.Tensor | None = None,
        voice: torch.Tensor | None = None,
        latents: torch.Tensor | None = None,
    ) -> Inputs:
        """Inputs of which only some are there."""
        dim, latent = model.config.language_model.dim, model.config.latent_dim
        return cls(
            torch.empty(1, 0, dtype=torch.int64) if tokens is None else tokens,
            torch.empty(1, 0, dim, dtype=model.dtype) if voice is None else voice,
            torch.empty(1, 0, latent, dtype=model.dtype) if latents is None else latents,
        )


def forward(run: Run, inputs: Inputs, stream: Stream) -> tuple[torch.Tensor, torch.Tensor]:
    """One pass: move the stream on by the inputs and sample what comes next.

    Prompt passes sample too, and throw it away: they use up a draw of the noise.

    Returns:
        The next latent, [1, latent], and whether speech ends here, bool[1, 1].
    """
    site = run.model.flow_lm
    hidden = backbone(run, embed(site, inputs), stream)[:, -1]
    is_end = ends(site, hidden, run.settings.eos_threshold)
    latent = flow_net.sample_latent(
        site / "flow_net",
        hidden,
        run.noise.draw(),
        depth=run.model.config.flow_depth,
        steps=run.settings.decode_steps,
    )
    site.record(latent)
    site.record(is_end, slot="1")
    return latent, is_end


def embed(site: Site, inputs: Inputs) -> torch.Tensor:
    """Text, voice and latents as one sequence, [1, length, dim]."""
    conditioner = site / "conditioner"
    text = conditioner.record(embedding(conditioner / "embed", inputs.tokens))
    return join(text, inputs.voice, linear(site / "input_linear", begin(site, inputs.latents)))


def begin(site: Site, latents: torch.Tensor) -> torch.Tensor:
    """Put the learnt beginning where NaN marks the latent before the first one."""
    return torch.where(torch.isnan(latents), site["bos_emb"], latents)


def join(text: torch.Tensor, voice: torch.Tensor, latents: torch.Tensor) -> torch.Tensor:
    """One behind the other, [1, length, dim]."""
    return torch.cat([text, voice, latents], dim=1)


def ends(site: Site, hidden: torch.Tensor, threshold: float) -> torch.Tensor:
    """Whether speech ends here; [1, dim] -> bool[1, 1]."""
    return linear(site / "out_eos", hidden) > threshold


def backbone(run: Run, x: torch.Tensor, stream: Stream) -> torch.Tensor:
    """Transformer and norm, over the whole sequence at once or one position after the other."""
    site, config = run.model.flow_lm, run.model.config.language_model
    pieces = [x] if run.prefill == "block" else torch.split(x, 1, dim=1)
    outputs = [
        layer_norm(
            site / "out_norm",
            transformer(site / "transformer", piece, config, stream),
            eps=NORM_EPS,
        )
        for piece in pieces
    ]
    return (site / "backbone").record(torch.cat(outputs, dim=1))
