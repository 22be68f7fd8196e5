"""Opens a report in Chromium, times its first paint, and takes the pictures of docs/report.md.

    python -m benchmarks.report_pictures reports/pocket-tts-alba-hello-faulty.html

The browser is the Chromium of this machine, which PARITY_CHROMIUM can name; none is downloaded.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

__all__ = ["chromium", "main"]

ROOT = Path(__file__).resolve().parents[1]
IMAGES = ROOT / "docs" / "images"
DESK = {"width": 1180, "height": 900}
PHONE = {"width": 390, "height": 844}
SETTLE_MS = 300
PAINT = "performance.getEntriesByName('first-contentful-paint')[0].startTime"
READY = "html[data-ready=yes]"
# For the slowest of machines; what is measured is measured in the page.
PATIENCE_MS = 180_000


def chromium() -> str:
    """The path of the browser; empty where there is none."""
    named = os.environ.get("PARITY_CHROMIUM", "")
    return named or next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), "")


def main(arguments: Sequence[str] | None = None) -> None:
    """Time it and take its pictures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.report_pictures")
    parser.add_argument("report", type=Path)
    parser.add_argument("--folder", type=Path, default=IMAGES)
    parser.add_argument("--loads", type=int, default=5, help="how often it is timed; 0 for not")
    options = parser.parse_args(arguments)
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - only this needs a browser

    if not chromium():
        sys.exit("no Chromium here: install one, or name it in PARITY_CHROMIUM")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        address = options.report.resolve().as_uri()
        print(f"{options.report.stat().st_size / 1e6:.2f} MB")
        if options.loads:
            _time(browser, address, options.loads)
        _take(_opened(browser, address), options.folder)
        browser.close()


def _opened(browser: Any, address: str) -> Any:
    page = browser.new_context(viewport=DESK).new_page()
    page.set_default_timeout(PATIENCE_MS)
    page.goto(address)
    page.wait_for_selector(READY)
    return page


def _watch(page: Any) -> Any:
    """Counts the main thread's processor time, which other programs do not stretch."""
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})
    return session


def _time(browser: Any, address: str, loads: int) -> None:
    """First contentful paint, and until everything is drawn, each in a context of its own."""
    paints, drawn, busy = [], [], []
    for _ in range(loads):
        page = browser.new_context(viewport=DESK).new_page()
        page.set_default_timeout(PATIENCE_MS)
        session = _watch(page)
        page.goto(address)
        page.wait_for_selector(READY)
        metrics = session.send("Performance.getMetrics")["metrics"]
        busy += [1000 * m["value"] for m in metrics if m["name"] == "TaskDuration"]
        paints.append(page.evaluate(PAINT))
        drawn.append(page.evaluate("performance.now()"))
        page.context.close()
    print(f"first paint: median {statistics.median(paints):.0f} ms, worst {max(paints):.0f} ms")
    print(f"all drawn: median {statistics.median(drawn):.0f} ms, worst {max(drawn):.0f} ms")
    print(f"main thread busy until then: median {statistics.median(busy):.0f} ms")


def _take(page: Any, folder: Path) -> None:
    """All pictures of one page, which changes its clothes on the way."""

    def shoot(name: str, selector: str = "") -> None:
        page.wait_for_timeout(SETTLE_MS)
        shown = page.locator(selector) if selector else page
        shown.screenshot(path=str(folder / f"report-{name}.png"))

    shoot("verdict")
    # What sticks to the top would lie across the pictures of what is longer than the window.
    page.evaluate("document.querySelector('.sections').style.position = 'static'")
    for part in ("where", "model", "listen"):
        shoot(part, f"[id$='-{part}']")
    page.emulate_media(color_scheme="dark")
    shoot("dark", "[id$='-where']")
    page.emulate_media(color_scheme="light")
    page.set_viewport_size({"width": 1060, "height": 1460})
    page.locator("[data-open=tap]").last.click()
    shoot("tensor", "dialog")
    page.keyboard.press("Escape")
    page.set_viewport_size(PHONE)
    page.evaluate("window.scrollTo(0, 0)")
    shoot("phone")


if __name__ == "__main__":
    main()
