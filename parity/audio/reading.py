"""Sound from files: WAV, FLAC and what else libsndfile reads, raw arrays, captures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from parity.audio.clip import Clip, from_array
from parity.errors import InputError, MissingExtraError

if TYPE_CHECKING:
    from parity.store import Capture

__all__ = ["load_clip", "tap_clip"]

CAPTURES = frozenset({".h5", ".hdf5"})
# Two hours of stereo at 48 kHz; more is a hostile header or a mistake.
MAX_SAMPLES = 700_000_000
UNKNOWN_LENGTHS = frozenset({0, 0xFFFFFFFF, 0x7FFFFFFF})
RIFF_HEAD = 8


def load_clip(path: str | Path, *, sample_rate: int | None = None, tap: str = "waveform") -> Clip:
    """Read sound from a file.

    Args:
        path: WAV (16, 24, 32 bit, float), FLAC or Ogg; a `.npy` array; a capture.
        sample_rate: in hertz, for arrays and captures, which do not say.
        tap: which tensor of a capture is the sound; its calls are joined in order.

    Raises:
        InputError: there is no such file, or it cannot be read, or is cut off.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError("no such file", where=str(path))
    if path.suffix.lower() == ".npy":
        return from_array(_array(path), _needed(sample_rate, path), name=str(path))
    if path.suffix.lower() in CAPTURES:
        from parity.store import open_capture  # noqa: PLC0415 - loads h5py

        rate = _needed(sample_rate, path)
        with open_capture(path) as capture:
            return tap_clip(capture, tap, rate)
    return _sound_file(path)


def tap_clip(capture: Capture, tap: str, sample_rate: int) -> Clip:
    """The sound at a tap of an open capture: all its calls, joined along time.

    Raises:
        InputError: the capture holds no such tap, or only its statistics.
    """
    where = f"{capture.path}: {tap}"
    positions = _positions(capture, tap)
    if not positions:
        raise InputError("no such tap", where=where, hint=f"parity show {capture.path}")
    if any(capture.columns.offsets[position] < 0 for position in positions):
        raise InputError("only its statistics were recorded, not the sound", where=where)
    pieces = [np.array(capture.view(position)) for position in positions]
    try:
        joined = pieces[0] if len(pieces) == 1 else np.concatenate(pieces, axis=-1)
    except ValueError:
        raise InputError("its calls have shapes that do not fit together", where=where) from None
    return from_array(joined, sample_rate, name=where)


def _positions(capture: Capture, tap: str) -> list[int]:
    """The records of the tap's first port that is not an input, in order."""
    found = [
        (record.key.port, position)
        for position, record in enumerate(capture.records)
        if record.key.path == tap and record.key.role in {"output", "tap"}
    ]
    return [position for port, position in found if port == found[0][0]]


def _needed(sample_rate: int | None, path: Path) -> int:
    if sample_rate is None:
        raise InputError(
            "does not say its sample rate", where=str(path), hint="--sample-rate 24000"
        )
    return sample_rate


def _array(path: Path) -> np.ndarray[Any, np.dtype[Any]]:
    try:
        return np.asarray(np.load(path, allow_pickle=False))
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"cannot be read as an array: {error}", where=str(path)) from None


def _sound_file(path: Path) -> Clip:
    try:
        import soundfile  # noqa: PLC0415 - loads a native library
    except (ImportError, OSError):
        raise MissingExtraError.of("tts", needed_for="reading sound files") from None
    _refuse_cut_off(path)
    try:
        with soundfile.SoundFile(path) as file:
            if file.frames * file.channels > MAX_SAMPLES:
                raise InputError(f"claims {file.frames:,} samples", where=str(path))
            samples = file.read(dtype="float64", always_2d=True)
            stored = f"{file.format} {file.subtype}"
            rate = int(file.samplerate)
    except soundfile.SoundFileError as error:
        raise InputError(
            f"cannot be read as sound: {str(error).rstrip('.')}",
            where=str(path),
            hint="WAV, FLAC, .npy, or a capture with --tap",
        ) from None
    clip = from_array(samples.T, rate, name=str(path))
    return Clip(clip.samples, rate, str(path), stored)


def _refuse_cut_off(path: Path) -> None:
    """A WAV file shorter than its header says would be read as a shorter sound."""
    with path.open("rb") as file:
        head = file.read(RIFF_HEAD)
    if len(head) < RIFF_HEAD or head[:4] != b"RIFF":
        return
    claimed, there = int.from_bytes(head[4:8], "little"), path.stat().st_size - RIFF_HEAD
    if claimed not in UNKNOWN_LENGTHS and there < claimed - 1:
        raise InputError(
            f"is cut off: its header promises {claimed:,} bytes, {there:,} are there",
            where=str(path),
        )
