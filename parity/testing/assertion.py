"""`assert_parity`: the comparison as an assertion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from parity.align import Mode
from parity.diffing import DiffResult, Outcome, diff
from parity.diffing.compare import rename_rules
from parity.errors import ParityError
from parity.tensors import TapPlan
from parity.testing.message import explain, message
from parity.testing.sides import Named, named
from parity.tolerance import Tolerance, Verdict

if TYPE_CHECKING:
    from parity.diagnose import Diagnosis
    from parity.localize.reference import Reference

__all__ = ["ParityAssertionError", "assert_parity"]


class ParityAssertionError(AssertionError):
    """A candidate that is not its reference's equal, or of which nothing can be concluded.

    Attributes:
        result: the comparison.
    """

    def __init__(self, text: str, result: DiffResult) -> None:
        super().__init__(text)
        self.result = result

    def __reduce__(self) -> tuple[Any, ...]:
        # A result holds columns and open files; only the text travels between processes.
        return (AssertionError, self.args)


# pytest and tracebacks print where a class comes from; this is where people get it.
ParityAssertionError.__module__ = "parity"


def assert_parity(
    reference: Any,
    candidate: Any,
    *,
    tolerance: Tolerance | str = "fp32",
    renames: str | Sequence[str] | Mapping[str, str] = (),
    layouts: Mapping[str, tuple[int, ...]] | None = None,
    mode: Mode = "exact",
    plan: TapPlan | None = None,
    allow_missing: Sequence[str] = (),
    output: str = "",
    same_shapes: bool | None = None,
    program: Reference | None = None,
    title: str = "",
    commands: tuple[str, ...] = (),
) -> DiffResult:
    """Compare a candidate with its reference, and fail unless parity holds.

    Args:
        reference: a capture file, an open capture, named arrays or tensors, a sequence of such,
            or one of them, of any shape.
        candidate: the same of the port.
        tolerance: rules to judge by, or the name of a preset.
        renames: ordered rules `candidate -> reference` over tap paths, or a mapping of such.
        layouts: by glob over tap paths, the permutation that brings a candidate's axes into the
            reference's order.
        mode: `exact` matches by name, `auto` by order, shape and content.
        plan: which tensors of both sides take part; all by default.
        allow_missing: globs over the taps that the candidate need not have, or over their
            ports (`lstm:output.1`).
        output: path of the tap that is the model's output.
        same_shapes: whether shapes must be equal where no layout is declared, rather than to be
            brought together; by default they must for tensors in memory, and need not for captures.
        program: the reference, to be run again for a diagnosis where the comparison fails.
        title: what is compared, for the message.
        commands: what the message says to run next; by default what two capture files allow.

    Returns:
        The comparison, which holds.

    Raises:
        ParityAssertionError: parity does not hold, or nothing can be concluded.
        ParityError: a side or an option cannot be used.
    """
    __tracebackhide__ = True
    sides = named(reference), named(candidate)
    result = diff(
        *sides, tolerance=tolerance, renames=renames, layouts=layouts, mode=mode, plan=plan,
        allow_missing=allow_missing, output=output,
    )  # fmt: skip
    if result.outcome is Outcome.HOLDS:
        in_memory = all(isinstance(side, Mapping) for side in sides)
        if in_memory if same_shapes is None else same_shapes:
            _refuse_other_shapes(result, sides, layouts or {}, title, commands)
        return result
    why, doubt = None, ""
    if program is not None and result.outcome is Outcome.BROKEN:
        rules = tuple(rename_rules(renames))
        why, doubt = _diagnosed(program, sides[1], rules, layouts or {}, mode)
    found = explain(result, *sides, layouts=layouts, diagnosis=why, commands=commands)
    text = message(found, title=title)
    raise ParityAssertionError(f"{text}\n  no diagnosis: {doubt}" if doubt else text, result)


def _refuse_other_shapes(
    result: DiffResult,
    sides: tuple[Named, Named],
    layouts: Mapping[str, tuple[int, ...]],
    title: str,
    commands: tuple[str, ...],
) -> None:
    """Fail where numbers agree only once somebody has moved axes; `diff` does so and says so."""
    __tracebackhide__ = True
    for row in result:
        ours, theirs = row.reference, row.candidate
        if ours is None or theirs is None or ours.shape == theirs.shape:
            continue
        if any(fnmatchcase(row.key.path, pattern) for pattern in layouts):
            continue
        reason = "the numbers agree, and the shapes differ; same_shapes=False accepts that"
        other = replace(row, verdict=Verdict.SHAPE, ok=False, reason=reason, metrics={}, piece="")
        found = explain(result, *sides, row=other, layouts=layouts, commands=commands)
        head = f"Parity does not hold: {row.key.path} has another shape"
        raise ParityAssertionError(message(found, title=title, head=head), result)


def _diagnosed(
    program: Reference,
    candidate: Named,
    renames: Sequence[str],
    layouts: Mapping[str, tuple[int, ...]],
    mode: Mode,
) -> tuple[Diagnosis | None, str]:
    """A diagnosis where one can be made; else why there is none, in words."""
    from parity.diagnose import diagnose  # noqa: PLC0415 - loads torch

    try:
        return diagnose(program, candidate, renames=renames, layouts=layouts, mode=mode), ""
    except ParityError as error:
        return None, str(error)
