"""A diagnosis in plain words: the sentences that the console, Markdown and HTML are made of."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from parity.diagnose import Diagnosis, Finding, Grade, Unexplained, Verdict
from parity.report.numbers import percent, size
from parity.report.places import FEW, listed, named, pattern, place_of, short_list

__all__ = [
    "GRADES",
    "Cause",
    "Rest",
    "basis_line",
    "cause_of",
    "causes",
    "equivalent_line",
    "headline",
    "output_line",
    "rests",
    "summary",
]

GRADES = {
    Grade.HIGH: "high",
    Grade.WORTH_TRYING: "worth trying",
    Grade.SPECULATIVE: "speculative",
}
HEDGES = {Grade.HIGH: "", Grade.WORTH_TRYING: "probably ", Grade.SPECULATIVE: "perhaps "}


@dataclass(frozen=True, slots=True)
class Cause:
    """A finding in words.

    Attributes:
        rank: its number.
        grade: how sure it is.
        name: `family.parameter`.
        what: what the candidate has, and what the reference has instead.
        where: the places, and those of the kind that are exempt.
        effect: what becomes of the candidate's difference with it, in a sentence or two.
        doubts: what it cannot be told apart from; or empty.
        seen: the tap, call and line at which it shows first.
        evidence: further sentences.
        share: of the error at the output; NaN where that is not known.
    """

    rank: int
    grade: Grade
    name: str
    what: str
    where: str
    effect: str
    doubts: str
    seen: str
    evidence: tuple[str, ...]
    share: float

    @property
    def sentence(self) -> str:
        """All of it that one would say aloud."""
        head = f"{self.rank}. {GRADES[self.grade]}, {self.name}: {self.what}, {self.where}."
        return " ".join(filter(None, (head, self.effect, self.doubts)))


@dataclass(frozen=True, slots=True)
class Rest:
    """Taps of one kind that differ for a reason that was not found, in words.

    Attributes:
        where: the taps.
        what: how much they differ.
        hints: what comes nearest, what the difference looks like, what would decide; sentences.
    """

    where: str
    what: str
    hints: tuple[str, ...]


def headline(diagnosis: Diagnosis) -> str:
    """The diagnosis in one or two sentences."""
    found = _found(diagnosis)
    match diagnosis.verdict:
        case Verdict.INVALID:
            return (
                "Nothing can be concluded: no tensor of the candidate could be recomputed by the "
                "reference."
            )
        case Verdict.NO_FAULT:
            return (
                f"No fault found: {_many(diagnosis.compared, 'tensor')}, recomputed by the "
                "reference from the candidate's own inputs, come out the same."
                f"{_missing(diagnosis)}"
            )
        case Verdict.INCONCLUSIVE:
            return (
                f"Nothing is wrong with {_many(diagnosis.compared, 'tensor')} that the candidate "
                "recorded, but its run did not come to its end."
            )
        case Verdict.EXPLAINED:
            return f"The difference is explained: {found}."
        case Verdict.PARTLY_EXPLAINED:
            return f"The difference is explained in part: {found}.{_and_the_rest(diagnosis)}"
        case Verdict.UNEXPLAINED:
            return (
                "The candidate differs, and no cause that we know of explains it."
                f"{_and_the_rest(diagnosis)}"
            )


def _found(diagnosis: Diagnosis) -> str:
    count, sure = len(diagnosis.findings), len(diagnosis.high)
    if not 0 < sure < count:
        return f"{_many(count, 'cause')}{'' if sure else ', not sure'}"
    return f"{_many(count, 'cause')}, of which {sure} {'is' if sure == 1 else 'are'} sure"


def _missing(diagnosis: Diagnosis) -> str:
    count = diagnosis.facts.get("missing", 0)
    return f" The candidate lacks {_many(count, 'tensor')} of the reference." if count else ""


def _and_the_rest(diagnosis: Diagnosis) -> str:
    taps = len({rest.tap for rest in diagnosis.unexplained})
    if not taps:
        return ""
    differs = "differs" if taps == 1 else "differ"
    return f" {_many(taps, 'tap')} {differs} for a reason that was not found."


def causes(diagnosis: Diagnosis) -> list[Cause]:
    """The findings of a diagnosis, in words."""
    return [cause_of(finding, diagnosis) for finding in diagnosis.findings]


def cause_of(finding: Finding, diagnosis: Diagnosis) -> Cause:
    """One finding of a diagnosis, in words."""
    candidate, reference = named(finding.candidate), named(finding.reference)
    return Cause(
        rank=finding.rank,
        grade=finding.grade,
        name=named(finding.cause),
        what=f"{HEDGES[finding.grade]}{candidate} instead of {reference}",
        where=_where(finding),
        effect=_effect(finding, diagnosis),
        doubts=_doubts(finding),
        seen=_seen(finding),
        evidence=tuple(named(text) for text in finding.evidence),
        share=finding.explained_output,
    )


def _where(finding: Finding) -> str:
    at = short_list([place_of(site.path, site.operation, site.tap) for site in finding.sites])
    exempt = [named(path) for path in finding.exceptions]
    if len(exempt) > FEW:
        return f"at {at}, but not at {len(exempt)} others like it"
    return f"at {at}, but not at {listed(exempt)}" if exempt else f"at {at}"


def _effect(finding: Finding, diagnosis: Diagnosis) -> str:
    """What happens when the reference is given the change: at the place, and at the output."""
    sure = finding.grade is Grade.HIGH
    gains = [_gain(finding), _at_the_output(finding, diagnosis)]
    verbs = [(f"{verb}s" if sure else verb, rest) for verb, rest in gains if verb]
    companions = _companions(finding, diagnosis)
    head = f"Together with {companions} it" if companions else "Put into the reference, it"
    head += "" if sure else " would"
    signature = " Only a signature speaks for it." if finding.grade is Grade.SPECULATIVE else ""
    return f"{head} {listed([' '.join(gain) for gain in verbs])}.{signature}"


def _gain(finding: Finding) -> tuple[str, str]:
    """A verb, and what follows it: what becomes of the error at the worst of the places."""
    before = max(site.error for site in finding.sites)
    left = max(site.left for site in finding.sites)
    if left == 0:
        return "reproduce", "the candidate there exactly"
    if left <= finding.floor:
        return "reproduce", f"the candidate there to {size(left)}"
    return "take", f"the error there from {size(before)} to {size(left)}"


def _at_the_output(finding: Finding, diagnosis: Diagnosis) -> tuple[str, str]:
    share, output = finding.explained_output, named(diagnosis.output) or "the output"
    if math.isnan(share):
        return "", ""
    if share < -0.005:
        larger = f"the squared error at {output} {percent(-share)} larger"
        return "make", f"{larger}, for it makes up for another fault"
    if share <= 0:
        return "change", f"next to nothing at {output}"
    return "explain", f"{percent(share)} of the squared error at {output}"


def _companions(finding: Finding, diagnosis: Diagnosis) -> str:
    """The findings that the same tap needed beside this one: none of them explains it alone."""
    own = {(site.tap, site.phase, site.call) for site in finding.sites}
    ranks = [
        str(other.rank)
        for other in diagnosis.findings
        if other is not finding
        and any((site.tap, site.phase, site.call) in own for site in other.sites)
    ]
    return listed(ranks) if ranks else ""


def _doubts(finding: Finding) -> str:
    if not finding.alternatives:
        return ""
    shown = [named(text) for text in finding.alternatives[:3]]
    more = len(finding.alternatives) - len(shown)
    others = "; or from ".join(shown) + (f"; or from {more} more" if more else "")
    return f"On these inputs it cannot be told apart from {others}."


def _seen(finding: Finding) -> str:
    site = finding.site
    call = f"call {site.call}" + (f" of {named(site.phase)}" if site.phase else "")
    source = f", {named(site.source)}" if site.source else ""
    return f"first seen at {named(site.tap)}, {call}{source}"


def rests(diagnosis: Diagnosis) -> list[Rest]:
    """What is not explained, taps of one kind together, in order of execution."""
    return [
        _rest(list(members))
        for _, members in groupby(diagnosis.unexplained, lambda one: _kind(one.tap))
    ]


def _kind(tap: str) -> tuple[str, ...]:
    return tuple("*" if part.isdecimal() else part for part in tap.split("."))


def _rest(members: Sequence[Unexplained]) -> Rest:
    taps = list(dict.fromkeys(named(one.tap) for one in members))
    first, worst = members[0], max(members, key=lambda one: one.error)
    where = pattern(taps) + (f" ({len(taps)} taps)" if len(taps) > 1 else "")
    return Rest(where, _how_far(members, worst), _hints(first))


def _how_far(members: Sequence[Unexplained], worst: Unexplained) -> str:
    calls = sum(one.calls for one in members)
    first = f"first at call {members[0].call}"
    first += f" of {named(members[0].phase)}" if members[0].phase else ""
    at = f"at {_many(calls, 'call')}, {first}"
    differs = "differ" if len({one.tap for one in members}) > 1 else "differs"
    if not math.isfinite(worst.error):
        return f"{differs} in shape, NaN or infinity on the candidate's own inputs, {at}"
    up_to = "up to " if len(members) > 1 else ""
    return (
        f"{differs} by {up_to}{size(worst.error)} on the candidate's own inputs, where rounding "
        f"explains {size(worst.floor)}, {at}"
    )


def _hints(one: Unexplained) -> tuple[str, ...]:
    hints = []
    if one.nearest:
        share = percent(one.nearest_explains)
        hints.append(f"Nearest is {named(one.nearest)}, which explains {share} of it.")
    if one.description:
        hints.append(f"What it looks like: {named(one.description)}.")
    if one.decides:
        hints.append(f"What would decide: {named(one.decides)}.")
    return tuple(hints)


def equivalent_line(diagnosis: Diagnosis) -> str:
    """The taps that differ without consequence; empty if there are none."""
    if not diagnosis.equivalent:
        return ""
    taps = [named(path) for path in diagnosis.equivalent]
    differs, them = ("differs", "it") if len(set(taps)) == 1 else ("differ", "them")
    return (
        f"{short_list(taps, 'tap')} {differs} without consequence: what is computed from {them} "
        "comes out right, so this is another way to write the same."
    )


def output_line(diagnosis: Diagnosis) -> str:
    """The error at the output, and what is left of it; empty where neither is known."""
    before, left = diagnosis.output_error, diagnosis.output_left
    if math.isnan(before):
        return ""
    if before == 0:
        return f"The output, {named(diagnosis.output)}, is the same."
    line = f"The output, {named(diagnosis.output)}, is off by {size(before)}"
    if not diagnosis.findings:
        return f"{line}."
    if math.isnan(left):
        return f"{line}; the reference cannot be run as a whole with the findings put in."
    if left == 0:
        return f"{line}; with the findings put into the reference, by nothing."
    return f"{line}; with the findings put into the reference, by {size(left)}."


def basis_line(diagnosis: Diagnosis) -> str:
    """What the diagnosis rests on."""
    parts = [f"{_many(diagnosis.compared, 'tensor')} recomputed from the candidate's own inputs"]
    if unsure := int(diagnosis.facts.get("not_comparable") or 0):
        parts.append(f"{unsure:,} could not be, for want of an input")
    if precision := str(diagnosis.facts.get("precision") or ""):
        parts.append(f"the candidate computes in {named(precision)}")
    took = "" if math.isnan(diagnosis.seconds) else f"in {diagnosis.seconds:.1f} s: "
    return took + "; ".join(parts)


def summary(diagnosis: Diagnosis) -> str:
    """The headline, and a line for each finding."""
    lines = [
        f"{cause.rank}. {GRADES[cause.grade]}, {cause.name}: {cause.what}, {cause.where}"
        for cause in causes(diagnosis)
    ]
    return "\n".join([headline(diagnosis), *lines])


def _many(count: int, what: str) -> str:
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"
