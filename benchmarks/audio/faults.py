"""Ways to break a sound, and ways to change it that nobody hears. Each is a function of samples.

`audible` says whether a listener to both would notice: of inaudible changes no layer may fail.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from scipy.signal import butter, istft, resample, resample_poly, sosfiltfilt, stft

__all__ = ["FAULTS", "FRAME", "RATE", "Fault"]

Samples = np.ndarray[tuple[int], np.dtype[np.float64]]
Change = Callable[[Samples], np.ndarray]

RATE, FRAME = 16000, 1280


@dataclass(frozen=True, slots=True)
class Fault:
    """One change.

    Attributes:
        group: what kind it is.
        change: `[samples] -> [samples]`, or `[channels, samples]`.
        audible: whether one hears it.
        rate: of the changed samples, in hertz, as their label says.
    """

    group: str
    change: Change
    audible: bool = True
    rate: int = RATE


def _frames(x: Samples) -> tuple[np.ndarray, Samples]:
    count = x.size // FRAME
    return x[: count * FRAME].reshape(count, FRAME).copy(), x[count * FRAME :]


def _rms(x: Samples) -> float:
    return float(np.sqrt((x**2).mean()))


def _noise(db: float) -> Change:
    def change(x: Samples) -> Samples:
        drawn = np.random.default_rng(0).standard_normal(x.size)
        return x + drawn * _rms(x) / _rms(drawn) * 10 ** (-db / 20)

    return change


def _filter(cut: float | tuple[float, float], kind: str) -> Change:
    sos = butter(6, cut, kind, fs=RATE, output="sos")
    return lambda x: sosfiltfilt(sos, x)


def _hole(low: float, high: float) -> Change:
    sos = butter(4, (low, high), "bandpass", fs=RATE, output="sos")
    return lambda x: x - sosfiltfilt(sos, x)


def _resampled(x: Samples, factor: Fraction) -> Samples:
    return resample_poly(x, factor.numerator, factor.denominator)


def _mislabelled(true: int) -> Change:
    """Samples of another rate under our label."""
    return lambda x: _resampled(x, Fraction(true, RATE))


def _there_and_back(rate: int) -> Change:
    ratio = Fraction(rate, RATE)
    return lambda x: _resampled(_resampled(x, ratio), 1 / ratio)[: x.size]


def _held(x: Samples) -> Samples:
    return np.repeat(x[::2], 2)[: x.size]


def _squash(by: float) -> Change:
    return lambda x: np.tanh(by * x)


def _clip(at: float) -> Change:
    return lambda x: np.clip(x, -at, at)


def _bits(count: int) -> Change:
    return lambda x: np.round(x * 2 ** (count - 1)) / 2 ** (count - 1)


def _zeroed(share: float) -> Change:
    def change(x: Samples) -> Samples:
        rows, rest = _frames(x)
        chosen = np.random.default_rng(1).choice(
            np.arange(4, len(rows) - 4), max(1, round(share * len(rows))), replace=False
        )
        rows[chosen] = 0
        return np.concatenate((rows.ravel(), rest))

    return change


def _dropouts(milliseconds: float, count: int) -> Change:
    def change(x: Samples) -> Samples:
        x, size = x.copy(), int(milliseconds * RATE / 1e3)
        loud = np.flatnonzero(np.abs(x) > 0.3 * np.abs(x).max())
        for at in np.random.default_rng(3).choice(loud[loud < x.size - size], count):
            x[at : at + size] = 0
        return x

    return change


def _lost_a_sample_a_frame(x: Samples) -> Samples:
    rows, rest = _frames(x)
    return np.concatenate((rows[:, :-1].ravel(), rest))


def _lost_a_frame(x: Samples) -> Samples:
    at = _middle(x)
    return np.concatenate((x[:at], x[at + FRAME :]))


def _twice_a_frame(x: Samples) -> Samples:
    at = _middle(x)
    return np.concatenate((x[: at + FRAME], x[at:]))


def _middle(x: Samples) -> int:
    return x.size // 2 // FRAME * FRAME


def _drift(ppm: float) -> Change:
    def change(x: Samples) -> Samples:
        places = np.arange(int(x.size / (1 - ppm * 1e-6))) * (1 - ppm * 1e-6)
        fine = resample(x, 64 * x.size)
        return np.interp(places * 64, np.arange(fine.size), fine)

    return change


def _delayed(samples: float) -> Change:
    """A delay between samples, exact for a sound that begins and ends in silence."""

    def change(x: Samples) -> Samples:
        turn = np.exp(-2j * np.pi * samples * np.fft.rfftfreq(x.size))
        return np.fft.irfft(np.fft.rfft(x) * turn, x.size)

    return change


def _clicks(size: float) -> Change:
    def change(x: Samples) -> Samples:
        x = x.copy()
        at = np.arange(FRAME, x.size, FRAME)
        x[at] += size * np.where(np.arange(at.size) % 2, 1, -1)
        return x

    return change


def _one_click(x: Samples) -> Samples:
    x = x.copy()
    x[_middle(x) + 700] += 0.3
    return x


def _offsets(size: float) -> Change:
    """A new constant a chunk: a convolution's state is lost."""

    def change(x: Samples) -> Samples:
        drawn = np.random.default_rng(2).uniform(-1, 1, x.size // FRAME + 1)
        return x + size * np.repeat(drawn, FRAME)[: x.size]

    return change


def _ramps(x: Samples) -> Samples:
    """Each chunk fades in over 5 ms: it begins from silence."""
    x, ramp = x.copy(), np.linspace(0, 1, RATE // 200)
    for start in range(0, x.size - ramp.size, FRAME):
        x[start : start + ramp.size] *= ramp
    return x


def _no_overlap(x: Samples) -> Samples:
    """Overlap-add without the overlap: the first 10 ms of a chunk are half as loud."""
    x, size = x.copy(), RATE // 100
    for start in range(FRAME, x.size - size, FRAME):
        x[start : start + size] *= 0.5
    return x


def _swapped(x: Samples) -> Samples:
    rows, rest = _frames(x)
    even = rows[: len(rows) // 2 * 2]
    return np.concatenate((even.reshape(-1, 2, FRAME)[:, ::-1].ravel(), rest))


def _frames_backwards(x: Samples) -> Samples:
    rows, rest = _frames(x)
    return np.concatenate((rows[:, ::-1].ravel(), rest))


def _random_phases(x: Samples) -> Samples:
    _, _, z = stft(x, RATE, nperseg=1024, noverlap=768)
    drawn = np.exp(2j * np.pi * np.random.default_rng(3).random(z.shape))
    return istft(np.abs(z) * drawn, RATE, nperseg=1024, noverlap=768)[1][: x.size]


def _pcm16(x: Samples) -> np.ndarray:
    return (np.clip(x, -1, 1) * 32767).astype("<i2")


def _read(data: bytes, kind: str, scale: float) -> np.ndarray:
    size = np.dtype(kind).itemsize
    with np.errstate(invalid="ignore"):
        return np.frombuffer(data[: len(data) // size * size], kind).astype(np.float64) / scale


def _mulaw_as_linear(x: Samples) -> Samples:
    """Companded samples that nobody expanded."""
    return np.sign(x) * np.log1p(255 * np.abs(np.clip(x, -1, 1))) / np.log(256)


def _with_header(x: Samples) -> Samples:
    head = b"RIFF\x24\x08\x00\x00WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00" + bytes(20)
    return _read(head[:44] + _pcm16(x).tobytes(), "<i2", 32768)


def _nan(x: Samples) -> Samples:
    x = x.copy()
    x[_middle(x) : _middle(x) + 100] = np.nan
    return x


def _stuck(x: Samples) -> Samples:
    x = x.copy()
    x[_middle(x) : _middle(x) + FRAME] = x[_middle(x)]
    return x


def _diverges(x: Samples) -> Samples:
    at = _middle(x)
    return np.concatenate((x[:at], x[at:][::-1]))


def _hum(x: Samples) -> Samples:
    return x + 0.02 * np.sin(2 * np.pi * 50 * np.arange(x.size) / RATE)


def _echo(x: Samples) -> Samples:
    return x + 0.4 * np.concatenate((np.zeros(RATE // 8), x[: -RATE // 8]))


def _overflow(x: Samples) -> Samples:
    return ((4 * x * 32768).astype(np.int64) + 32768) % 65536 / 32768 - 1


def _without(x: Samples, frame: int) -> Samples:
    return np.concatenate((x[: frame * FRAME], x[(frame + 1) * FRAME :]))


def _pause(x: Samples) -> Samples:
    return np.concatenate((x[: _middle(x)], np.zeros(RATE // 2), x[_middle(x) :]))


def _exchanged(x: Samples) -> Samples:
    rows, rest = _frames(x)
    at = len(rows) // 2
    rows[[at, at + 1]] = rows[[at + 1, at]]
    return np.concatenate((rows.ravel(), rest))


def _first_zero(x: Samples) -> Samples:
    x = x.copy()
    x[: 4 * FRAME] = 0
    return x


def _stretched(x: Samples, speed: float = 0.9, size: int = 768, search: int = 200) -> Samples:
    """Overlap-add of windows taken faster than they are laid, each where it fits the last best."""
    hop, window = size // 2, np.hanning(size + 1)[:-1]
    y, last = np.zeros(int(x.size / speed) + size), 0
    for at in range(0, y.size - 2 * size, hop):
        near = int(at * speed)
        low, want = max(0, near - search), x[last + hop : last + hop + size]
        places = range(low, min(near + search, x.size - size), 2)
        if not places or want.size < size:
            break
        last = max(places, key=lambda p: float(x[p : p + size] @ want)) if at else 0
        y[at : at + size] += window * x[last : last + size]
    return y[: int(x.size / speed)]


def _dither(x: Samples) -> Samples:
    drawn = np.random.default_rng(5).random((2, x.size))
    return np.round(x * 32768 + drawn[0] - drawn[1]) / 32768


def _late(count: int) -> Change:
    return lambda x: np.concatenate((np.zeros(count), x))


def _tail_noise(x: Samples) -> Samples:
    return np.concatenate((x, 0.05 * np.random.default_rng(0).standard_normal(RATE)))


FAULTS: Mapping[str, Fault] = {
    # What nobody hears.
    "unchanged": Fault("benign", lambda x: x, audible=False),
    "float32": Fault("benign", lambda x: x.astype(np.float32), audible=False),
    "float16": Fault("benign", lambda x: x.astype(np.float16), audible=False),
    "16 bits": Fault("benign", _bits(16), audible=False),
    "16 bits with dither": Fault("benign", _dither, audible=False),
    "one sample late": Fault("benign", _late(1), audible=False),
    "one sample early": Fault("benign", lambda x: x[1:], audible=False),
    "gain 0.995": Fault("benign", lambda x: 0.995 * x, audible=False),
    "noise 60 dB down": Fault("benign", _noise(60), audible=False),
    "30 ms of silence more": Fault(
        "benign", lambda x: np.concatenate((x, np.zeros(480))), audible=False
    ),
    "clock 20 ppm off": Fault("benign", _drift(20), audible=False),
    "half a sample late": Fault("benign", _delayed(0.5), audible=False),
    "rate up and down again": Fault("benign", _there_and_back(48000), audible=False),
    "written at 48 kHz": Fault("benign", _mislabelled(48000), audible=False, rate=48000),
    "mono as two equal channels": Fault("benign", lambda x: np.stack((x, x)), audible=False),
    "DC of 1e-4": Fault("benign", lambda x: x + 1e-4, audible=False),
    "written at 44.1 kHz by another converter": Fault(
        "benign", lambda x: resample(x, x.size * 44100 // RATE), audible=False, rate=44100
    ),
    "DC of 1e-3": Fault("benign", lambda x: x + 1e-3, audible=False),
    # Bytes and labels.
    "float32 read as int16": Fault(
        "format", lambda x: _read(x.astype("<f4").tobytes(), "<i2", 32768)
    ),
    "int16 read as float32": Fault("format", lambda x: _read(_pcm16(x).tobytes(), "<f4", 1)),
    "int16 read big-endian": Fault("format", lambda x: _read(_pcm16(x).tobytes(), ">i2", 32768)),
    "int16 read one byte late": Fault(
        "format", lambda x: _read(_pcm16(x).tobytes()[1:], "<i2", 32768)
    ),
    "int16 read as unsigned 8-bit": Fault(
        "format", lambda x: _read(_pcm16(x).tobytes(), "u1", 128) - 1
    ),
    "int16 read as unsigned 16-bit": Fault(
        "format", lambda x: _read(_pcm16(x).tobytes(), "<u2", 32768) - 1
    ),
    "int32 read as int16": Fault(
        "format", lambda x: _read((x * 2**31 * 0.999).astype("<i4").tobytes(), "<i2", 32768)
    ),
    "WAV header decoded as sound": Fault("format", _with_header),
    "mu-law not expanded": Fault("format", _mulaw_as_linear),
    "stereo read as mono": Fault("format", lambda x: np.repeat(x, 2)),
    "8 kHz labelled 16 kHz": Fault("format", _mislabelled(8000)),
    "22.05 kHz labelled 16 kHz": Fault("format", _mislabelled(22050)),
    "24 kHz labelled 16 kHz": Fault("format", _mislabelled(24000)),
    "48 kHz labelled 16 kHz": Fault("format", _mislabelled(48000)),
    "second channel silent": Fault("format", lambda x: np.stack((x, 0 * x))),
    "second channel of opposite sign": Fault("format", lambda x: np.stack((x, -x))),
    # Size and shape of the samples.
    "gain 10": Fault("level", lambda x: 10 * x),
    "gain 10, clipped": Fault("level", lambda x: np.clip(10 * x, -1, 1)),
    "gain 0.1": Fault("level", lambda x: 0.1 * x),
    "gain 0.01": Fault("level", lambda x: 0.01 * x),
    "sign flipped": Fault("level", lambda x: -x),
    "DC of 0.1": Fault("level", lambda x: x + 0.1),
    "DC of 0.02": Fault("level", lambda x: x + 0.02),
    "tanh": Fault("level", _squash(1.0)),
    "tanh(5x)": Fault("level", _squash(5.0)),
    "clipped at 0.2": Fault("level", _clip(0.2)),
    "8 bits": Fault("level", _bits(8)),
    "6 bits": Fault("level", _bits(6)),
    "4 bits": Fault("level", _bits(4)),
    "integers that overflow": Fault("level", _overflow),
    "gain falls to a half": Fault("level", lambda x: x * np.linspace(1, 0.5, x.size)),
    # Time.
    "three frames late": Fault("time", _late(3 * FRAME)),
    "last fifth missing": Fault("time", lambda x: x[: int(0.8 * x.size)]),
    "second half missing": Fault("time", lambda x: x[: x.size // 2]),
    "last half second twice": Fault("time", lambda x: np.concatenate((x, x[-RATE // 2 :]))),
    "a second of noise more": Fault("time", _tail_noise),
    "a sample lost each frame": Fault("time", _lost_a_sample_a_frame),
    "a frame lost": Fault("time", _lost_a_frame),
    "a frame twice": Fault("time", _twice_a_frame),
    "a frame lost, and a gain of 0.8": Fault("time", lambda x: 0.8 * _lost_a_frame(x)),
    "two frames lost apart": Fault("time", lambda x: _without(_without(x, 10), 20)),
    "five samples lost": Fault(
        "time", lambda x: np.concatenate((x[: _middle(x)], x[_middle(x) + 5 :]))
    ),
    "half a second of silence within": Fault("time", _pause),
    "clock 500 ppm off": Fault("time", _drift(500)),
    "two percent faster": Fault("time", lambda x: resample(x, int(x.size / 1.02))),
    "stretched by a tenth": Fault("time", _stretched),
    "two frames exchanged": Fault("time", _exchanged),
    "frames swapped in pairs": Fault("time", _swapped),
    "frames backwards": Fault("time", _frames_backwards),
    "all backwards": Fault("time", lambda x: x[::-1]),
    "another sound after half": Fault("time", _diverges),
    # Streaming and decoding.
    "the first four frames zero": Fault("chunks", _first_zero),
    "a tenth of the frames zero": Fault("chunks", _zeroed(0.1)),
    "half of the frames zero": Fault("chunks", _zeroed(0.5)),
    "five dropouts of 10 ms": Fault("chunks", _dropouts(10, 5)),
    "clicks of 0.1 each frame": Fault("chunks", _clicks(0.1)),
    "clicks of 0.03 each frame": Fault("chunks", _clicks(0.03)),
    "one click of 0.3": Fault("chunks", _one_click),
    "an offset of 0.02 each frame": Fault("chunks", _offsets(0.02)),
    "5 ms fade-in each frame": Fault("chunks", _ramps),
    "overlap-add without overlap": Fault("chunks", _no_overlap),
    "stuck for 80 ms": Fault("chunks", _stuck),
    "100 samples NaN": Fault("chunks", _nan),
    # Spectrum and noise.
    "noise 40 dB down": Fault("spectrum", _noise(39.5)),
    "noise 30 dB down": Fault("spectrum", _noise(30)),
    "noise 20 dB down": Fault("spectrum", _noise(20)),
    "noise 10 dB down": Fault("spectrum", _noise(10)),
    "noise as loud": Fault("spectrum", _noise(0)),
    "low-passed at 4 kHz": Fault("spectrum", _filter(4000, "lowpass")),
    "low-passed at 1 kHz": Fault("spectrum", _filter(1000, "lowpass")),
    "high-passed at 1 kHz": Fault("spectrum", _filter(1000, "highpass")),
    "no 1 to 2.5 kHz": Fault("spectrum", _hole(1000, 2500)),
    "each second sample held": Fault("spectrum", _held),
    "random phases": Fault("spectrum", _random_phases),
    "mains hum": Fault("spectrum", _hum),
    "a tone of 1 kHz": Fault(
        "spectrum", lambda x: x + 0.01 * np.sin(2 * np.pi * 1000 * np.arange(x.size) / RATE)
    ),
    "echo": Fault("spectrum", _echo),
    "white noise": Fault(
        "spectrum", lambda x: 0.1 * np.random.default_rng(9).standard_normal(x.size)
    ),
    "silence": Fault("spectrum", lambda x: 0 * x),
}
