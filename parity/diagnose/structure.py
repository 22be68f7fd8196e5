"""Differences of structure as findings: tokens, passes, order, counts, ends."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from parity.diagnose.calls import Ending, Shift, endings, shifts
from parity.diagnose.prefill import Prompt, restructure
from parity.diagnose.result import Finding, FindingSite, Grade
from parity.localize.candidate import Candidate
from parity.localize.reference import Reference, match_again
from parity.localize.tape import Tape
from parity.tensors import TapKey

__all__ = ["Structure", "settle"]


@dataclass(frozen=True, slots=True, eq=False)
class Structure:
    """The reference in the candidate's structure.

    Attributes:
        tape: the run whose tensors stand beside the candidate's.
        candidate: what the candidate has for them.
        findings: what had to be changed to get there.
        loose: groups of values that the candidate's have nothing to do with: states of calls that
            stand elsewhere in the count.
    """

    tape: Tape
    candidate: Candidate
    findings: tuple[Finding, ...]
    loose: frozenset[int] = frozenset()


def settle(reference: Reference, candidate: Candidate, say: Callable[[str], None]) -> Structure:
    """Bring the reference into the candidate's structure, and say what differs in it."""
    tape, findings, loose = reference.tape, [], frozenset[int]()
    if candidate.mismatched or candidate.missing:
        say("looking at tokens, passes and lengths")
        changed = restructure(reference, tape, candidate)
        if changed is not None:
            findings += _prompt_findings(changed.prompt)
            tape, candidate = changed.tape, changed.candidate
    moved = list(shifts(tape, candidate))
    if moved:
        findings += [_shift_finding(shift) for shift in moved]
        by = {shift.phase: shift.by for shift in moved}
        candidate = match_again(tape, candidate, shifts=by)
        loose = _written_in(tape, set(by))
    else:
        findings += [_ending_finding(ending) for ending in endings(tape, candidate)]
    return Structure(tape, candidate, tuple(findings), loose)


def _written_in(tape: Tape, phases: set[str]) -> frozenset[int]:
    """The memory that calls of some phases write into."""
    return frozenset(
        tape.values[value].group
        for span in tape.spans
        if span.phase in phases and span.stop >= 0
        for node in tape.nodes[span.start : span.stop]
        if node.span >= 0 and tape.spans[node.span].phase in phases
        for value in node.written
    )


def _prompt_findings(prompt: Prompt) -> list[Finding]:
    found = []
    ours, theirs = prompt.tokens
    if theirs is not None:
        found.append(_tokens(prompt, ours, theirs))
    if prompt.lost:
        found += _passes(prompt)
    return found


def _tokens(prompt: Prompt, ours: tuple[int, ...], theirs: tuple[int, ...]) -> Finding:
    same = sum(a == b for a, b in zip(ours, theirs, strict=False))
    return _finding(
        ("tokenization", "ids"),
        f"{len(ours)} tokens {_ids(ours)}",
        f"{len(theirs)} tokens {_ids(theirs)}",
        prompt.tap.key if prompt.tap is not None else None,
        Grade.HIGH,
        value=float(len(theirs)),
        evidence=(
            "every row that the candidate embeds is a row of the reference's table; the ids are "
            f"read from there ({same} of {len(ours)} are the same, place by place)",
            "the reference was run again with these tokens, and is compared in that form",
        ),
    )


def _ids(ids: tuple[int, ...]) -> str:
    text = ", ".join(str(i) for i in ids[:8])
    return f"[{text}{', ...' if len(ids) > 8 else ''}]"


def _passes(prompt: Prompt) -> list[Finding]:
    path, phase = prompt.lost[0]
    sure = prompt.error <= prompt.floor or prompt.error < 0.5 * prompt.without
    key = TapKey(path, phase=phase)
    found = [
        _finding(
            ("control", "prefill"),
            f"a pass of {path} of its own in {phase}",
            "no such pass",
            key,
            Grade.HIGH,
            evidence=(
                f"the candidate calls {path} in other phases and never in {phase}",
                "the reference was run again without what this pass leaves in its states, and is "
                "compared in that form",
            ),
        )
    ]
    rows = f"the {prompt.rows} rows of {phase}"
    left = (
        f"{prompt.without:.1e} of the norm is left at {prompt.tap.key} without it, "
        f"{prompt.error:.1e} with it"
        if prompt.tap is not None and math.isfinite(prompt.without)
        else f"{prompt.error:.1e} of the norm is left at {prompt.tap.key if prompt.tap else path}"
    )
    grade = Grade.HIGH if sure else Grade.WORTH_TRYING
    own = f"{rows} before the tokens, in a pass of their own"
    at = prompt.tap.key if prompt.tap is not None else key
    if prompt.entry in ("after", "before"):
        where = f"{rows} {prompt.entry} the tokens, in one pass"
        found.append(_finding(("control", "order"), own, where, at, grade, evidence=(left,)))
    elif prompt.entry:
        where = f"their {prompt.entry} added to every token's embedding"
        found.append(_finding(("conditioning", "combine"), own, where, at, grade, evidence=(left,)))
    else:
        unused = Grade.HIGH if prompt.error <= prompt.floor else Grade.WORTH_TRYING
        found.append(
            _finding(("conditioning", "combine"), own, "not used", at, unused, evidence=(left,))
        )
    return found


def _shift_finding(shift: Shift) -> Finding:
    more = f"{abs(shift.by)} call{'s' if abs(shift.by) > 1 else ''}"
    candidate = (
        f"{more} more before the first ({shift.candidate} calls)"
        if shift.by > 0
        else f"the first {more} left out ({shift.candidate} calls)"
    )
    return _finding(
        ("control", "calls"),
        f"{shift.reference} calls in {shift.phase}",
        candidate,
        shift.tap.key,
        Grade.HIGH,
        value=float(shift.by),
        evidence=(
            f"on the candidate's own inputs {shift.tap.key.path} differs by {shift.before:.1e} "
            f"call by call, and by {shift.error:.1e} with the calls moved by {shift.by}",
        ),
    )


def _ending_finding(ending: Ending) -> Finding:
    flagged = (
        f"the flag is first set at step {ending.flagged}"
        if ending.flagged >= 0
        else "the flag is never set"
    )
    return _finding(
        ("control", "end"),
        f"ends after {ending.reference} steps of {ending.phase}",
        f"ends after {ending.candidate} steps",
        ending.tap.key,
        Grade.HIGH,
        value=float(ending.candidate),
        evidence=(f"{ending.tap.key.path} says the same at every step that both make; {flagged}",),
    )


def _finding(
    cause: tuple[str, str],
    reference: str,
    candidate: str,
    key: TapKey | None,
    grade: Grade,
    *,
    value: float | None = None,
    evidence: tuple[str, ...] = (),
) -> Finding:
    at = key or TapKey("")
    site = FindingSite(at.path, "", at.path, at.phase, at.call, "", math.nan, math.nan)
    return Finding(
        rank=0,
        family=cause[0],
        parameter=cause[1],
        reference=reference,
        candidate=candidate,
        grade=grade,
        sites=(site,),
        value=value,
        evidence=evidence,
    )
