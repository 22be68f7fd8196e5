"""The reports of `parity diagnose`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from parity.diagnose import Diagnosis
from parity.report.files import write_text

__all__ = ["write_reports"]


def write_reports(
    given: Mapping[str, Any], diagnoses: Mapping[str, Diagnosis], *, title: str
) -> None:
    """Write what the options `json_`, `markdown` and `html` ask for.

    Args:
        given: the options.
        diagnoses: by heading; JSON holds the first alone.
        title: of the documents.
    """
    if given["json_"]:
        from parity.report.diagnosis_json import diagnosis_to_json  # noqa: PLC0415

        write_text(given["json_"], diagnosis_to_json(next(iter(diagnoses.values()))) + "\n")
    if given["markdown"]:
        write_text(given["markdown"], _markdown(diagnoses, title))
    if given["html"]:
        from parity.report.html import diagnosis_page  # noqa: PLC0415 - loads matplotlib

        write_text(given["html"], diagnosis_page(diagnoses, title=title))


def _markdown(diagnoses: Mapping[str, Diagnosis], title: str) -> str:
    from parity.report.diagnosis_markdown import diagnosis_to_markdown  # noqa: PLC0415

    return "\n".join(
        diagnosis_to_markdown(diagnosis, title=name or title)
        for name, diagnosis in diagnoses.items()
    )
