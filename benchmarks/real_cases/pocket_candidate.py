"""Case A in its own environment: the real pocket-tts 1.0.3 on the seeded weights, captured.

    python -m benchmarks.real_cases.pocket_candidate ASSETS REFERENCE.h5 CANDIDATE.h5

The case and its noise come from the reference's capture. The package is not edited.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from importlib import metadata, resources
from pathlib import Path
from queue import Queue
from typing import Any

import torch
import yaml
from pocket_tts.models.tts_model import TTSModel
from pocket_tts.utils.config import Config

from parity.capture.isolated import capture_here
from parity.store import Capture, open_capture
from parity.tensors import Case, Role, TapPlan
from parity_torch.backend import TorchBackend

__all__ = ["Program", "main"]

_MODEL = "pocket_tts.models.tts_model.TTSModel"
_CONFIG = "b6369a24.yaml"


class _Listening(TTSModel):  # type: ignore[misc]
    """The model, keeping the latents that go to the decoder."""

    def _autoregressive_generation(
        self, model_state: Any, max_gen_len: int, frames_after_eos: int, latents_queue: Any
    ) -> None:
        noted = _Noting(latents_queue)
        self.latents = noted.latents
        super()._autoregressive_generation(model_state, max_gen_len, frames_after_eos, noted)


class _Noting(Queue[Any]):  # the package checks the types of its arguments
    """A queue's writing end that remembers what it was given."""

    def __init__(self, behind: Queue[Any]) -> None:
        super().__init__()
        self._behind = behind
        self.latents: list[torch.Tensor] = []

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        if item is not None:
            self.latents.append(item.clone())
        self._behind.put(item, block, timeout)


class Program:
    """pocket-tts 1.0.3, under the same names of modules and phases as the reference.

    Args:
        assets: the folder of the subject's built files.
        prompt: float32[1, samples], the voice prompt as it goes into the encoder.
    """

    name = "pocket-tts"
    functions = ("flow_lm.backbone",)
    phases: Mapping[str, str] = {
        "voice_prompt": f"{_MODEL}.get_state_for_audio_prompt",
        "text_prompt": f"{_MODEL}._generate",
        "generate": f"{_MODEL}._autoregressive_generation",
        "decode": f"{_MODEL}._decode_audio_worker",
    }
    steps: Mapping[str, str] = {"generate": "flow_lm", "decode": "mimi.upsample"}

    def __init__(self, assets: Path, prompt: torch.Tensor) -> None:
        self._model = _load(assets)
        self._prompt = prompt
        self.modules = {"flow_lm": self._model.flow_lm, "mimi": self._model.mimi}
        self.facts = {
            "implementation": f"pocket-tts {metadata.version('pocket-tts')}",
            "framework_version": torch.__version__,
            "precision": "float32",
        }

    def run(self, case: Case) -> Mapping[str, torch.Tensor]:
        """Speak the case's text; this version decodes one frame a call, always."""
        model, inputs = self._model, case.inputs
        model.temp, model.lsd_decode_steps = inputs["temperature"], inputs["decode_steps"]
        model.noise_clamp, model.eos_threshold = inputs["noise_clamp"], inputs["eos_threshold"]
        waveform = model.generate_audio(
            model.get_state_for_audio_prompt(self._prompt),
            inputs["text"],
            max_tokens=inputs["max_tokens_per_chunk"],
            frames_after_eos=inputs["frames_after_eos"],
        )
        frames = [latent[:, 0] for latent in model.latents]
        return {"waveform": waveform, "latents": torch.cat(frames)}


def _load(assets: Path) -> _Listening:
    text = resources.files("pocket_tts").joinpath("config", _CONFIG).read_text(encoding="utf-8")
    config = Config(**yaml.safe_load(text))
    config.weights_path = str(assets / "weights.safetensors")
    config.flow_lm.lookup_table.tokenizer_path = str(assets / "tokenizer.model")
    model: _Listening = _Listening._from_pydantic_config_with_weights(config, 0.7, 1, None, -4.0)
    return model.eval()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("assets", type=Path)
    parser.add_argument("reference", type=Path)
    parser.add_argument("candidate", type=Path)
    parser.add_argument("--own-prompt", action="store_true", help="leave the voice as it is")
    given = parser.parse_args()
    with open_capture(given.reference) as capture:
        case = capture.case
        assert case is not None
        case = case.with_noise(capture.noise)
        voice = torch.tensor(case.arrays["voice_audio"])[None]
        prompt = voice if given.own_prompt else _prompt(capture)
    backend = TorchBackend(program=Program(given.assets, prompt), params=False)
    capture_here(backend, case, TapPlan(), given.candidate)


def _prompt(capture: Capture) -> torch.Tensor:
    """The prompt as 4.0.1 gives it to its encoder.

    It cuts trailing silence, fades out and appends a pause; 1.0.3 does not, and would be one frame
    short. The same input on both sides, then.
    """
    tap = capture["mimi.encode_to_latent"]
    (port,) = (port for port in tap.ports if port.startswith(Role.INPUT))
    return torch.from_numpy(tap[port][0])[0]


if __name__ == "__main__":
    main()
