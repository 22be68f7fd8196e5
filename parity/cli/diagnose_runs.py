"""`parity diagnose` of what a configuration names, on captures that `parity run` would make."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from parity.cli.diagnose_reports import write_reports
from parity.cli.watch import Watcher
from parity.report.files import write_text
from parity.run import Comparison, Context, RunResult, load_config, run
from parity.run.explain import Question, explain, question_of
from parity.run.machine import why_to_dict

__all__ = ["diagnose_runs"]

# A run that failed says less than a fault, and no fault less than either.
_WORST_FIRST = (2, 1, 3, 0)


def diagnose_runs(given: dict[str, Any]) -> int:
    """Capture where needed, diagnose each candidate on each case, report.

    Raises:
        ParityError: the configuration or an option cannot be used.
    """

    def stage(comparison: Comparison, context: Context) -> Comparison:
        return explain(comparison, context, _asked(question_of(context), given))

    silent = "-" in (given["json_"], given["markdown"])
    with Watcher(quiet=silent) as watcher:
        result = run(
            load_config(given["config"]),
            candidates=given["candidates"],
            cases=given["cases"],
            fresh=given["fresh"],
            observer=watcher,
            stages=[stage],
        )
    status = next((s for s in _WORST_FIRST if s in map(_status, result.comparisons)), 3)
    _report(given, result, status)
    if not silent:
        _print(result)
    return status


def _asked(question: Question, given: dict[str, Any]) -> Question:
    """The configuration's question with what the command line says differently."""
    plan = question.plan
    return replace(
        question,
        renames=(*given["renames"], *question.renames),
        mode="auto" if given["auto"] else question.mode,
        plan=replace(
            plan,
            include=given["include"] or plan.include,
            exclude=(*plan.exclude, *given["exclude"]),
        ),
        output=given["output"] or question.output,
        seconds=question.seconds if given["seconds"] is None else given["seconds"],
    )


def _status(comparison: Comparison) -> int:
    if comparison.reference.problem or comparison.capture.problem or comparison.diagnosis is None:
        return 2
    return comparison.diagnosis.verdict.exit_status


def _report(given: dict[str, Any], result: RunResult, status: int) -> None:
    if given["json_"]:
        document = {
            "format": "parity-diagnoses",
            "version": 1,
            "subject": result.subject,
            "exit_status": status,
            "comparisons": [_entry(comparison) for comparison in result.comparisons],
        }
        text = json.dumps(document, allow_nan=False, ensure_ascii=False, default=str)
        write_text(given["json_"], f"{text}\n")
    diagnoses = {
        f"{c.candidate} on {c.case}": c.diagnosis
        for c in result.comparisons
        if c.diagnosis is not None
    }
    write_reports(given | {"json_": None}, diagnoses, title=f"{result.subject}: why it differs")


def _entry(comparison: Comparison) -> dict[str, Any]:
    return {
        "case": comparison.case,
        "candidate": comparison.candidate,
        "exit_status": _status(comparison),
        "problem": comparison.reference.problem or comparison.capture.problem,
        **why_to_dict(comparison),
    }


def _print(result: RunResult) -> None:
    from rich.console import Console, Group, RenderableType  # noqa: PLC0415
    from rich.rule import Rule  # noqa: PLC0415

    from parity.run.screen import problems, why  # noqa: PLC0415

    parts: list[RenderableType] = []
    for comparison in result.comparisons:
        title = f"{result.subject} · {comparison.case} · {comparison.candidate}"
        parts += [Rule(title, style="dim"), *problems(comparison)]
        parts += [] if problems(comparison) and comparison.diagnosis is None else why(comparison)
    Console().print(Group(*parts))
