"""What the network looks like, read from the `config.yaml` beside the weights."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

from parity.errors import ConfigError

__all__ = ["Config", "MimiConfig", "SeanetConfig", "TextConfig", "TransformerConfig", "load_config"]

Section = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class TransformerConfig:
    """A transformer; `context` is how many positions a query sees, None for all before it."""

    dim: int
    heads: int
    layers: int
    max_period: float = 10_000.0
    context: int | None = None

    @property
    def head_dim(self) -> int:
        """Width of one head."""
        return self.dim // self.heads


@dataclass(frozen=True, slots=True)
class SeanetConfig:
    """The convolutional encoder and decoder; `ratios` are in the decoder's order."""

    ratios: tuple[int, ...]
    residual_layers: int
    dilation_base: int
    pad_mode: str

    @property
    def hop_samples(self) -> int:
        """Samples for each step of the codec's transformers."""
        return math.prod(self.ratios)


@dataclass(frozen=True, slots=True)
class MimiConfig:
    """The codec."""

    sample_rate: int
    frame_rate: float
    seanet: SeanetConfig
    transformer: TransformerConfig

    @property
    def frame_samples(self) -> int:
        """Samples for each latent."""
        return int(self.sample_rate / self.frame_rate)

    @property
    def transformer_steps_per_frame(self) -> int:
        """Steps of the codec's transformers for each latent."""
        return self.frame_samples // self.seanet.hop_samples


@dataclass(frozen=True, slots=True)
class TextConfig:
    """How text is brought into the form that the model was trained on.

    Attributes:
        pad_short: put spaces before texts of fewer than five words.
        remove_semicolons: write commas for semicolons.
        end_sentence: see that the text ends with a sentence mark.
        capitalize: begin with a capital letter.
        replace: characters to write otherwise.
    """

    pad_short: bool = False
    remove_semicolons: bool = False
    end_sentence: bool = True
    capitalize: bool = True
    replace: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Config:
    """The whole model.

    Attributes:
        latent_dim: width of a latent.
        flow_depth: residual blocks of the flow network.
        language_model: its transformer.
        mimi: the codec.
        text: the rules of text preparation.
        frames_after_eos: that the model recommends, or None.
        temperature: that the model recommends.
        eos_threshold: that the model recommends.
    """

    latent_dim: int
    flow_depth: int
    language_model: TransformerConfig
    mimi: MimiConfig
    text: TextConfig
    frames_after_eos: int | None = None
    temperature: float = 0.3
    eos_threshold: float = -4.0


def load_config(path: Path) -> Config:
    """Read a configuration in the form that the `pocket-tts` package uses.

    Raises:
        ConfigError: the file cannot be read, lacks a key, or asks for something this port lacks.
    """
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
        _refuse_unsupported(data, path)
        return _config(data)
    except (OSError, yaml.YAMLError) as error:
        raise ConfigError(f"cannot read the configuration: {error}", where=str(path)) from error
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ConfigError(
            f"not a Pocket TTS configuration: {error!r}",
            where=str(path),
            hint="compare it with english_2026-01.yaml of the pocket-tts package",
        ) from error


# Variants of other released models that english_2026-01 does not have.
_UNSUPPORTED = (
    ("flow_lm", "z_dim"),
    ("flow_lm", "insert_bos_before_voice"),
    ("flow_lm", "lookup_table", "rank"),
    ("flow_lm", "transformer", "attn_dim"),
    ("flow_lm", "transformer", "num_kv_heads"),
    ("mimi", "decoder_seanet"),
    ("mimi", "decoder_transformer"),
)


def _refuse_unsupported(data: Section, path: Path) -> None:
    for keys in _UNSUPPORTED:
        value: Any = data
        for key in keys:
            value = (value or {}).get(key)
        if value:
            raise ConfigError(
                f"this port does not have {'.'.join(keys)} = {value!r}", where=str(path)
            )
    if (flow_type := data["flow_lm"]["flow"].get("type", "lsd")) != "lsd":
        raise ConfigError(f"this port does not have a {flow_type!r} flow", where=str(path))


def _config(data: Section) -> Config:
    flow_lm, mimi = data["flow_lm"], data["mimi"]
    return Config(
        latent_dim=mimi["quantizer"]["dimension"],
        flow_depth=flow_lm["flow"]["depth"],
        language_model=_transformer(flow_lm["transformer"]),
        mimi=_mimi(mimi),
        text=_text(data),
        frames_after_eos=data.get("model_recommended_frames_after_eos"),
        temperature=data.get("default_temperature", 0.3),
        eos_threshold=data.get("default_eos_threshold", -4.0),
    )


def _transformer(section: Section) -> TransformerConfig:
    return TransformerConfig(
        dim=section["d_model"],
        heads=section["num_heads"],
        layers=section["num_layers"],
        max_period=float(section.get("max_period", 10_000.0)),
        context=section.get("context"),
    )


def _mimi(section: Section) -> MimiConfig:
    seanet = section["seanet"]
    return MimiConfig(
        sample_rate=section["sample_rate"],
        frame_rate=section["frame_rate"],
        seanet=SeanetConfig(
            ratios=tuple(seanet["ratios"]),
            residual_layers=seanet["n_residual_layers"],
            dilation_base=seanet["dilation_base"],
            pad_mode=seanet["pad_mode"],
        ),
        transformer=_transformer(section["transformer"]),
    )


def _text(data: Section) -> TextConfig:
    return TextConfig(
        pad_short=data.get("pad_with_spaces_for_short_inputs", False),
        remove_semicolons=data.get("remove_semicolons", False),
        end_sentence=data.get("append_terminal_punctuation", True),
        capitalize=data.get("capitalize_first_letter", True),
        replace=dict(data.get("replace_characters", {})),
    )
