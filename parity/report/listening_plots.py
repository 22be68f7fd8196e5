"""Pictures of what listening found: waveforms, error over time, spectrograms, long-term spectra."""

from __future__ import annotations

import math
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from parity.audio import Listening
    from parity.audio.clip import Samples
    from parity.audio.spectrum import Spectrum

__all__ = [
    "listening_svg",
    "plot_error_over_time",
    "plot_listening",
    "plot_long_term",
    "plot_spectrograms",
    "plot_waveforms",
]

REFERENCE, CANDIDATE, FAILING = "#8a8f98", "#2b7a78", "#c0392b"
COLOURS = {"reference": REFERENCE, "candidate": CANDIDATE}
# As many columns as a picture can show; each is drawn from its lowest to its highest sample.
COLUMNS = 1600
SHOWN_DB = 70.0
# What is drawn for an error of zero, on an axis of decibels.
LEAST_DB = -120.0
TINY = 1e-12
TICKS_HZ = (200, 500, 1000, 2000, 4000, 8000, 16000)


def plot_listening(listening: Listening) -> Figure:
    """All pictures on one page."""
    figure = Figure(figsize=(10, 10.5), layout="constrained")
    grid = figure.add_gridspec(4, 3, height_ratios=(1, 0.8, 1, 1))
    waves = figure.add_subplot(grid[0, :])
    plot_waveforms(listening, waves)
    plot_error_over_time(listening, figure.add_subplot(grid[1, :], sharex=waves))
    plot_spectrograms(listening, [figure.add_subplot(grid[2, i]) for i in range(3)])
    plot_long_term(listening, figure.add_subplot(grid[3, :]))
    figure.suptitle(_plain(listening.title), fontsize="medium")
    return figure


def listening_svg(listening: Listening) -> str:
    """The page of `plot_listening` as an SVG element, for embedding in HTML."""
    figure = plot_listening(listening)
    for axes in figure.axes:
        for artist in (*axes.collections, *axes.lines):
            # Thousands of vectors would make the page megabytes large.
            artist.set_rasterized(True)
    buffer = BytesIO()
    figure.savefig(buffer, format="svg", transparent=True, dpi=110, metadata={"Date": None})
    text = buffer.getvalue().decode()
    return text[text.index("<svg") :]


def plot_waveforms(listening: Listening, axes: Axes | None = None) -> Axes:
    """Both waveforms, aligned, one over the other."""
    axes = axes if axes is not None else Figure(figsize=(9, 2.6), layout="constrained").subplots()
    waveform = listening.waveform
    channel = waveform.channel if waveform is not None else 0
    if listening.reference is not None:
        ours = _channel(listening.reference.finite().samples, channel)
        _envelope(axes, ours, listening.reference.sample_rate, start=0, label="reference")
    lag = waveform.lag_samples if waveform is not None else 0
    rate = listening.candidate.sample_rate
    theirs = _channel(listening.candidate.finite().samples, channel)
    _envelope(axes, theirs, rate, start=-lag / rate, label="candidate")
    if np.isfinite(listening.first_bad_s):
        axes.axvline(listening.first_bad_s, color=FAILING, linewidth=1)
        axes.annotate("first bad frame", (listening.first_bad_s, 1), (3, -3), color=FAILING,
                      xycoords=("data", "axes fraction"), textcoords="offset points",
                      fontsize="small", va="top")  # fmt: skip
    axes.set(xlabel="seconds of the reference", ylabel="amplitude")
    axes.margins(x=0)
    axes.legend(loc="upper right", fontsize="small", frameon=False, ncols=2)
    return axes


def _channel(samples: Samples, channel: int) -> Samples:
    chosen: Samples = samples[min(channel, len(samples) - 1)]
    return chosen


def _envelope(axes: Axes, samples: Samples, rate: int, *, start: float, label: str) -> None:
    """A line as thick as the waveform is tall: at most `COLUMNS` columns."""
    step = max(1, samples.size // COLUMNS)
    rows = samples[: samples.size // step * step].reshape(-1, step)
    if not len(rows):
        return
    x = start + np.arange(len(rows)) * step / rate
    axes.fill_between(
        x,
        rows.min(axis=1),
        rows.max(axis=1),
        color=COLOURS[label],
        alpha=0.65,
        linewidth=0.3,
        label=label,
    )


def plot_error_over_time(listening: Listening, axes: Axes | None = None) -> Axes:
    """Error of each 80 ms frame, against the reference's level; bad frames are marked."""
    axes = axes if axes is not None else Figure(figsize=(9, 2.2), layout="constrained").subplots()
    waveform = listening.waveform
    axes.set(xlabel="seconds of the reference", ylabel="error, dB")
    if waveform is None or not waveform.frame_errors.size:
        axes.text(0.5, 0.5, f"no error over time: {_why_none(listening)}",
                  ha="center", transform=axes.transAxes, color=REFERENCE)  # fmt: skip
        axes.set_yticks([])
        return axes
    width = waveform.frame_samples / listening.candidate.sample_rate
    start = max(0, -waveform.lag_samples) / listening.candidate.sample_rate
    x = start + np.arange(waveform.frame_errors.size) * width
    error = np.maximum(20 * np.log10(waveform.frame_errors + TINY), LEAST_DB)
    bad = ~np.isnan(waveform.frames) & ~(waveform.frames >= 0.9)
    colours = np.where(bad, FAILING, CANDIDATE)
    axes.bar(x, error - LEAST_DB, width=width * 0.9, bottom=LEAST_DB, align="edge", color=colours)
    axes.axhline(-40, color=REFERENCE, linewidth=0.8, linestyle="--")
    axes.set_ylim(LEAST_DB, max(10, float(error.max()) + 5))
    return axes


def _why_none(listening: Listening) -> str:
    waveform = listening.waveform
    if waveform is None:
        return "there is no reference"
    if waveform.realisation == "unknown":
        return "one side is silent or too short"
    return "not the same realisation"


def plot_spectrograms(listening: Listening, axes: list[Axes] | None = None) -> list[Axes]:
    """Mel spectrograms of both sides, and their difference where the frames correspond."""
    if axes is None:
        axes = list(Figure(figsize=(10, 2.8), layout="constrained").subplots(1, 3))
    spectra = listening.spectra
    top = max((float(s.mel.max()) for s in spectra), default=0.0) + TINY
    titles = ("reference", "candidate") if len(spectra) == 2 else ("candidate",)
    for place, title, found in zip(axes, titles, spectra, strict=False):
        _spectrogram(place, 10 * np.log10(found.mel / top + TINY), found, title)
    for place in axes[len(spectra) :]:
        place.set_axis_off()
    if len(spectra) == 2:
        axes[2].set_axis_on()
        _difference(axes[2], listening, top)
    return axes


def _spectrogram(axes: Axes, levels: Samples, found: Spectrum, title: str) -> None:
    axes.imshow(levels.T, origin="lower", aspect="auto", cmap="magma", vmin=-SHOWN_DB, vmax=0,
                extent=(0, len(levels) * found.hop_s, 0, levels.shape[1]))  # fmt: skip
    axes.set(title=title, xlabel="s", ylabel="kHz")
    _in_kilohertz(axes, found)
    axes.locator_params(axis="x", nbins=5)


def _in_kilohertz(axes: Axes, found: Spectrum) -> None:
    """Mel bands say little to a reader: ticks at round frequencies."""
    nyquist, bands = float(found.frequencies_hz[-1]), found.mel.shape[1]
    shown = [hz for hz in TICKS_HZ if hz <= nyquist]
    places = [bands * math.log10(1 + hz / 700) / math.log10(1 + nyquist / 700) for hz in shown]
    axes.set_yticks(places, [f"{hz / 1000:g}" for hz in shown])


def _difference(axes: Axes, listening: Listening, top: float) -> None:
    reference, candidate = listening.spectra
    waveform = listening.waveform
    lag = waveform.lag_samples / listening.candidate.sample_rate if waveform is not None else 0.0
    shift = round(lag / reference.hop_s)
    ours, theirs = reference.mel[max(0, -shift) :], candidate.mel[max(0, shift) :]
    count = min(len(ours), len(theirs))
    floor = top * 10 ** (-SHOWN_DB / 10)
    a, b = (10 * np.log10(np.maximum(m[:count], floor)) for m in (ours, theirs))
    image = axes.imshow((b - a).T, origin="lower", aspect="auto", cmap="RdBu_r", vmin=-20, vmax=20,
                        extent=(0, count * reference.hop_s, 0, a.shape[1]))  # fmt: skip
    axes.set(title="difference, dB", xlabel="s", yticks=[])
    axes.locator_params(axis="x", nbins=5)
    figure = axes.get_figure()
    if figure is not None:
        figure.colorbar(image, ax=axes, shrink=0.9)


def plot_long_term(listening: Listening, axes: Axes | None = None) -> Axes:
    """Mean power over frequency of both sides."""
    axes = axes if axes is not None else Figure(figsize=(9, 2.6), layout="constrained").subplots()
    sides = list(zip(("reference", "candidate")[-len(listening.spectra) :], listening.spectra,
                     strict=True))  # fmt: skip
    for label, found in sides:
        axes.plot(found.frequencies_hz[1:] / 1e3, 10 * np.log10(found.power[1:] + TINY),
                  color=COLOURS[label], label=label, linewidth=1.2)  # fmt: skip
    axes.set(xlabel="kHz", ylabel="power, dB")
    axes.margins(x=0)
    axes.legend(loc="upper right", fontsize="small", frameon=False)
    return axes


def _plain(text: str) -> str:
    """A file's name is a name and no formula."""
    return "".join(c if c.isprintable() else "?" for c in text).replace("$", r"\$")
