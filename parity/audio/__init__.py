"""What a listener hears: waveform, intelligibility, signal health.

Needs the extra `tts` (`pip install 'parity[tts]'`).
"""

from importlib.util import find_spec

from parity.errors import MissingExtraError

if find_spec("scipy") is None:
    raise MissingExtraError.of("tts", needed_for="listening")

from parity.audio.clip import Clip, at_rate, from_array
from parity.audio.health import Health, judge_health
from parity.audio.judgement import Bound, Check, Judgement
from parity.audio.limits import HEALTH, PRESETS, STATISTICS, STORY, WAVEFORM
from parity.audio.listen import Settings, as_clip, listen
from parity.audio.reading import load_clip, tap_clip
from parity.audio.result import Listening
from parity.audio.waveform import Waveform, compare_waveforms

__all__ = [
    "HEALTH",
    "PRESETS",
    "STATISTICS",
    "STORY",
    "WAVEFORM",
    "Bound",
    "Check",
    "Clip",
    "Health",
    "Judgement",
    "Listening",
    "Settings",
    "Waveform",
    "as_clip",
    "at_rate",
    "compare_waveforms",
    "from_array",
    "judge_health",
    "listen",
    "load_clip",
    "tap_clip",
]
