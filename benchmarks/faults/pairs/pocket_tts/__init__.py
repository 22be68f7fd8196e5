"""Pocket TTS: the real package, and our PyTorch port of it with faults as switches.

The port runs as it is, `Program` of `parity_torch.pocket_tts`; a switch puts a faulty version in
the place of one of its small functions for as long as it runs.
"""

from benchmarks.faults.pairs.pocket_tts.pair import PAIR, pair

__all__ = ["PAIR", "pair"]
