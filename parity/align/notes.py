"""Sentences about an alignment: one for each kind of thing that was done, not one a tap."""

from __future__ import annotations

from collections.abc import Sequence

from parity.align.series import Name

__all__ = ["NoteBook", "axes_words", "run_words", "shift_words", "summary"]

TAPS = "{taps}"


class NoteBook:
    """Collects sentences; equal ones about different taps become one."""

    def __init__(self) -> None:
        self._taps: dict[str, dict[Name, None]] = {}

    def add(self, sentence: str, tap: Name | None = None) -> None:
        """Note `sentence`, in which `{taps}` stands for the paths of the taps it is said of."""
        taps = self._taps.setdefault(sentence, {})
        if tap is not None:
            taps[tap] = None

    def sentences(self) -> tuple[str, ...]:
        """The notes, in the order in which their kind first came up."""
        return tuple(_fill(sentence, list(taps)) for sentence, taps in self._taps.items())


def _fill(sentence: str, taps: Sequence[Name]) -> str:
    if TAPS not in sentence:
        return sentence
    # Several ports of one module are one path, but as many taps.
    named = sentence.replace(TAPS, summary(list(dict.fromkeys(tap.path for tap in taps))))
    return f"{named} ({len(taps)} taps)" if len(taps) > 1 else named


def summary(paths: Sequence[str]) -> str:
    """The paths in few words: one or two as they are, more by what they begin with."""
    if len(paths) <= 2:
        return " and ".join(paths)
    split = [path.split(".") for path in paths]
    common = 0
    while all(len(parts) > common + 1 for parts in split) and (
        len({parts[common] for parts in split}) == 1
    ):
        common += 1
    if common:
        return ".".join([*split[0][:common], "*"])
    return f"{paths[0]}, {paths[1]} and {len(paths) - 2} more"


def run_words(lengths: Sequence[int]) -> str:
    """How a side ran, in words, from the lengths of its calls along the axis."""
    if len(lengths) == 1:
        return "in one pass"
    if set(lengths) == {1}:
        return f"one position at a time ({len(lengths)} calls)"
    if len(set(lengths)) == 1:
        return f"in {len(lengths)} blocks of {lengths[0]}"
    if len(lengths) <= 4:
        return f"in blocks of {', '.join(map(str, lengths))}"
    return f"in {len(lengths)} blocks of {min(lengths)} to {max(lengths)}"


def axes_words(count: int) -> str:
    """A number of axes."""
    return "1 axis" if count == 1 else f"{count} axes"


def shift_words(shift: int, evidence: str, ours: int, theirs: int) -> str:
    """That call numbers differ by `shift`, and what it was seen by.

    Args:
        shift: the candidate's number less the reference's.
        evidence: `values` or `shapes`; not used without a shift.
        ours: how many calls the reference has.
        theirs: how many the candidate has.
    """
    if not shift:
        return (
            f"{{taps}} ran {ours} times in the reference and {theirs} times in the candidate: "
            "paired from the first call on"
        )
    first = f"n+{shift}" if shift > 0 else "n"
    second = "n" if shift > 0 else f"n+{-shift}"
    counts = f"{ours} calls" if ours == theirs else f"{ours} and {theirs} calls"
    return (
        f"call {first} of the candidate's {{taps}} stands beside call {second} of the reference's, "
        f"by their {evidence} ({counts})"
    )
