"""From text to embeddings."""

from __future__ import annotations

import torch
from torch.nn import functional

from benchmarks.faults.pairs.pocket_tts.planting import Change, Function, around, instead
from parity_torch.pocket_tts import layers, program, text
from parity_torch.pocket_tts.model import Model
from parity_torch.pocket_tts.weights import Site

__all__ = ["SWITCHES"]

BEGIN_OF_SENTENCE = 1


def characters(model: Model, chunk: str) -> torch.Tensor:
    """One token for each character, by its number in the same table; int64[characters]."""
    prepared = text.prepare(chunk, model.config.text)
    # The tokeniser puts a space before the character that it is asked for.
    return torch.tensor([model.tokenizer.encode(character)[-1] for character in prepared])


def begun(original: Function) -> Function:
    """A begin-of-sentence number in front, as most language models want; int64[1 + count]."""

    def token_ids(model: Model, chunk: str) -> torch.Tensor:
        return torch.cat([torch.tensor([BEGIN_OF_SENTENCE]), original(model, chunk)])

    return token_ids


def shifted(original: Function) -> Function:
    """The table read as if its row for padding stood first; int64[...] -> [..., dim]."""

    def embedding(site: Site, tokens: torch.Tensor) -> torch.Tensor:
        rows: torch.Tensor = original(site, tokens + 1)
        return rows

    return embedding


def enlarged(site: Site, tokens: torch.Tensor) -> torch.Tensor:
    """Rows times the root of their width, as of old; int64[...] -> [..., dim]."""
    table = site["weight"]
    return site.record(functional.embedding(tokens, table) * table.shape[-1] ** 0.5)


SWITCHES: dict[str, tuple[Change, ...]] = {
    "story01": (instead(program, "token_ids", characters),),
    "begin_token": (around(program, "token_ids", begun),),
    "embedding_shifted": (around(layers, "embedding", shifted),),
    "embedding_enlarged": (instead(layers, "embedding", enlarged),),
}
