"""`python -m benchmarks.audio`: the table, pictures and figures of docs/listening.md."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from benchmarks.audio.document import rewrite
from benchmarks.audio.faults import FAULTS
from benchmarks.audio.ranges import ranges
from benchmarks.audio.simulation import simulate
from benchmarks.audio.speed import seconds_for
from benchmarks.audio.trial import Trial, listened, trials, words_of
from parity.audio.sphinx import Sphinx

RESULTS = Path(__file__).parents[1] / "results" / "audio.json"
IMAGES = Path(__file__).parents[2] / "docs" / "images"
# Garbage takes the recogniser minutes; nothing is gained by waiting.
PATIENCE = 0.5
PICTURES = {
    "an offset of 0.02 each frame": "listening-offsets",
    "a frame lost": "listening-lost-frame",
    "low-passed at 4 kHz": "listening-low-pass",
}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument(
        "--words", action="store_true", help="ask the recogniser what is not known yet"
    )
    options.add_argument("--document", action="store_true", help="only write the page again")
    given = options.parse_args()
    if not (given.document or given.words):
        known = _words_known()
        found = {
            "faults": [{**_row(trial), **known.get(trial.name, {})} for trial in trials()],
            "ranges": ranges(),
            "gate": [_gate(row) for row in simulate()],
            "speed": seconds_for(300.0),
        }
        _save(found)
        _pictures()
    if given.words:
        _ask_for_words()
    rewrite(json.loads(RESULTS.read_text()))


def _save(found: dict[str, Any]) -> None:
    RESULTS.write_text(json.dumps(found, indent=1) + "\n")


def _words_known() -> dict[str, dict[str, str]]:
    """What the recogniser heard of changes that are as they were: its layer stands by itself."""
    rows = json.loads(RESULTS.read_text())["faults"] if RESULTS.is_file() else []
    return {row["name"]: {"words": row["words"], "heard": row["heard"]} for row in rows}


def _ask_for_words() -> None:
    """What the recogniser hears, kept fault by fault: it is the slow part."""
    found = json.loads(RESULTS.read_text())
    recogniser = Sphinx(patience=PATIENCE)
    for row in found["faults"]:
        if not row["words"]:
            row["words"], row["heard"] = words_of(FAULTS[row["name"]], recogniser)
            _save(found)
            print(f"{row['name']}: {row['words']} {row['heard']!r}", flush=True)


def _row(trial: Trial) -> dict[str, object]:
    row: dict[str, object] = {
        "name": trial.name,
        "group": trial.fault.group,
        "audible": trial.fault.audible,
        "caught": trial.caught,
        **trial.layers,
        "words": "",
        "diagnosis": [str(found) for found in trial.listening.diagnosis],
        "failed": [check.name for check in trial.listening.checks if check.judgement == "fail"],
        "heard": "",
    }
    wrong = trial.caught != trial.fault.audible
    print(f"{'WRONG ' if wrong else ''}{trial.name}: {trial.layers} {row['diagnosis']}", flush=True)
    return row


def _gate(row: object) -> dict[str, object]:
    return {name: getattr(row, name) for name in ("seeded", "phrases", "rise", "shares")}


def _pictures() -> None:
    for name, stem in PICTURES.items():
        figure = listened(FAULTS[name], "greeting", name).plot()
        figure.savefig(IMAGES / f"{stem}.png", dpi=80)


if __name__ == "__main__":
    main()
