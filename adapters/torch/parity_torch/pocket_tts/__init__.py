"""Pocket TTS written anew from its architecture: plain functions over a dictionary of weights.

The known-good port: every convention of the model is one small function of its own, so that a
fault can be put in its place. It does not import the `pocket-tts` package.
"""

from parity_torch.pocket_tts.config import Config, load_config
from parity_torch.pocket_tts.program import Program

__all__ = ["Config", "Program", "load_config"]
