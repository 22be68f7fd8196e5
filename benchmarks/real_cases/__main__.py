"""`python -m benchmarks.real_cases [pocket-tts] [coreml]`: both cases, or those named.

Makes what each needs (environments of their own below .cache/, from PyPI), runs every step in a
process of its own, and writes results/real_cases.md and .json. A case that cannot be run here is
skipped, and says why.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from benchmarks.real_cases.cases import coreml, pocket_tts
from benchmarks.real_cases.environments import SkippedError
from benchmarks.real_cases.table import markdown

__all__ = ["main"]

CASES: Mapping[str, Callable[[], dict[str, Any]]] = {"pocket-tts": pocket_tts, "coreml": coreml}
_RESULTS = Path(__file__).resolve().parents[1] / "results"


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.real_cases",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    # No names are a choice too: argparse holds the default against the choices.
    names = " | ".join(CASES)
    parser.add_argument("case", nargs="*", choices=[*CASES, []], default=[], metavar=names)
    parser.add_argument("--results", type=Path, default=_RESULTS, help="folder for the tables")
    given = parser.parse_args()
    results = given.results / "real_cases.json"
    # A case that is not run now keeps what an earlier run found.
    found = json.loads(results.read_text(encoding="utf-8")) if results.exists() else {}
    for name in given.case or CASES:
        try:
            found[name] = CASES[name]()
        except SkippedError as reason:
            print(f"{name}: skipped: {reason}")
    if not found:
        return
    given.results.mkdir(parents=True, exist_ok=True)
    found = {name: found[name] for name in CASES if name in found}
    text = json.dumps(found, indent=1, ensure_ascii=False)
    results.write_text(f"{text}\n", encoding="utf-8")
    results.with_suffix(".md").write_text(markdown(found), encoding="utf-8")
    print(markdown(found))


if __name__ == "__main__":
    main()
