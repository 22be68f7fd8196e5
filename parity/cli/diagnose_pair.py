"""`parity diagnose` of two captures, with the reference's program beside them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from parity.backends import load
from parity.cli.case_options import assignments
from parity.cli.diagnose_reports import write_reports
from parity.cli.progress import Bar
from parity.diagnose import Diagnosis
from parity.run.references import reference_on, refuse_another_run
from parity.store import open_capture
from parity.tensors import TapPlan

__all__ = ["diagnose_pair"]

_HERE = (".",)
_SECONDS = 300.0


def diagnose_pair(given: dict[str, Any]) -> int:
    """Diagnose, report, and give the exit status.

    Raises:
        ParityError: a file, the program or an option cannot be used.
    """
    with Bar("reading", quiet="-" in (given["json_"], given["markdown"])) as bar:
        diagnosis = _diagnosed(given, bar)
    write_reports(
        given,
        {"": diagnosis},
        title=f"{given['candidate']} against {given['reference']}",
    )
    if "-" not in (given["json_"], given["markdown"]):
        from parity.report.diagnosis import print_diagnosis  # noqa: PLC0415

        print_diagnosis(diagnosis)
    return diagnosis.verdict.exit_status


def _diagnosed(given: dict[str, Any], bar: Bar) -> Diagnosis:
    from parity.diagnose import diagnose  # noqa: PLC0415 - loads torch

    reference = _readable(given["reference"])
    # A file that cannot be read is said before minutes of work, not after.
    candidate = _readable(given["candidate"])
    options = assignments("--option", given["options"]) | {"program": given["program"]}
    bar.update(0, None, "building the reference")
    rerun = reference_on(load("torch", options, python_path=_HERE), reference)
    bar.update(0, None, "running the reference again")
    refuse_another_run(rerun)
    return diagnose(
        rerun,
        candidate,
        renames=given["renames"],
        mode="auto" if given["auto"] else "exact",
        plan=TapPlan(include=given["include"] or ("*",), exclude=given["exclude"]),
        output=given["output"],
        seconds=_SECONDS if given["seconds"] is None else given["seconds"],
        progress=lambda what: bar.update(0, None, what),
    )


def _readable(path: Path) -> Path:
    with open_capture(path):
        return path
