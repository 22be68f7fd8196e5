"""The stage that says why a candidate differs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from parity.align import Mode
from parity.backends.child import place_of
from parity.diffing import Outcome
from parity.errors import ParityError
from parity.run.captures import plan_of
from parity.run.result import Comparison
from parity.tensors import TapPlan

if TYPE_CHECKING:
    from parity.diagnose import Diagnosis
    from parity.run.pipeline import Context

__all__ = ["Question", "explain", "explain_broken", "question_of"]


@dataclass(frozen=True, slots=True)
class Question:
    """How a diagnosis is asked for; the arguments of `parity.diagnose.diagnose`.

    Attributes:
        renames: ordered rules `candidate -> reference` over tap paths.
        mode: `exact` or `auto`.
        plan: which tensors take part.
        output: the tap that is the model's output; empty for the last of floating point.
        seconds: after which no further cause is looked for.
    """

    renames: tuple[str, ...]
    mode: Mode
    plan: TapPlan
    output: str
    seconds: float


def question_of(context: Context) -> Question:
    """What the configuration says of it."""
    config, candidate = context.config, context.candidate
    return Question(
        renames=candidate.renames,
        mode="auto" if candidate.align == "auto" else "exact",
        plan=plan_of(config),
        output=config.subject.output,
        seconds=config.diagnose.seconds,
    )


def explain_broken(comparison: Comparison, context: Context) -> Comparison:
    """Stage: why, where the candidate differs; the configuration may leave it out."""
    diff = comparison.diff
    if not context.config.diagnose.enabled or diff is None or diff.outcome is not Outcome.BROKEN:
        return comparison
    return explain(comparison, context, question_of(context))


def explain(comparison: Comparison, context: Context, question: Question) -> Comparison:
    """The comparison with its diagnosis, or with the reason why there is none.

    A diagnosis is worth much and everything else does without it: whatever goes wrong in it, in
    the reference's own code too, is said and not raised.
    """
    name = f"{comparison.case}: {comparison.candidate}"

    def say(what: str) -> None:
        context.observer.began(f"{name}: {what}")

    say("looking for the cause")
    try:
        return replace(comparison, diagnosis=_diagnosis(comparison, context, question, say))
    except ParityError as error:
        return replace(comparison, undiagnosed=str(error))
    except Exception as error:
        at = f" ({place})" if (place := place_of(error)) else ""
        reason = f"the diagnosis failed with {type(error).__name__}: {error}{at}"
        return replace(comparison, undiagnosed=reason)


def _diagnosis(
    comparison: Comparison, context: Context, question: Question, say: Callable[[str], None]
) -> Diagnosis:
    reference = context.references.on(comparison.reference.path)
    from parity.diagnose import diagnose  # noqa: PLC0415 - loads torch

    return diagnose(
        reference,
        comparison.capture.path,
        renames=question.renames,
        layouts=context.candidate.layouts,
        mode=question.mode,
        plan=question.plan,
        output=question.output,
        seconds=question.seconds,
        progress=say,
    )
