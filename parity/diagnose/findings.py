"""From what the engine explained to findings: causes with all their sites, graded."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase

from parity.diagnose.describe import describe
from parity.diagnose.engine import Engine
from parity.diagnose.hypothesis import Hypothesis, pattern_of
from parity.diagnose.judge import Explained
from parity.diagnose.result import Finding, FindingSite, Grade, Unexplained
from parity.diagnose.trial import Chosen, Trial, holds
from parity.localize.segment import Segment

__all__ = ["Cause", "causes_of", "unexplained_of"]

_SPECULATIVE_COST = 3.0
# How far above the noise a difference has to be before its cause counts as sure.
_CLEARLY = 2.0


@dataclass(slots=True, eq=False)
class Cause:
    """A finding in the making, with the changes that make the reference do the same.

    Attributes:
        finding: what is found.
        chosen: the changes, one a place.
    """

    finding: Finding
    chosen: list[tuple[Explained, Chosen]] = field(default_factory=list)


def causes_of(engine: Engine) -> list[Cause]:
    """All causes that were found, in the order of execution."""
    by_name: dict[tuple[str, str, str], list[tuple[Explained, Chosen]]] = {}
    for explained in engine.explained:
        for chosen in explained.trial.chosen:
            first = chosen.group.first
            root = pattern_of(first.site.path).partition(".")[0]
            by_name.setdefault((first.name, _rounded(chosen.value), root), []).append(
                (explained, chosen)
            )
    causes = [_cause(engine, members) for members in by_name.values()]
    causes.sort(key=lambda cause: cause.chosen[0][0].origin.segment.tap.at)
    for rank, cause in enumerate(causes, 1):
        cause.finding = replace(cause.finding, rank=rank)
    return causes


def _rounded(value: float | None) -> str:
    return "" if value is None else f"{value:.2g}"


def _cause(engine: Engine, members: Sequence[tuple[Explained, Chosen]]) -> Cause:
    explained, chosen = members[0]
    first = chosen.group.first
    sites = tuple(site for e, c in members for site in _sites(e, c))
    alternatives = _alternatives(explained) if len(explained.trial.chosen) == 1 else ()
    error, left = explained.origin.segment.error, explained.trial.error
    finding = Finding(
        rank=0,
        family=first.family,
        parameter=first.parameter,
        reference=first.reference,
        candidate=_text(first, chosen.value),
        value=_number(first, chosen.value),
        grade=_grade(engine, members, alternatives),
        sites=_distinct(sites),
        exceptions=_exceptions(engine, first, sites),
        alpha=explained.alpha[0],
        alpha_se=explained.alpha[1],
        explained_local=1.0 - (left / error) ** 2 if error > 0 else math.nan,
        floor=explained.origin.segment.floor,
        alternatives=alternatives,
        synonyms=_synonyms(explained, chosen) if len(explained.trial.chosen) == 1 else (),
        evidence=_evidence(members),
    )
    return Cause(finding, list(members))


def _number(hypothesis: Hypothesis, solved: float | None) -> float | None:
    """The candidate's number: what was solved for, else the one that the hypothesis speaks of."""
    if solved is not None or hypothesis.value is not None:
        return solved if solved is not None else hypothesis.value
    numbers = re.findall(r"(?<![\w.])-?\d+(?:\.\d+)?(?:e[-+]?\d+)?", hypothesis.candidate)
    return float(numbers[-1]) if len(numbers) == 1 else None


def _text(hypothesis: Hypothesis, value: float | None) -> str:
    if value is None:
        return hypothesis.candidate
    return hypothesis.candidate.format(value=value)


def _sites(explained: Explained, chosen: Chosen) -> list[FindingSite]:
    segment = explained.origin.segment
    key = segment.tap.key
    places: dict[str, Hypothesis] = {}
    for member in chosen.group.members:
        places.setdefault(f"{member.site.path}::{member.site.operation}", member)
    return [
        FindingSite(
            path=member.site.path,
            operation=member.site.operation,
            tap=key.path,
            phase=key.phase,
            call=key.call,
            source=member.site.source,
            error=segment.error,
            left=explained.trial.error,
            calls=explained.checked,
        )
        for member in places.values()
    ]


def _distinct(sites: Sequence[FindingSite]) -> tuple[FindingSite, ...]:
    found: dict[tuple[str, str], FindingSite] = {}
    for site in sites:
        found.setdefault((site.path, site.tap), site)
    return tuple(found.values())


def _grade(
    engine: Engine, members: Sequence[tuple[Explained, Chosen]], alternatives: Sequence[str]
) -> Grade:
    explained, chosen = members[0]
    if chosen.group.first.cost >= _SPECULATIVE_COST:
        return Grade.SPECULATIVE
    segment = explained.origin.segment
    sure = (
        all(e.worst <= 1.0 and holds(e.origin.segment, e.trial) for e, _ in members)
        and any(e.distinct for e, _ in members)
        and segment.error > _CLEARLY * segment.floor
        and not _fits_anything(explained, chosen)
        and not _as_in_the_reference(chosen)
        and not _follows_from_length(engine, explained, chosen)
        and not alternatives
    )
    return Grade.HIGH if sure else Grade.WORTH_TRYING


def _fits_anything(explained: Explained, chosen: Chosen) -> bool:
    """Whether a number was fitted to one row of one call, where any factor would fit."""
    theirs = explained.origin.segment.theirs
    rows = theirs.numel() // max(theirs.shape[-1] if theirs.dim() else 1, 1)
    return chosen.value is not None and rows <= 1 and explained.checked == 1


def _as_in_the_reference(chosen: Chosen) -> bool:
    """Whether a number that was solved for is, to the digits that are shown, the reference's."""
    solve = chosen.group.solve
    if chosen.value is None or solve is None:
        return False
    return f"{chosen.value:.4g}" == f"{solve.reference:.4g}"


def _follows_from_length(engine: Engine, explained: Explained, chosen: Chosen) -> bool:
    """Whether positions differ behind a sequence that has another length, and may just follow."""
    if chosen.group.first.parameter != "offset":
        return False
    at = explained.origin.segment.tap.at
    taps = engine.ground.tape.tap_of
    return any(key in taps and taps[key].at < at for key in engine.ground.candidate.mismatched)


def _alternatives(explained: Explained) -> tuple[str, ...]:
    """Other causes that explain the same alike, and what would tell them apart."""
    texts = [
        f"{_trial_text(other)} ({_deciding(explained, scale)})"
        for other, scale in explained.alternatives
    ]
    return tuple(dict.fromkeys(texts))


def _deciding(explained: Explained, scale: float) -> str:
    if scale == 1.0:
        return "other inputs of the same size would tell them apart"
    fed = [cut.key.path for cut in explained.origin.segment.slice.cuts]
    where = f" at {fed[-1]}" if fed else ""
    return f"inputs {scale:g} times as large{where} would tell them apart"


def _synonyms(explained: Explained, chosen: Chosen) -> tuple[str, ...]:
    own = f"{chosen.group.first.family}.{chosen.group.first.parameter}"
    names = [
        f"{other.chosen[0].group.first.family}.{other.chosen[0].group.first.parameter}"
        for other in explained.synonyms
        if len(other.chosen) == 1
    ]
    return tuple(name for name in dict.fromkeys(names) if name != own)


def _trial_text(trial: Trial) -> str:
    return " and ".join(
        f"{c.group.first.family}.{c.group.first.parameter}: "
        f"{_text(c.group.first, c.value)} for {c.group.first.reference}"
        for c in trial.chosen
    )


def _exceptions(
    engine: Engine, hypothesis: Hypothesis, sites: Sequence[FindingSite]
) -> tuple[str, ...]:
    """Calls of the same kind that were compared and do as the reference does."""
    pattern = pattern_of(hypothesis.site.path)
    if "*" not in pattern:
        return ()
    own = {site.path for site in sites}
    broken = {path.rpartition(":")[0] for path in engine.failed} | _changed(engine)
    depth = pattern.count(".")
    known = {key.path for key in engine.ground.candidate.rows}
    # In a row of layers that are numbered throughout, others stand between those of the kind.
    alike = _operations(engine, hypothesis.site.path)
    return tuple(
        path
        for path in engine.ground.tape.calls_of
        if path.count(".") == depth
        and fnmatchcase(path, pattern)
        and path not in own
        and path in known
        and path not in broken
        and _operations(engine, path) == alike
    )


def _changed(engine: Engine) -> set[str]:
    """Where something was found, of whatever kind."""
    chosen = [one for explained in engine.explained for one in explained.trial.chosen]
    return {member.site.path for one in chosen for member in one.group.members}


def _operations(engine: Engine, path: str) -> tuple[str, ...]:
    """What the first call of a path does, operation by operation."""
    for span in engine.ground.tape.calls_of.get(path, ()):
        return tuple(node.name for node in engine.ground.tape.nodes[span.start : span.stop])
    return ()


def _evidence(members: Sequence[tuple[Explained, Chosen]]) -> tuple[str, ...]:
    explained, _ = members[0]
    segment = explained.origin.segment
    texts = [
        f"on the candidate's own inputs the reference differs at {segment.tap.key} by "
        f"{segment.error:.1e} of the norm, where rounding explains {segment.floor:.1e}; "
        f"with the change {explained.trial.error:.1e} is left"
    ]
    if math.isfinite(explained.alpha[0]):
        texts.append(
            f"the candidate shows {explained.alpha[0]:.6f} ± {explained.alpha[1]:.1e} of the change"
        )
    checked = sum(e.checked for e, _ in members)
    if checked > 1:
        texts.append(f"checked at {checked} calls")
    if len(explained.trial.chosen) > 1:
        others = len(explained.trial.chosen) - 1
        texts.append(f"found together with {others} other change{'s' if others > 1 else ''}")
    return tuple(texts)


def unexplained_of(engine: Engine, *, structured: bool = False) -> tuple[Unexplained, ...]:
    """The taps that nothing explained, in the order of execution.

    Args:
        engine: after its work.
        structured: whether lengths or numbers of calls were found to differ.
    """
    found = []
    for origin, nearest in engine.failed.values():
        segment = origin.segment
        key = segment.tap.key
        if (engine.explained or structured) and _is_count(segment):
            continue  # how many frames there were follows from what was found
        explains = 0.0
        if nearest is not None and segment.error > 0 and math.isfinite(segment.error):
            explains = max(0.0, 1.0 - (nearest.error / segment.error) ** 2)
        found.append(
            Unexplained(
                tap=key.path,
                phase=key.phase,
                call=key.call,
                error=segment.error,
                floor=segment.floor,
                nearest=_trial_text(nearest) if nearest is not None and explains > 0.02 else "",
                nearest_explains=explains,
                description=describe(segment.theirs, segment.ours),
                calls=len(origin.calls),
            )
        )
    return tuple(sorted(found, key=lambda u: engine.failed[_path_of(engine, u)][0].segment.tap.at))


def _is_count(segment: Segment) -> bool:
    """Whether a tap holds whole numbers that the program made itself, from no tensor."""
    return not segment.ours.is_floating_point() and not segment.slice.cuts


def _path_of(engine: Engine, unexplained: Unexplained) -> str:
    return next(p for p in engine.failed if p.rpartition(":")[0] == unexplained.tap)
