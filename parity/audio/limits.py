"""The limits that sound is held to, by name; every one can be replaced.

Those of health come from clean speech: four clips of the trained Pocket TTS, and 24 sentences in
three voices of Flite (docs/listening.md has the ranges). Where there is a reference, what it is
itself counts more: `apart`, `times`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from parity.audio.judgement import Bound
from parity.errors import ConfigError

__all__ = ["HEALTH", "PRESETS", "STATISTICS", "STORY", "WAVEFORM", "limits_with"]

Limits = Mapping[str, Bound]

# A candidate that shares the reference's random draws.
WAVEFORM: Limits = MappingProxyType(
    {
        "nonfinite": Bound(high=0),
        "length_s": Bound(apart=0.08),
        "lag_samples": Bound(low=-1, high=1),
        "gain": Bound(low=0.99, high=1.01),
        # As far as health lets it be from the reference's.
        "offset": Bound(low=-0.002, high=0.002),
        "snr_db": Bound(low=40),
        "segment_correlation": Bound(low=0.999),
        "worst_segment_correlation": Bound(low=0.9),
        "drift_ppm": Bound(low=-50, high=50),
        "peak_error": Bound(high=0.05),
        "peak_error_in_pauses": Bound(high=0.01),
        "log_mel_db": Bound(high=1.5),
        "long_term_db": Bound(high=1.0),
    }
)

# What two takes of the same text by the same voice share.
STATISTICS: Limits = MappingProxyType(
    {
        "duration_ratio": Bound(low=0.75, high=1.33),
        "long_term_db": Bound(high=6.0),
        "level_db": Bound(low=-3, high=3),
        "pitch_ratio": Bound(low=0.85, high=1.18),
    }
)

HEALTH: Limits = MappingProxyType(
    {
        "nonfinite": Bound(high=0),
        "peak": Bound(low=0.01, high=1.0),
        "rms": Bound(low=0.01, high=0.3, times=1.12),
        "dc": Bound(low=-0.05, high=0.05, warn_low=-0.01, warn_high=0.01, apart=0.002),
        "clipped_share": Bound(high=1e-4),
        "crest_db": Bound(low=8, high=24, apart=2),
        "stuck_ms": Bound(high=1),
        "zero_run_ms": Bound(high=5),
        "head_silence_s": Bound(high=0.75, warn_high=0.5, apart=0.16),
        "tail_silence_s": Bound(high=0.75, warn_high=0.5, apart=0.16),
        "longest_gap_s": Bound(high=1.0, apart=0.25),
        "dynamics_db": Bound(low=20, apart=15),
        "below_60_hz_db": Bound(high=-12, apart=8),
        "centroid_hz": Bound(low=200, high=1500, times=1.3),
        "flatness": Bound(low=1e-4, high=0.015, times=3),
        "clicks": Bound(high=0),
        "boundary_curvature": Bound(high=1.15),
        "frame_remainder": Bound(low=0, warn_high=0),
        "bits": Bound(low=10),
    }
)

# The four checks of the port that this project comes from; the fourth was only logged.
STORY: Limits = MappingProxyType(
    {
        "nonfinite": Bound(high=0),
        "peak": Bound(low=0.01, high=1.0),
        "dc": Bound(low=-0.05, high=0.05),
        "rms": Bound(),
    }
)

PRESETS: Mapping[str, Limits] = MappingProxyType({"full": HEALTH, "story": STORY})


def limits_with(limits: Limits, changes: Mapping[str, Mapping[str, float]]) -> Limits:
    """`limits` with some bounds changed: `{"rms": {"high": 0.5}}`.

    Raises:
        ConfigError: a name or a part of a bound is unknown.
    """
    found = dict(limits)
    for name, parts in changes.items():
        if name not in found:
            raise ConfigError(
                f"there is no limit {name!r}", hint=f"one of {', '.join(sorted(found))}"
            )
        try:
            found[name] = replace(found[name], **parts)
        except TypeError:
            raise ConfigError(
                f"limit {name!r} has no {', '.join(parts)}",
                hint="low, high, warn_low, warn_high, apart, times",
            ) from None
    return MappingProxyType(found)
