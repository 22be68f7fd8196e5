"""A diagnosis as Markdown, for pull requests and documents."""

from __future__ import annotations

from collections.abc import Iterator

from parity.diagnose import Diagnosis
from parity.report.causes import (
    GRADES,
    Cause,
    Rest,
    basis_line,
    causes,
    equivalent_line,
    headline,
    output_line,
    rests,
)
from parity.report.escape import markdown_text as text

__all__ = ["diagnosis_to_markdown"]


def diagnosis_to_markdown(diagnosis: Diagnosis, *, title: str = "", level: int = 2) -> str:
    """A short report: headline, a numbered list of causes, what is not explained, what is left.

    Args:
        diagnosis: what is reported.
        title: of a heading above it; none if empty.
        level: of that heading.
    """
    parts = [f"{'#' * level} {text(title)}"] if title else []
    parts.append(f"**{text(headline(diagnosis))}**")
    parts += ["\n".join(_cause(cause)) for cause in causes(diagnosis)]
    if left := rests(diagnosis):
        parts += ["Not explained:", "\n".join(line for rest in left for line in _rest(rest))]
    parts += [text(line) for line in (equivalent_line(diagnosis), output_line(diagnosis)) if line]
    parts.append("\n".join(f"- {text(note)}" for note in (basis_line(diagnosis), *diagnosis.notes)))
    return "\n\n".join(parts) + "\n"


def _cause(cause: Cause) -> Iterator[str]:
    what = f"**{GRADES[cause.grade]}**, {text(cause.name)}: **{text(cause.what)}**"
    said = " ".join(filter(None, (cause.effect, cause.doubts)))
    yield f"{cause.rank}. {what}, {text(cause.where)}. {text(said)}"
    for line in (cause.seen, *cause.evidence):
        yield f"   - {text(line)}"


def _rest(rest: Rest) -> Iterator[str]:
    yield f"- **{text(rest.where)}** {text(rest.what)}. {text(' '.join(rest.hints))}".rstrip()
