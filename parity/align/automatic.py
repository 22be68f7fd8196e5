"""Matching of taps whose names say nothing: by order, shape and content."""

from __future__ import annotations

from collections.abc import Sequence

from parity.align.choose import Found, Task, decide
from parity.align.collect import Collector
from parity.align.likeness import Item, Likeness, items_of
from parity.align.matcher import Matcher
from parity.align.notes import summary
from parity.align.result import Evidence, TapMatch
from parity.align.series import Name, Series, Side, Tap
from parity.align.settle import Settler
from parity.errors import AlignmentError

__all__ = ["match_automatically"]

# Every tap is compared with every other, at 40 bytes a pair.
MAX_PAIRS = 25_000_000
# What order and shape alone are trusted.
UNSEEN = 0.7
# From how many on it is worth saying that they come in alphabetical order.
MIN_NAMES = 4
LISTED = 3


def match_automatically(
    collector: Collector,
    matcher: Matcher,
    settler: Settler,
    reference: Sequence[Tap],
    candidate: Sequence[Tap],
    *,
    leave_unclear: bool = False,
) -> None:
    """Match taps by what they are instead of by what they are called.

    Args:
        collector: takes notes and matches.
        matcher: relates the series.
        settler: reads values where a choice is left.
        reference: the reference's taps that are free.
        candidate: the candidate's.
        leave_unclear: leave a tap between whose counterparts nothing decides without one, and note
            it, in place of refusing all.

    Raises:
        AlignmentError: there are equally good counterparts and nothing decides between them.
    """
    items = _items(collector, reference, candidate)
    if len(items[0]) * len(items[1]) > MAX_PAIRS:
        raise AlignmentError(
            f"{len(items[0])} by {len(items[1])} taps are too many to match without names",
            hint="select fewer taps, or name most of them by rename rules",
        )
    task = Task(*items, Likeness.of(*items))
    found = decide(task, lambda ours, theirs: settler.agreement(ours.series, theirs.series))
    unclear = [one for one in found if one.ambiguous]
    if unclear and not leave_unclear:
        raise _ambiguity(task, unclear)
    if unclear:
        found = [one for one in found if not one.ambiguous]
        error = _ambiguity(task, unclear)
        collector.notes.add(f"not compared: {error.what}; {error.hint}")
    for one in found:
        matcher.relate(task.reference[one.row].series, task.candidate[one.column].series)
        collector.matches.append(_match(task, one))
    _note(collector, task, found)


def _items(
    collector: Collector, reference: Sequence[Tap], candidate: Sequence[Tap]
) -> tuple[list[Item], list[Item]]:
    """Both sides' taps; across phases where these have nothing in common."""
    phases = {tap[3] for tap in reference}, {tap[3] for tap in candidate}
    across = phases[0].isdisjoint(phases[1])
    sides = (collector.reference, reference), (collector.candidate, candidate)
    ours, theirs = (items_of(side, _series(side, taps, across=across)) for side, taps in sides)
    return ours, theirs


def _series(side: Side, taps: Sequence[Tap], *, across: bool) -> list[Series]:
    if not across:
        return [side.series(tap) for tap in taps]
    ports: dict[Tap, list[Tap]] = {}
    for tap in taps:
        ports.setdefault((*tap[:3], ""), []).append(tap)
    return [side.merged(Name(*port), found) for port, found in ports.items()]


def _match(task: Task, one: Found) -> TapMatch:
    content = float(task.likeness.content[one.row, one.column])
    named = one.row in task.named
    settled = one.row in task.settled and not named
    trust = 1.0 if settled else UNSEEN + (1 - UNSEEN) * content
    return TapMatch(
        str(task.reference[one.row].series.name),
        str(task.candidate[one.column].series.name),
        _evidence(settled=settled, named=named, content=content),
        round(one.certainty * trust, 3),
    )


def _evidence(*, settled: bool, named: bool, content: float) -> Evidence:
    if named:
        return Evidence.NAME
    return Evidence.CONTENT if settled or content > 0.5 else Evidence.ORDER


def _note(collector: Collector, task: Task, found: Sequence[Found]) -> None:
    matches = collector.matches[len(collector.matches) - len(found) :]
    for evidence, words in (
        (Evidence.CONTENT, "by their content"),
        (Evidence.NAME, "by their names, where order, shape and content left a choice"),
        (Evidence.ORDER, "by order and shape, which a diverging port needs"),
    ):
        share = [match for match in matches if match.evidence is evidence]
        if share:
            least = min(share, key=lambda match: match.confidence)
            collector.notes.add(
                f"{_taps(len(share))} matched {words}; least certain: {least.candidate} as "
                f"{least.reference} ({least.confidence:.2f})"
            )
    if not task.ordered:
        collector.notes.add(
            "the candidate's taps come in another order than the reference's: order was no evidence"
        )
    elif apart := task.out_of_order():
        collector.notes.add(
            "in another order than in the reference ran "
            + summary([task.candidate[task.settled[row]].series.name.path for row in apart])
        )
    elif any(m.evidence is Evidence.ORDER for m in matches) and _alphabetical(task.candidate):
        collector.notes.add(
            "the candidate's taps come in alphabetical order: if that is not the order in which "
            "they were computed, the matches by order are wrong"
        )


def _alphabetical(items: Sequence[Item]) -> bool:
    paths = [item.series.name.path for item in items]
    return len(paths) >= MIN_NAMES and paths == sorted(paths)


def _ambiguity(task: Task, unclear: Sequence[Found]) -> AlignmentError:
    lines = [_choice(task, one) for one in unclear[:LISTED]]
    if len(unclear) > LISTED:
        lines.append(f"and {len(unclear) - LISTED} more")
    first = unclear[0]
    rule = (
        f"{task.candidate[first.column].series.name.path} -> "
        f"{task.reference[first.row].series.name.path}"
    )
    return AlignmentError(
        f"nothing decides between the counterparts of {_taps(len(unclear))}: {'; '.join(lines)}",
        hint=f"say which is meant by rename rules, for instance '{rule}'",
    )


def _choice(task: Task, one: Found) -> str:
    ours = [str(task.reference[row].series.name) for row in (one.row, *one.rows)]
    theirs = [str(task.candidate[column].series.name) for column in (one.column, *one.columns)]
    if one.rows:
        return f"the candidate's {theirs[0]} could be {_any(ours)}"
    return f"the reference's {ours[0]} could be the candidate's {_any(theirs)}"


def _any(names: Sequence[str]) -> str:
    shown = list(names[:LISTED])
    if len(names) > LISTED:
        shown.append(f"{len(names) - LISTED} others")
    return " or ".join(shown)


def _taps(count: int) -> str:
    return "1 tap" if count == 1 else f"{count} taps"
