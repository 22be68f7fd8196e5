"""What a notebook shows: sentences and pictures that say it, and names that stay text."""

import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

import parity
from parity.diffing import DiffResult
from parity.errors import InputError
from parity.localize.localization import Localization, Origin, TapError
from parity.localize.noise_floors import Floors
from parity.notebook.card import Card, Table, render
from parity.notebook.plots.canvas import EXACT, label, on_log_axis
from parity.notebook.plots.tensors import as_image
from parity.tensors import TapKey

HOSTILE = "<script>alert(1)</script>$x$\x1b[31m"


def axes() -> Any:
    return Figure().subplots()


@pytest.fixture
def result() -> DiffResult:
    rng = np.random.default_rng(0)
    ours = {name: rng.normal(size=(2, 8)).astype("float32") for name in ("a", HOSTILE, "c")}
    theirs = {**ours, HOSTILE: ours[HOSTILE] * 1.5}
    return parity.diff(ours, theirs, output="c")


@pytest.fixture
def places() -> Localization:
    taps = (
        TapError(TapKey("a"), -1, 0.0, 0.0, 1e-7, Origin.NONE),
        TapError(TapKey(HOSTILE), -1, 0.5, 0.5, 1e-7, Origin.ORIGIN, 0.75),
        TapError(TapKey("c"), -1, 0.4, 1e-8, 1e-7, Origin.INHERITED),
    )
    return Localization(taps, "c", 0.4, ("a note",))


@pytest.fixture
def floors() -> Floors:
    keys = (TapKey("a"), TapKey(HOSTILE))
    known = np.array([1e-7, 3e-7])
    return Floors(keys, {"float32": known, "float16": known * 1e4}, {}, facts={})


@pytest.fixture
def capture(capture_of: Callable[..., Path]) -> parity.Capture:
    calls = [np.full((4, 6), float(i), "float32") for i in range(3)]
    return parity.open(
        capture_of("run.h5", [*(("net.norm", one) for one in calls), ("x<b>", calls[0])])
    )


def assert_safe(html: str) -> None:
    assert html.startswith('<div class="parity-card')
    assert html.rstrip().endswith("</div>")
    assert "<script" not in html
    assert "\x1b" not in html


def test_a_comparison_shows_its_verdict_the_place_and_the_picture(result: DiffResult) -> None:
    html = result._repr_html_()
    assert_safe(html)
    assert "parity-card bad" in html
    assert str(result).split(".")[0] in html
    assert "&lt;script&gt;alert(1)" in html
    assert "<svg" in html
    assert html.count('class="failing"') == 1


def test_a_comparison_that_holds_looks_so() -> None:
    values = {"a": np.arange(4.0)}
    html = parity.diff(values, values)._repr_html_()
    assert "parity-card good" in html
    assert 'class="failing"' not in html


def test_a_comparison_of_nothing_does_not_look_good() -> None:
    html = parity.diff({"a": np.ones(3)}, {"b": np.ones(3)})._repr_html_()
    assert "parity-card good" not in html


def test_a_localisation_shows_where_errors_enter(places: Localization) -> None:
    html = places._repr_html_()
    assert_safe(html)
    assert "75 %" in html
    assert "1 of 1 taps" in html
    assert "a note" in html


def test_floors_show_the_largest(floors: Floors) -> None:
    html = floors._repr_html_()
    assert_safe(html)
    assert "median 2.0e-07, largest 3.0e-07" in html


def test_a_capture_a_tap_and_its_calls_show_themselves(capture: parity.Capture) -> None:
    whole = capture._repr_html_()
    assert_safe(whole)
    assert "4 records at 2 taps" in whole
    assert "x&lt;b&gt;" in whole
    assert "float32[4,6]" in capture["net.norm"]._repr_html_()
    calls = capture["net.norm"].tap
    assert "net.norm:tap: 3 calls" in calls._repr_html_()
    assert "<svg" in calls._repr_html_()


def test_what_was_not_kept_has_no_picture(capture_of: Callable[..., Path]) -> None:
    path = capture_of("stats.h5", {"a": np.arange(4.0)}, tier="stats")
    with parity.open(path) as capture:
        html = capture["a"].tap._repr_html_()
    assert "<svg" not in html
    assert "1.5" in html


def test_taps_and_calls_are_tables(capture: parity.Capture) -> None:
    assert capture["net.norm"].to_frame()["call"].tolist() == [0, 1, 2]
    assert capture["net.norm"].tap.to_frame()["mean"].tolist() == [0.0, 1.0, 2.0]


def test_errors_are_drawn_where_they_belong(result: DiffResult) -> None:
    drawn = result.plot.worst(axes(), count=2)
    assert drawn.patches[0].get_width() + EXACT == pytest.approx(0.5)
    assert drawn.get_yticklabels()[0].get_text() == label(HOSTILE)
    heat = result.plot.heat(axes()).images[0].get_array()
    nothing = math.log10(EXACT)
    assert heat[:, 0].tolist() == pytest.approx([nothing, math.log10(0.5), nothing])
    assert result.plot(axes()).get_yscale() == "log"


def test_a_phase_without_tensors_is_an_error(result: DiffResult) -> None:
    with pytest.raises(InputError, match="no tensor was compared in phase 'generate'"):
        result.plot.heat(axes(), phase="generate")


def test_origins_stand_out(places: Localization) -> None:
    legend = places.plot(axes()).get_legend()
    assert [text.get_text() for text in legend.get_texts()] == [
        "does not differ (1)", "inherited (1)", "origin: enters here (1)",
    ]  # fmt: skip
    assert places.plot.shares(axes()).patches[0].get_width() == 75
    assert places.plot.local(axes()).collections


def test_floors_have_one_line_a_precision(floors: Floors) -> None:
    assert [line.get_label() for line in floors.plot(axes()).lines] == ["float32", "float16"]


def test_two_tensors_lie_side_by_side(capture: parity.Capture) -> None:
    calls = capture["net.norm"].tap
    one, two, three = calls.plot.beside(capture["net.norm"].tap, 1)
    assert [a.get_title() for a in (one, two, three)] == [
        "reference", "candidate", "candidate − reference",
    ]  # fmt: skip
    assert not three.images[0].get_array().any()
    assert one.images[0].get_clim() == two.images[0].get_clim() == (-1, 1)
    assert calls.plot(2, axes()).images[0].get_array().max() == 2
    assert len(capture.plot(axes()).lines) == 2


def test_tensors_of_other_shapes_have_no_difference(capture_of: Callable[..., Path]) -> None:
    both = parity.open(capture_of("two.h5", {"a": np.ones(3), "b": np.ones(4)}))
    with pytest.raises(InputError, match="have no difference"):
        both["a"].tap.plot.beside(both["b"].tap)


@pytest.mark.parametrize("shape", [(), (0,), (5,), (2, 0, 3), (2, 3, 4), (3000, 2), (1, 5000)])
def test_any_shape_becomes_rows(shape: tuple[int, ...]) -> None:
    image = as_image(np.zeros(shape))
    assert image.ndim == 2
    assert max(image.shape) <= 1024


def test_what_is_not_finite_is_drawn_above_all_else() -> None:
    drawn = on_log_axis(np.array([0.0, 0.5, math.nan, math.inf]))
    assert drawn[0] == EXACT
    assert drawn[2] == drawn[3] > drawn[1]


def test_every_text_of_a_card_is_escaped() -> None:
    html = render(
        Card(HOSTILE, "bad", [(HOSTILE, HOSTILE)], "", HOSTILE,
             Table(HOSTILE, [HOSTILE], [[HOSTILE]]), [HOSTILE])
    )  # fmt: skip
    assert_safe(html)
    assert html.count("&lt;script&gt;") == 7


def test_importing_the_library_loads_no_picture() -> None:
    code = "import sys, parity.diffing, parity.store; print('matplotlib' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
