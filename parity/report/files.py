"""Reports written to files, whole or not at all."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from parity.diagnose import Diagnosis
from parity.diffing import DiffResult
from parity.errors import InputError

if TYPE_CHECKING:
    from parity.report.page import Evidence

__all__ = ["RENDERERS", "WITH_EVIDENCE", "render", "write_text"]

Why = Diagnosis | None
Renderer = Callable[[DiffResult, str, Why], str]


def _html(result: DiffResult, title: str, why: Why, evidence: Evidence | None = None) -> str:
    from parity.report.page import page  # noqa: PLC0415 - loads the templates

    return page(
        {"": result},
        title=title,
        diagnoses={"": why} if why is not None else {},
        evidence={"": evidence} if evidence is not None else {},
    )


def _explorer(result: DiffResult, title: str, why: Why, evidence: Evidence | None = None) -> str:
    from parity.report.explorer import to_explorer  # noqa: PLC0415

    edges = evidence.edges if evidence is not None else ()
    return to_explorer(result, why, title=title, edges=edges)


def _json(result: DiffResult, title: str, why: Why) -> str:  # noqa: ARG001 - one signature for all
    from parity.report.machine import to_json  # noqa: PLC0415

    return to_json(result, why) + "\n"


def _csv(result: DiffResult, title: str, why: Why) -> str:  # noqa: ARG001
    from parity.report.machine import to_csv  # noqa: PLC0415 - loads pandas

    return to_csv(result)


def _junit(result: DiffResult, title: str, why: Why) -> str:
    from parity.report.machine import to_junit  # noqa: PLC0415

    return to_junit(result, why, suite=title)


def _markdown(result: DiffResult, title: str, why: Why) -> str:
    from parity.report.markdown import to_markdown  # noqa: PLC0415

    return to_markdown(result, why, title=title)


HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"

RENDERERS: Mapping[str, tuple[str, Renderer]] = {
    "html": (".html", _html),
    "json": (".json", _json),
    "csv": (".csv", _csv),
    "junit": (".xml", _junit),
    "markdown": (".md", _markdown),
    "explorer": (".explorer.json", _explorer),
}
"""By name of a format: the ending of its files, and `(result, title, diagnosis) -> text`."""

WITH_EVIDENCE: Mapping[str, Callable[[DiffResult, str, Why, Evidence | None], str]] = {
    "html": _html,
    "explorer": _explorer,
}
"""The formats that show more than the numbers, where they are given it."""


def render(
    result: DiffResult,
    kind: str,
    *,
    title: str,
    diagnosis: Why = None,
    evidence: Evidence | None = None,
) -> str:
    """The report of `result` in the format `kind`, one of `RENDERERS`.

    Args:
        result: what is reported.
        kind: `html`, `json`, ...
        title: of the document.
        diagnosis: why it differs, where that is known.
        evidence: tensors, sounds and edges, for the formats in `WITH_EVIDENCE`.
    """
    if kind in WITH_EVIDENCE:
        return WITH_EVIDENCE[kind](result, title, diagnosis, evidence)
    return RENDERERS[kind][1](result, title, diagnosis)


def write_text(path: str | Path, text: str) -> None:
    """Write `text` to a file, replacing it in one step; `-` is the standard output.

    Raises:
        InputError: the file cannot be written.
    """
    if str(path) == "-":
        sys.stdout.write(text)
        return
    target = Path(path)
    _refuse_to_destroy(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, partial = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
            # mkstemp makes files that only their owner can read; a report is for others.
            Path(partial).chmod(0o666 & ~_umask())
            Path(partial).replace(target)
        except BaseException:
            Path(partial).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise InputError(
            f"cannot be written: {error.strerror}", where=str(target),
            hint="name a file in a folder that you may write to",
        ) from None  # fmt: skip


def _refuse_to_destroy(target: Path) -> None:
    """A report replaces a report, never a capture or a device that was named by mistake."""
    hint = "name another file for the report"
    if not target.exists():
        return
    if not target.is_file():
        what = "is a folder" if target.is_dir() else "is not a plain file"
        raise InputError(f"{what}, so no report is written there", where=str(target), hint=hint)
    with target.open("rb") as file:
        if file.read(len(HDF5_SIGNATURE)) == HDF5_SIGNATURE:
            raise InputError("is a capture, and is kept", where=str(target), hint=hint)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
