"""Bytes read in the wrong format: found by writing the samples back and reading them otherwise."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from parity.audio.clip import Samples
from parity.audio.lag import best_lag, correlation, overlap

__all__ = ["header_in_sound", "misread"]

Bytes = Callable[[Samples], bytes]
Values = Callable[[bytes], np.ndarray[Any, Any]]

# Enough of the sound to tell, whatever its length.
PIECE = 1 << 17
# Consecutive samples of real sound are alike; of misread bytes, they are not.
SMOOTH = 0.55
SAME = 0.9


def _pcm(bits: int, kind: str) -> tuple[Bytes, Values]:
    """To the bytes of an integer format and back, at full scale."""
    scale = 2.0 ** (bits - 1)

    def write(samples: Samples) -> bytes:
        limit = (-scale, scale - 1)
        return np.clip(np.round(samples * scale), *limit).astype(kind).tobytes()

    def read(data: bytes) -> np.ndarray[Any, Any]:
        size = np.dtype(kind).itemsize
        return np.frombuffer(data[: len(data) // size * size], kind).astype(np.float64) / scale

    return write, read


def _write_u8(samples: Samples) -> bytes:
    return np.clip(np.round(samples * 128 + 128), 0, 255).astype(np.uint8).tobytes()


def _read_u8(data: bytes) -> np.ndarray[Any, Any]:
    return np.frombuffer(data, np.uint8).astype(np.float64) / 128 - 1


def _write_u16(samples: Samples) -> bytes:
    return np.clip(np.round(samples * 32768 + 32768), 0, 65535).astype("<u2").tobytes()


def _read_u16(data: bytes) -> np.ndarray[Any, Any]:
    return np.frombuffer(data[: len(data) // 2 * 2], "<u2").astype(np.float64) / 32768 - 1


def _floating(kind: str) -> tuple[Bytes, Values]:
    size = np.dtype(kind).itemsize

    def read(data: bytes) -> np.ndarray[Any, Any]:
        return np.frombuffer(data[: len(data) // size * size], kind).astype(np.float64)

    return lambda samples: samples.astype(kind).tobytes(), read


def _write_s24(samples: Samples) -> bytes:
    wide = np.clip(np.round(samples * 2.0**23), -(2**23), 2**23 - 1).astype("<i4")
    return wide.view(np.uint8).reshape(-1, 4)[:, :3].tobytes()


def _read_s24(data: bytes) -> np.ndarray[Any, Any]:
    triples = np.frombuffer(data[: len(data) // 3 * 3], np.uint8).reshape(-1, 3)
    wide = np.concatenate((np.zeros((len(triples), 1), np.uint8), triples), axis=1)
    return np.ascontiguousarray(wide).view("<i4")[:, 0].astype(np.float64) / 2.0**31


_FORMATS: dict[str, tuple[Bytes, Values]] = {
    "16-bit integers": _pcm(16, "<i2"),
    "big-endian 16-bit integers": _pcm(16, ">i2"),
    "32-bit integers": _pcm(32, "<i4"),
    "24-bit integers": (_write_s24, _read_s24),
    "unsigned 16-bit integers": (_write_u16, _read_u16),
    "unsigned 8-bit integers": (_write_u8, _read_u8),
    "32-bit floats": _floating("<f4"),
    "64-bit floats": _floating("<f8"),
    "16-bit floats": _floating("<f2"),
}


def misread(candidate: Samples, reference: Samples | None = None) -> str:
    """Which bytes were taken for which, in words; empty where the sound was read as written.

    Every pair of formats is undone: the samples go back to the bytes that they were read from, and
    those are read in the other format. What then looks like sound, and like the reference where
    there is one, was written so.

    Args:
        candidate: `[samples]`, as it was read, NaN and all.
        reference: `[samples]`.
    """
    piece = candidate[:PIECE]
    finite = np.isfinite(piece)
    if piece.size and finite.mean() > 0.95:
        # A few NaN in sound that is otherwise in order are another matter.
        piece = piece[finite]
    if piece.size < 64 or _sounds(piece):
        return ""
    found = [
        (_fit(values, reference), read_as, written)
        for read_as, written, values in _rereadings(piece)
    ]
    best = max(found, default=(0.0, "", ""))
    return f"{best[2]} were read as {best[1]}" if best[0] > 0 else ""


def _rereadings(piece: Samples) -> Iterator[tuple[str, str, Samples]]:
    with np.errstate(all="ignore"):
        for read_as, (write, _) in _FORMATS.items():
            if "integers" in read_as and not np.abs(piece).max() <= 1:
                # No integer is read as a number beyond full scale.
                continue
            data = write(piece)
            for written, (_, read) in _FORMATS.items():
                if written != read_as:
                    yield read_as, written, read(data)
        if not np.abs(piece).max() <= 1:
            return
        # Half a sample late: the bytes of two neighbours joined to one.
        write, read = _FORMATS["16-bit integers"]
        yield "16-bit integers one byte late", "16-bit integers", read(write(piece)[1:])
        yield "16-bit integers one byte early", "16-bit integers", read(b"\0" + write(piece)[:-1])


def _fit(values: Samples, reference: Samples | None) -> float:
    """How much like sound it is: above 0 only where it plainly is."""
    if values.size < 32 or not _plausible(values):
        return 0.0
    if np.abs(values).max() < 1e-3 or smoothness(values) < SMOOTH:
        return 0.0
    if reference is None:
        return smoothness(values)
    lag = best_lag(reference[:PIECE], values, 4096)
    fit = abs(correlation(*overlap(reference[:PIECE], values, lag)))
    return fit if fit > SAME else 0.0


def _plausible(samples: Samples) -> bool:
    """Whether all numbers are of a size that sound has; few are below the smallest float's."""
    with np.errstate(all="ignore"):
        sizes = np.abs(samples)
        if not np.isfinite(sizes).all() or sizes.max() > 8:
            return False
        return bool(((sizes > 0) & (sizes < 1e-20)).mean() < 0.01)


def _sounds(piece: Samples) -> bool:
    """Whether it is sound as it was read, if only far too loud."""
    if not np.isfinite(piece).all():
        return False
    sized = piece / max(1.0, float(np.abs(piece).max(initial=0)))
    return _plausible(sized) and smoothness(sized) > SMOOTH and not _far(sized)


def _far(samples: Samples) -> bool:
    """Whether most samples are at the ends of the scale, as signed bytes taken for unsigned."""
    sizes = np.abs(samples)
    return bool(np.median(sizes) > 0.5 and (sizes < 0.25).mean() < 0.1)


def smoothness(samples: Samples) -> float:
    """Correlation of each sample with the next; about 0.9 and more for speech."""
    found = correlation(samples[:-1], samples[1:])
    return found if np.isfinite(found) else 0.0


def header_in_sound(samples: Samples) -> str:
    """Whether the sound begins with a file's header taken for samples, in words."""
    piece = samples[:64]
    with np.errstate(all="ignore"):
        for name, (write, _) in _FORMATS.items():
            data = write(piece)
            for magic, kind in ((b"RIFF", "WAV"), (b"fLaC", "FLAC"), (b"OggS", "Ogg")):
                if magic in data[:48]:
                    return f"the header of a {kind} file was decoded as sound ({name})"
    return ""
