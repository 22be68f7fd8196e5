"""The main job, from `parity.toml`: capture, compare, report; and what it found."""

from parity.run.config import Config, Implementation, load_config
from parity.run.pipeline import STAGES, Context, Observer, Stage, run
from parity.run.result import CaptureState, Comparison, RunResult, SpeechSpeed

__all__ = [
    "STAGES",
    "CaptureState",
    "Comparison",
    "Config",
    "Context",
    "Implementation",
    "Observer",
    "RunResult",
    "SpeechSpeed",
    "Stage",
    "load_config",
    "run",
]
