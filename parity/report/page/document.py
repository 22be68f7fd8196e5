"""The page as one file: its styles and scripts lie in it, and its policy names them by digest."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from parity import __version__
from parity.diagnose import Diagnosis
from parity.diffing import DiffResult
from parity.report.page.evidence import Evidence
from parity.report.page.sections import SOUND_BYTES, section
from parity.report.words import printable

__all__ = ["page", "still_page"]

STYLES = ("vendor/uplot/uPlot.min.css", "templates/diagnosis.css", "templates/page.css")
# In the order in which they build on one another.
PARTS = ("base", "rows", "charts", "grid", "growth", "model", "table", "tensor", "sound", "main")
SCRIPTS = ("vendor/uplot/uPlot.iife.min.js", *(f"scripts/{part}.js" for part in PARTS))


def page(
    results: Mapping[str, DiffResult],
    *,
    title: str,
    diagnoses: Mapping[str, Diagnosis],
    evidence: Mapping[str, Evidence],
) -> str:
    """A page with one section a result, keyed by the section's heading.

    Args:
        results: what is shown, at least one.
        title: of the page.
        diagnoses: why they differ, under the same headings.
        evidence: tensors, sounds and environments, under the same headings.
    """
    each = SOUND_BYTES // max(len(results), 1)
    sections = [
        section(
            name,
            result,
            diagnoses.get(name),
            evidence.get(name, Evidence()),
            number=number,
            sound_bytes=each,
        )
        for number, (name, result) in enumerate(results.items())
    ]
    return _environment().get_template("page.html").render(
        title=printable(title),
        sections=sections,
        version=__version__,
        style=Markup(_styles()),  # noqa: S704 - files of this package
        script=Markup(_scripts()),  # noqa: S704
        policy=Markup(_policy()),  # noqa: S704
    )  # fmt: skip


def still_page(title: str, diagnoses: Sequence[Mapping[str, Any]]) -> str:
    """A page of diagnoses alone, without a script.

    Args:
        title: of the page.
        diagnoses: each as `parity.report.diagnosis_html.diagnosis_section` gives it.
    """
    return _environment().get_template("diagnosis_page.html").render(
        title=printable(title),
        diagnoses=diagnoses,
        version=__version__,
        style=Markup(_styles()),  # noqa: S704
        policy=Markup(_policy()),  # noqa: S704
    )  # fmt: skip


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("parity.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


@cache
def _policy() -> str:
    """Nothing is fetched, and nothing runs but these two texts; no text becomes markup."""
    return "; ".join((
        "default-src 'none'",
        f"script-src '{_digest(_scripts())}'",
        f"style-src '{_digest(_styles())}'",
        "img-src data:",
        "media-src data:",
        "base-uri 'none'",
        "form-action 'none'",
        "require-trusted-types-for 'script'",
    ))  # fmt: skip


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


@cache
def _styles() -> str:
    return "\n".join(_read(name) for name in STYLES)


@cache
def _scripts() -> str:
    """All scripts in one scope of their own."""
    texts = [_read(name) for name in SCRIPTS]
    return "\n".join(["(() => {", '"use strict";', *texts, "})();"])


def _read(name: str) -> str:
    text: str = (files("parity.report") / name).read_text(encoding="utf-8")
    if "</script" in text or "</style" in text:
        raise ValueError(f"{name} would end its own element")
    return text
