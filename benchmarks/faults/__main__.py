"""The fault bench: ports with known faults are diagnosed, and the answers held against the truth.

    python -m benchmarks.faults                                   # everything, hours
    python -m benchmarks.faults --subject codec --condition 'single, all*' --seconds 600
    python -m benchmarks.faults --condition clean --fresh         # after a change to the engine

A trial whose outcome is on file is not made again, so that a run that was stopped goes on; one
that ended in a problem is.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from benchmarks.faults.plan import all_setups
from benchmarks.faults.record import append, forget, key_of, read
from benchmarks.faults.table import Tables, insert
from benchmarks.faults.trial import SUBJECTS, Outcome, Setup, pair_of
from benchmarks.faults.workers import run_all

__all__ = ["main"]

FOLDER = Path(__file__).resolve().parents[2]


def main(arguments: Sequence[str] | None = None) -> None:
    """Make the trials that are not on file, and write counts and tables of all that are."""
    options = _options(arguments)
    plan = all_setups()
    wanted = [setup for setup in plan if _is_wanted(setup, options)]
    if not wanted:
        known = "\n  ".join(dict.fromkeys(setup.condition for setup in plan))
        sys.exit(f"no trial of the plan is like that; the conditions are\n  {known}")
    record = Path(options.results) / "faults.jsonl"
    if options.fresh:
        forget(record, wanted)
    _make(wanted, record, options)
    _write(plan, record, options)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.faults",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--subject", action="append", choices=SUBJECTS, help="can be repeated")
    parser.add_argument("--condition", action="append", metavar="GLOB", help="can be repeated")
    parser.add_argument("--seconds", type=float, default=math.inf, metavar="LIMIT",
                        help="begin no trial after so long")  # fmt: skip
    parser.add_argument("--workers", type=int, default=2, help="processes, one thread each")
    parser.add_argument("--fresh", action="store_true", help="make those on file again")
    parser.add_argument("--results", default=FOLDER / "benchmarks" / "results",
                        help="folder for faults.jsonl and faults.json")  # fmt: skip
    parser.add_argument("--page", default=FOLDER / "docs" / "diagnosis_bench.md",
                        help="where the tables go; `-` prints them")  # fmt: skip
    return parser.parse_args(arguments)


def _is_wanted(setup: Setup, options: argparse.Namespace) -> bool:
    if options.subject and setup.subject not in options.subject:
        return False
    globs = options.condition
    return not globs or any(fnmatchcase(setup.condition, glob) for glob in globs)


def _make(wanted: Sequence[Setup], record: Path, options: argparse.Namespace) -> None:
    known = {key for key, outcome in read(record).items() if not outcome.problem}
    missing = _in_turn([setup for setup in wanted if key_of(setup) not in known])
    print(f"{len(wanted)} trials, of which {len(wanted) - len(missing)} are on file",
          file=sys.stderr)  # fmt: skip
    stop_at = time.monotonic() + options.seconds
    for number, outcome in enumerate(run_all(missing, options.workers, stop_at), 1):
        append(record, outcome)
        print(f"[{number}/{len(missing)}] {_progress(outcome)}", file=sys.stderr, flush=True)


def _in_turn(setups: Sequence[Setup]) -> list[Setup]:
    """By condition as they come, and there by subject and case, whose reference is traced once."""
    conditions = list(dict.fromkeys(setup.condition for setup in setups))
    return sorted(setups, key=lambda s: (conditions.index(s.condition), s.subject, s.case))


def _progress(outcome: Outcome) -> str:
    setup = outcome.setup
    what = " + ".join(setup.faults) or f"{setup.variant or 'plain'} {setup.precision} {setup.taps}"
    text = f"{setup.subject}, {setup.condition}: {what}: "
    if outcome.problem:
        return text + f"PROBLEM {outcome.problem}"
    parts = [
        f"{word} {sum(found.values())}/{len(found)}"
        for word, found in (("site", outcome.site), ("cause", outcome.top1))
        if found
    ]
    if outcome.wrong_high:
        parts.append(f"{len(outcome.wrong_high)} WRONG HIGH")
    if not setup.faults and not outcome.gate:
        parts.append("REFUSED")
    return text + ", ".join([*parts, outcome.verdict, f"{outcome.seconds:.1f} s"])


def _write(plan: Sequence[Setup], record: Path, options: argparse.Namespace) -> None:
    known = read(record)
    outcomes = [known[key] for setup in plan if (key := key_of(setup)) in known]
    tables = Tables(outcomes, {name: pair_of(name) for name in SUBJECTS}, len(plan))
    counts = json.dumps(tables.as_json(), indent=1, ensure_ascii=False)
    record.with_suffix(".json").write_text(counts + "\n", encoding="utf-8")
    if options.page == "-":
        print(tables.as_markdown())
        return
    page = Path(options.page)
    text = insert(page.read_text(encoding="utf-8"), tables.as_markdown())
    page.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
