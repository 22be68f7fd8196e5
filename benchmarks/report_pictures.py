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
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

__all__ = ["chromium", "main"]

ROOT = Path(__file__).resolve().parents[1]
IMAGES = ROOT / "docs" / "images"
LOADS = 5
DESK = {"viewport": {"width": 1180, "height": 900}}
PHONE = {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 2}
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
    options = parser.parse_args(arguments)
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - only this needs a browser

    if not chromium():
        sys.exit("no Chromium here: install one, or name it in PARITY_CHROMIUM")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        address = options.report.resolve().as_uri()
        print(f"{options.report.stat().st_size / 1e6:.2f} MB")
        _time(browser, address)
        for name, (kind, take) in PICTURES.items():
            page = _opened(browser, address, kind)
            take(page, str(options.folder / f"report-{name}.png"))
            page.context.close()
        browser.close()


def _opened(browser: Any, address: str, kind: dict[str, Any]) -> Any:
    page = browser.new_context(**kind).new_page()
    page.set_default_timeout(PATIENCE_MS)
    page.goto(address)
    page.wait_for_selector(READY)
    return page


def _time(browser: Any, address: str) -> None:
    """First contentful paint, and until everything is drawn, each in a context of its own."""
    paints, drawn = [], []
    for _ in range(LOADS):
        page = _opened(browser, address, DESK)
        paints.append(page.evaluate(PAINT))
        drawn.append(page.evaluate("performance.now()"))
        page.context.close()
    print(f"first paint: median {statistics.median(paints):.0f} ms, worst {max(paints):.0f} ms")
    print(f"all drawn: median {statistics.median(drawn):.0f} ms, worst {max(drawn):.0f} ms")


def _top(page: Any, path: str) -> None:
    page.screenshot(path=path)


def _part(selector: str) -> Callable[[Any, str], None]:
    return lambda page, path: page.locator(selector).screenshot(path=path)


def _sheet(page: Any, path: str) -> None:
    page.set_viewport_size({"width": 1060, "height": 1460})
    page.click("[data-open=tap] >> nth=-1")
    page.wait_for_timeout(300)
    page.locator("dialog").screenshot(path=path)


PICTURES: dict[str, tuple[dict[str, Any], Callable[[Any, str], None]]] = {
    "verdict": (DESK, _top),
    "where": (DESK, _part("[id$='-where']")),
    "model": (DESK, _part("[id$='-model']")),
    "tensor": (DESK, _sheet),
    "listen": (DESK, _part("[id$='-listen']")),
    "dark": (DESK | {"color_scheme": "dark"}, _part("[id$='-where']")),
    "phone": (PHONE, _top),
}

if __name__ == "__main__":
    main()
