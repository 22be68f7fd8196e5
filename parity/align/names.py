"""Which tap of the candidate is meant by a tap of the reference, from names."""

from __future__ import annotations

from collections.abc import Iterable

from parity.align.collect import Collector
from parity.align.join import join
from parity.align.matcher import Matcher
from parity.align.result import Evidence, TapMatch
from parity.align.series import Name, Series, Side, Tap
from parity.align.structure import elementwise
from parity.tensors import Role

__all__ = ["match_names"]

# A module's output hooked on one side may be an explicit tap on the other, or in a dump that
# knows no roles.
STANDS_FOR = {Role.OUTPUT: Role.TAP, Role.TAP: Role.OUTPUT}

# Taps that are not matched yet; a dictionary, because it keeps their order.
Free = dict[Tap, None]


def match_names(collector: Collector, matcher: Matcher) -> tuple[list[Tap], list[Tap]]:
    """Relate all taps whose names match.

    Equal names first; then a module's output and an explicit tap of its name; then taps whose
    phases are named differently, or on one side not at all; then outputs of one module that have
    names on one side and numbers on the other.

    Returns:
        The taps of the reference, and of the candidate, that are left.
    """
    ours, theirs = collector.reference.taps, collector.candidate.taps
    phases = {tap[3] for tap in ours}, {tap[3] for tap in theirs}
    unphased = {""} in phases and phases[0] != phases[1]
    if unphased:
        free, others = dict.fromkeys(ours), dict.fromkeys(theirs)
    else:
        free = {tap: None for tap in ours if tap not in theirs}
        others = {tap: None for tap in theirs if tap not in ours}
        matcher.relate_shared(tap for tap in ours if tap in theirs)
        _by_role(collector, matcher, free, others)
    loose = unphased or phases[0].isdisjoint(phases[1])
    for lenient in (False, True):
        if free and others:
            _across_phases(collector, matcher, free, others, loose=loose, lenient=lenient)
    _by_number(collector, matcher, free, others)
    return list(free), list(others)


def _by_role(collector: Collector, matcher: Matcher, free: Free, others: Free) -> None:
    for tap in list(free):
        path, role, slot, phase = tap
        twin = (path, STANDS_FOR.get(role, role), slot, phase)
        if twin not in others:
            continue
        matcher.relate_taps(tap, twin)
        del free[tap], others[twin]
        _note_role(collector, Name(*tap))
        collector.matches.append(
            TapMatch(str(Name(*tap)), _candidate_name(collector.candidate, twin), Evidence.ROLE)
        )


def _note_role(collector: Collector, name: Name) -> None:
    collector.notes.add(
        "explicit taps of the candidate stand for module outputs of the reference: {taps}"
        if name.role is Role.OUTPUT
        else "module outputs of the candidate stand for explicit taps of the reference: {taps}",
        name,
    )


def _across_phases(
    collector: Collector, matcher: Matcher, free: Free, others: Free, *, loose: bool, lenient: bool
) -> None:
    """Match what has one path and port whatever its phases, all calls in execution order.

    Args:
        collector: takes notes and matches.
        matcher: relates the series.
        free: the reference's taps, from which those that are matched are taken.
        others: the candidate's.
        loose: whether calls may be left over; else they must explain each other completely.
        lenient: whether an explicit tap may stand for a module's output.
    """
    theirs = _by_port(others, lenient=lenient)
    for port, taps in _by_port(free, lenient=lenient).items():
        twins = theirs.get(port)
        if not twins:
            continue
        reference = _series(collector.reference, taps, single=len(taps) == len(twins) == 1)
        candidate = _series(collector.candidate, twins, single=len(taps) == len(twins) == 1)
        if not loose and not _explained(reference, candidate):
            continue
        matcher.relate(reference, candidate)
        _note_phases(collector, taps, twins)
        for tap in taps:
            del free[tap]
        for twin in twins:
            del others[twin]


def _by_number(collector: Collector, matcher: Matcher, free: Free, others: Free) -> None:
    """Match the outputs of a module that returns a dictionary here and a tuple there, in order."""
    theirs = _by_module(others)
    for module, taps in _by_module(free).items():
        twins = theirs.get(module, [])
        numbered = _numbers(taps) is not None, _numbers(twins) is not None
        if len(taps) != len(twins) or numbered[0] is numbered[1]:
            continue
        pairs = list(zip(_in_order(taps), _in_order(twins), strict=True))
        if not all(_fits(collector, *pair) for pair in pairs):
            continue
        for tap, twin in pairs:
            matcher.relate_taps(tap, twin)
            del free[tap], others[twin]
            collector.matches.append(
                TapMatch(
                    str(Name(*tap)), _candidate_name(collector.candidate, twin), Evidence.ORDER
                )
            )
        sides = ("candidate", "reference") if numbered[0] else ("reference", "candidate")
        collector.notes.add(
            f"outputs of {{taps}} have names in the {sides[0]} and numbers in the {sides[1]}: "
            "matched in their order",
            Name(*taps[0]),
        )


def _by_module(taps: Iterable[Tap]) -> dict[tuple[str, str], list[Tap]]:
    found: dict[tuple[str, str], list[Tap]] = {}
    for tap in taps:
        if tap[1] is Role.OUTPUT:
            found.setdefault((tap[0], tap[3]), []).append(tap)
    return found


def _numbers(taps: Iterable[Tap]) -> list[list[int]] | None:
    """The slots as numbers, the empty one as 0; None where one is a name."""
    words = [(slot or "0").split(".") for _, _, slot, _ in taps]
    if not all(word.isdecimal() for slot in words for word in slot):
        return None
    return [[int(word) for word in slot] for slot in words]


def _in_order(taps: list[Tap]) -> list[Tap]:
    numbers = _numbers(taps)
    if numbers is None:
        return taps
    return [tap for _, tap in sorted(zip(numbers, taps, strict=True), key=lambda pair: pair[0])]


def _fits(collector: Collector, tap: Tap, twin: Tap) -> bool:
    ours, theirs = collector.reference.series(tap), collector.candidate.series(twin)
    return bool(elementwise(ours.shapes, theirs.shapes)) if len(ours) == len(theirs) else False


def _by_port(taps: Iterable[Tap], *, lenient: bool) -> dict[tuple[str, Role, str], list[Tap]]:
    found: dict[tuple[str, Role, str], list[Tap]] = {}
    for tap in taps:
        path, role, slot, _ = tap
        role = Role.OUTPUT if lenient and role is Role.TAP else role
        found.setdefault((path, role, slot), []).append(tap)
    return found


def _series(side: Side, taps: list[Tap], *, single: bool) -> Series:
    if single:
        return side.series(taps[0])
    path, role, slot, phase = taps[0]
    return side.merged(Name(path, role, slot, phase if len(taps) == 1 else ""), taps)


def _explained(reference: Series, candidate: Series) -> bool:
    if len(reference) == len(candidate):
        return len(elementwise(reference.shapes, candidate.shapes)) == 1
    return len(join(reference.shapes, candidate.shapes)) == 1


def _note_phases(collector: Collector, taps: list[Tap], twins: list[Tap]) -> None:
    ours, theirs = _phases(collector.reference, taps), _phases(collector.candidate, twins)
    name = Name(*taps[0])
    if not (ours and theirs):
        named, without = ("reference", "candidate") if ours else ("candidate", "reference")
        collector.notes.add(
            f"the {without} has no phases: {{taps}} matched by order of execution across the "
            f"{named}'s {ours or theirs}",
            name,
        )
    else:
        collector.notes.add(
            f"{{taps}} ran in {ours} of the reference and in {theirs} of the candidate: matched by "
            "order of execution",
            name,
        )
    if taps[0][1] is not twins[0][1]:
        _note_role(collector, name)
    reference = "+".join(str(Name(*tap)) for tap in taps)
    candidate = "+".join(_candidate_name(collector.candidate, twin) for twin in twins)
    collector.matches.append(TapMatch(reference, candidate, Evidence.PHASE))


def _phases(side: Side, taps: list[Tap]) -> str:
    """The phases of `taps` in order of execution, in words; empty where they have none."""
    found = {tap[3]: min(side.records[p].order for p in side.series(tap).positions) for tap in taps}
    return ", ".join(phase for phase in sorted(found, key=found.__getitem__) if phase)


def _candidate_name(side: Side, tap: Tap) -> str:
    """The tap's name before renaming."""
    found = side.taps[tap]
    key = side.records[found if isinstance(found, int) else found[0]].key
    return str(Name(key.path, key.role, key.slot, key.phase))
