"""What the measures of health are on clean speech: where the limits come from."""

from __future__ import annotations

from pathlib import Path

from fixtures.speech import FOLDER
from parity.audio import load_clip
from parity.audio.measures import measure
from parity.audio.spectrum import spectrum

__all__ = ["REAL", "ranges"]

# Clips of the trained Pocket TTS, which are not part of the project.
REAL = Path(__file__).parents[3] / "shared" / "data" / "speech"


def ranges() -> dict[str, dict[str, tuple[float, float]]]:
    """Least and largest of each measure, by set of clips."""
    sets = {"fixtures": sorted(FOLDER.glob("*.flac")), "Pocket TTS": sorted(REAL.glob("*.wav"))}
    return {name: _of(files) for name, files in sets.items() if files}


def _of(files: list[Path]) -> dict[str, tuple[float, float]]:
    rows = []
    for file in files:
        clip = load_clip(file)
        found = spectrum(clip.mono, clip.sample_rate)
        rows.append(
            measure(clip.mono, clip.sample_rate, found, frame=round(0.08 * clip.sample_rate))
        )
    return {name: (min(r[name] for r in rows), max(r[name] for r in rows)) for name in rows[0]}
