"""The loaded model: configuration, weights and tokeniser of one assets folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from parity_torch.pocket_tts.config import Config, load_config
from parity_torch.pocket_tts.tokenizer import Tokenizer
from parity_torch.pocket_tts.weights import Site, load_weights

__all__ = ["Model", "load_model"]


@dataclass(frozen=True, slots=True)
class Model:
    """Everything that is the same for all cases.

    Attributes:
        config: the network's shape and the rules of text preparation.
        tokenizer: of the text.
        flow_lm: the place of the language model and its flow network.
        mimi: the place of the codec.
        dtype: of weights and activations.
    """

    config: Config
    tokenizer: Tokenizer
    flow_lm: Site
    mimi: Site
    dtype: torch.dtype


def load_model(assets: Path, dtype: torch.dtype) -> Model:
    """Load `config.yaml`, `weights.safetensors` and `tokenizer.model` from a folder."""
    config = load_config(assets / "config.yaml")
    tokenizer = Tokenizer(assets / "tokenizer.model")
    root = Site(load_weights(assets / "weights.safetensors", dtype))
    return Model(
        config=config,
        tokenizer=tokenizer,
        flow_lm=root / "flow_lm",
        mimi=root / "mimi",
        dtype=dtype,
    )
