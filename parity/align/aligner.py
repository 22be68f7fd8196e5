"""The way from two lists of records to an alignment."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np

from parity.align.automatic import match_automatically
from parity.align.collect import Collector
from parity.align.content import Reader
from parity.align.matcher import Matcher
from parity.align.names import match_names
from parity.align.result import Alignment
from parity.align.rules import LayoutRule, Rename
from parity.align.series import Side
from parity.align.settle import Settler
from parity.errors import ConfigError
from parity.tensors import TapRecord

__all__ = ["Mode", "align"]

Array = np.ndarray[Any, np.dtype[Any]]
Mode = Literal["exact", "auto"]
MODES = ("exact", "auto")


def align(
    reference: Sequence[TapRecord],
    candidate: Sequence[TapRecord],
    *,
    renames: Sequence[Rename] = (),
    mode: Mode = "exact",
    layouts: Sequence[LayoutRule] = (),
    read_reference: Callable[[TapRecord], Array] | None = None,
    read_candidate: Callable[[TapRecord], Array] | None = None,
    leave_unclear: bool = False,
    turned: Sequence[Sequence[int]] = (),
) -> Alignment:
    """Say which tensor of the candidate, or part of one, stands beside which of the reference.

    Works on names, shapes, order and the statistics in the records; values are read only to decide
    where these leave a choice, and only if both readers are given.

    Args:
        reference: all records of the reference, in any order.
        candidate: all records of the candidate, in any order.
        renames: rules for the candidate's names; the first that matches a path is applied.
        mode: `exact` matches by name; `auto` goes on to match the taps that are left by order,
            shape and content.
        layouts: declared orders of axes of the candidate's tensors, by renamed path; the first
            that matches is applied.
        read_reference: gives the stored tensor of a reference record.
        read_candidate: gives the stored tensor of a candidate record.
        leave_unclear: with `auto`, taps between whose counterparts nothing decides stay without
            one, and a note says so.
        turned: orders of axes into which a part of the candidate's tensors was brought when they
            were recorded. Tensors that look the same in them may be left as they were.

    Raises:
        AlignmentError: two records have, or are renamed to, one name; or, with `auto`, taps of the
            reference are equally good counterparts of one of the candidate.
        ConfigError: `mode` is unknown.
    """
    if mode not in MODES:
        raise ConfigError(f"{mode!r} is no mode of alignment", hint=f"one of {', '.join(MODES)}")
    ours, theirs = Side.of(reference), Side.of(candidate, renames, layouts)
    collector = Collector(ours, theirs)
    settler = Settler(collector, Reader(read_reference, read_candidate), turned)
    matcher = Matcher(collector, settler)
    _note_unused(collector, renames, layouts)
    left = match_names(collector, matcher)
    if mode == "auto" and all(left):
        match_automatically(collector, matcher, settler, *left, leave_unclear=leave_unclear)
    matcher.finish()
    return collector.result()


def _note_unused(
    collector: Collector, renames: Sequence[Rename], layouts: Sequence[LayoutRule]
) -> None:
    side = collector.candidate
    for number, rule in enumerate(renames):
        if number not in side.used:
            collector.notes.add(f"rename rule '{rule}' matched nothing")
    if not layouts:
        return
    tensors = {(k.path, len(r.spec.shape)) for k, r in zip(side.keys, side.records, strict=True)}
    for layout in layouts:
        if not any(layout.matches(path, rank) for path, rank in tensors):
            collector.notes.add(
                f"layout rule '{layout.pattern}' {layout.permutation} matched nothing"
            )
