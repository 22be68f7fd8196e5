"""The page as a person meets it, in a Chromium that is on this machine; without one, skipped."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.report_pictures import PAINT, PATIENCE_MS, READY, chromium
from parity.diffing import diff
from parity.report.page import page
from parity.report.words import printable
from tests_pages import broken_result, diagnosis, evidence

DESK = {"viewport": {"width": 1100, "height": 800}}
PHONE = {"viewport": {"width": 390, "height": 800}, "has_touch": True}
Open = Callable[..., Any]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if not chromium():
        pytest.skip("no Chromium on this machine; PARITY_CHROMIUM can name one")
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    result, candidate = broken_result(layers=40)
    shown = {"": evidence(result, candidate)}
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(
        page({"": result}, title="port", diagnoses={"": diagnosis()}, evidence=shown), "utf-8"
    )
    return path


@pytest.fixture
def open_page(browser: Any, report: Path) -> Iterator[Open]:
    """Opens the report; at the end nothing may have been complained of, nor asked of a network."""
    complaints: list[str] = []
    contexts = []

    def opened(path: Path = report, **kind: Any) -> Any:
        context = browser.new_context(**(kind or DESK))
        context.set_default_timeout(PATIENCE_MS)
        contexts.append(context)
        one = context.new_page()
        one.on("console", lambda message: complaints.append(message.text))
        one.on("pageerror", lambda error: complaints.append(str(error)))
        one.on("request", lambda request: complaints.append(request.url)
               if request.url.startswith("http") else None)  # fmt: skip
        one.goto(path.as_uri())
        if kind.get("java_script_enabled", True):
            one.wait_for_selector(READY)
        return one

    yield opened
    for context in contexts:
        context.close()
    assert complaints == []


def test_it_opens_on_the_verdict_in_words(open_page: Open) -> None:
    one = open_page()
    box = one.get_by_role("heading", name="Parity does not hold").bounding_box()
    assert box["y"] < 200
    assert one.evaluate(PAINT) > 0
    assert one.title() == "port"


def test_the_first_divergence_opens_and_escape_leads_back(open_page: Open) -> None:
    one = open_page()
    one.get_by_role("button", name="Look at this tensor").click()
    sheet = one.get_by_role("dialog")
    assert "net.layers.4.act" in sheet.inner_text()
    assert "enters here" in sheet.inner_text()
    assert sheet.get_by_role("img").count() >= 3
    one.keyboard.press("Escape")
    assert not sheet.is_visible()


def test_a_finding_leads_to_where_it_shows_first(open_page: Open) -> None:
    one = open_page()
    one.get_by_role("button", name="Look at where it shows first").click()
    assert "net.layers.4.act" in one.get_by_role("dialog").inner_text()


def test_the_table_filters_sorts_and_opens_by_keys(open_page: Open) -> None:
    one = open_page()
    rows = one.locator("[data-part=table] tbody tr")
    # It begins with what fails, in order; the forty layers' failing ones, and three more.
    assert rows.first.locator("th").inner_text() == "net.layers.4.act"
    one.get_by_label("Verdict", exact=True).select_option("")
    one.get_by_label("Filter rows").fill("layers.3*act")
    assert rows.count() == 11
    header = one.get_by_role("columnheader", name="rel. error")
    header.get_by_role("button").focus()
    one.keyboard.press("Enter")
    assert header.get_attribute("aria-sort") == "descending"
    one.get_by_label("Filter rows").fill("no such tap")
    assert one.get_by_text("No row passes these filters.").is_visible()
    one.get_by_label("Filter rows").fill("layers.6.")
    rows.first.get_by_role("button").focus()
    one.keyboard.press("Enter")
    assert "NaN or infinite" in one.get_by_role("dialog").inner_text()


def test_pages_of_the_table_turn(open_page: Open) -> None:
    one = open_page()
    one.get_by_label("Verdict", exact=True).select_option("")
    assert one.locator("[data-part=table] tbody tr").count() <= 50
    assert one.get_by_role("button", name="← previous").is_disabled()


def test_the_heat_map_is_walked_by_arrows_and_entered_by_enter(open_page: Open) -> None:
    one = open_page()
    one.get_by_role("button", name="net.layers, ").click()  # a box of the model
    canvas = one.get_by_role("application")
    canvas.focus()
    for _ in range(4):
        one.keyboard.press("ArrowDown")
    assert "net.layers.4.act" in one.locator("[data-part=grid-readout]").inner_text()
    one.keyboard.press("Enter")
    assert "net.layers.4.act" in one.get_by_role("dialog").inner_text()


def test_going_into_a_module_narrows_the_table_and_leads_back(open_page: Open) -> None:
    one = open_page()
    one.get_by_role("button", name="net.layers, ").click()
    assert one.get_by_label("Filter rows").input_value() == "net.layers"
    one.get_by_role("button", name="whole model").click()
    assert one.get_by_label("Filter rows").input_value() == ""


def test_a_click_on_the_heat_map_and_on_the_curve_opens_a_tensor(open_page: Open) -> None:
    one = open_page()
    canvas = one.get_by_role("application")
    canvas.scroll_into_view_if_needed()
    canvas.click(position={"x": 4, "y": 4})
    assert one.get_by_role("dialog").is_visible()
    one.keyboard.press("Escape")
    one.locator("[data-part=growth] .u-over").click()
    assert one.get_by_role("dialog").is_visible()


def test_hostile_names_are_text_wherever_they_show(open_page: Open) -> None:
    one = open_page()
    hostile = printable(broken_result()[0].table.keys[12].path)
    one.get_by_label("Filter rows").fill("onerror")
    row = one.locator("[data-part=table] tbody tr").first
    assert row.locator("th").inner_text() == hostile
    row.click()
    assert one.get_by_role("dialog").get_by_role("heading").first.inner_text() == hostile
    assert one.locator("img").count() == 0
    assert one.title() == "port"


def test_sides_of_a_sound_change_at_the_same_instant(open_page: Open) -> None:
    one = open_page()
    swap = one.get_by_role("button", name="Hearing:")
    swap.focus()
    one.keyboard.press("x")
    assert swap.get_attribute("aria-pressed") == "true"
    assert "B candidate" in swap.inner_text()
    assert one.locator("audio").evaluate_all("all => all.map(a => a.duration)") == [1, 1]


def test_it_is_dark_where_that_is_wished_and_on_the_button(open_page: Open) -> None:
    paper = "getComputedStyle(document.body).backgroundColor"
    one = open_page(color_scheme="dark", **DESK)
    dark = one.evaluate(paper)
    one.get_by_role("button", name="Light").click()
    light = one.evaluate(paper)
    assert dark != light
    assert light == open_page().evaluate(paper)


def test_a_phone_shows_it_without_scrolling_sideways(open_page: Open) -> None:
    one = open_page(**PHONE)
    assert one.evaluate("document.documentElement.scrollWidth") <= 390
    one.get_by_role("button", name="Look at this tensor").click()
    assert one.get_by_role("dialog").bounding_box()["width"] <= 390


def test_printed_it_has_the_evidence_and_no_controls(open_page: Open) -> None:
    one = open_page()
    one.emulate_media(media="print")
    assert not one.get_by_label("Filter rows").is_visible()
    assert not one.get_by_label("colour").is_visible()
    assert one.get_by_text("residual.scale").is_visible()
    assert one.pdf()[:5] == b"%PDF-"


def test_without_scripts_the_verdict_causes_and_worst_rows_are_there(open_page: Open) -> None:
    one = open_page(java_script_enabled=False, **DESK)
    assert one.get_by_role("heading", name="Parity does not hold").is_visible()
    assert one.get_by_role("cell", name="divergent").first.is_visible()
    assert not one.get_by_label("Filter rows").is_visible()


def test_every_control_has_a_name(open_page: Open) -> None:
    one = open_page()
    nameless = """() => [...document.querySelectorAll('button, select, input, canvas[tabindex]')]
        .filter(n => n.checkVisibility() && !(n.ariaLabel || n.textContent.trim()
            || (n.labels && n.labels.length))).map(n => n.outerHTML.slice(0, 90))"""
    assert one.evaluate(nameless) == []


def test_an_inline_handler_would_not_run_and_would_be_noticed(browser: Any, report: Path) -> None:
    """The fault planted, so that the silence of the other tests means something."""
    bad = report.with_name("bad.html")
    planted = "<main><p onclick='document.title = 1'>here</p>"
    bad.write_text(report.read_text("utf-8").replace("<main>", planted), "utf-8")
    one = browser.new_page()
    messages: list[str] = []
    one.on("console", lambda message: messages.append(message.text))
    one.goto(bad.as_uri())
    one.get_by_text("here", exact=True).click()
    one.wait_for_selector(READY)
    assert one.title() == "port"
    assert any("Content Security Policy" in message for message in messages)
    one.close()


@pytest.mark.parametrize("arrays", [{}, {"a": [1.0, 2.0]}])
def test_a_page_of_nothing_wrong_or_nothing_at_all_opens(
    open_page: Open, tmp_path: Path, arrays: dict[str, Any]
) -> None:
    result = diff(arrays, arrays)
    path = tmp_path / "held.html"
    path.write_text(page({"": result}, title="t", diagnoses={}, evidence={}), "utf-8")
    one = open_page(path)
    expected = "Parity holds" if arrays else "Nothing can be concluded"
    assert one.get_by_role("heading", name=expected).is_visible()


def test_names_that_do_not_meet_are_rows_and_not_nothing(open_page: Open, tmp_path: Path) -> None:
    path = tmp_path / "apart.html"
    result = diff({"a": [1.0, 2.0]}, {"b": [1.0, 2.0]})
    path.write_text(page({"": result}, title="t", diagnoses={}, evidence={}), "utf-8")
    assert not open_page(path).get_by_text("There is no row").is_visible()
    still = open_page(path, java_script_enabled=False, **DESK)
    assert still.get_by_role("cell", name="missing in the candidate", exact=True).is_visible()


def test_what_is_not_finite_is_told_apart_from_a_large_error(
    open_page: Open, tmp_path: Path
) -> None:
    path = tmp_path / "nan.html"
    reference = {"a": np.arange(3.0), "b": np.arange(4.0)}
    result = diff(reference, {"a": np.array([0.0, np.nan, 2.0]), "b": np.arange(4.0)})
    path.write_text(page({"": result}, title="t", diagnoses={}, evidence={}), "utf-8")
    one = open_page(path)
    assert one.get_by_text("NaN or infinite on one side, drawn at the top").is_visible()
    assert not one.get_by_text("largest difference").is_visible()


def test_a_tall_heat_map_scrolls_under_the_keys_and_stays_off_paper(
    open_page: Open, tmp_path: Path
) -> None:
    path = tmp_path / "tall.html"
    reference = {f"net.{i}.{part}": np.arange(4.0) + i for i in range(200) for part in "qk"}
    result = diff(reference, {name: array * 1.01 for name, array in reference.items()})
    path.write_text(page({"": result}, title="t", diagnoses={}, evidence={}), "utf-8")
    one = open_page(path)
    grid = one.locator("[data-part=grid]")
    assert grid.bounding_box()["height"] <= DESK["viewport"]["height"]
    grid.locator("canvas").focus()
    for _ in range(80):
        one.keyboard.press("ArrowDown")
    assert grid.evaluate("grid => grid.scrollTop") > 0
    one.emulate_media(media="print")
    assert not grid.locator("canvas").is_visible()


def test_paper_is_light_also_from_the_dark(open_page: Open) -> None:
    one = open_page(color_scheme="dark", **DESK)
    one.evaluate("""() => window.addEventListener('beforeprint', () => {
        window.printed = getComputedStyle(document.documentElement).colorScheme; })""")
    one.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    assert one.evaluate("window.printed") == "light"
    one.evaluate("window.dispatchEvent(new Event('afterprint'))")
    assert one.evaluate("getComputedStyle(document.documentElement).colorScheme") == "dark"
