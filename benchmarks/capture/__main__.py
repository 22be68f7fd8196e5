"""`python -m benchmarks.capture`: the table of capture costs, as Markdown and JSON.

Each way runs in a process of its own, in turns with the bare run; figures are ratios to that.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.capture.peers import PEERS
from benchmarks.capture.ways import OURS, WAYS

__all__ = ["main"]

WORKLOADS = {
    "large": "12-layer GPT, one pass over 256 tokens: 172 leaf calls, 190 MB of outputs",
    "many": "8-layer decoder, 100 cached steps: 8,800 leaf calls, 12 MB of outputs",
}
TARGETS = {"large": 1.35, "many": 1.5}
SLOW_S = 240


def main() -> None:
    arguments = _arguments()
    names = arguments.ways or [*WAYS, *PEERS]
    table = {
        workload: {name: _measured(workload, name, arguments.rounds) for name in names}
        for workload in WORKLOADS
    }
    results = Path(arguments.results)
    results.mkdir(parents=True, exist_ok=True)
    text = _markdown(table, arguments.rounds)
    (results / "capture.md").write_text(text)
    (results / "capture.json").write_text(json.dumps(table, indent=1) + "\n")
    print(text)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.capture")
    parser.add_argument("--rounds", type=int, default=12, help="bare run and way in turns")
    parser.add_argument("--ways", nargs="*", help="only these rows")
    parser.add_argument("--results", default="benchmarks/results", help="where the table goes")
    return parser.parse_args()


def _measured(workload: str, way: str, rounds: int) -> dict[str, Any]:
    # What takes fifty times as long does so in every round.
    rounds = 1 if way in PEERS else rounds
    command = [sys.executable, "-m", "benchmarks.capture.measure", workload, way, str(rounds)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=True, timeout=SLOW_S, env=environment
        )
    except subprocess.TimeoutExpired:
        return {"failure": f"not done after {SLOW_S} s"}
    except subprocess.CalledProcessError as error:
        return {"failure": error.stderr.strip().splitlines()[-1][:120]}
    row: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    print(f"{workload:6} {way:32} {row['ratio']:8.2f}", file=sys.stderr)
    return row


def _markdown(table: dict[str, dict[str, dict[str, Any]]], rounds: int) -> str:
    lines = [
        "# What capturing costs",
        "",
        "Time over that of the bare forward pass, taken in turns in one process, one thread, "
        f"{rounds} rounds, other tools one, after one to warm up: shortest over shortest, median of"
        " the rounds' ratios, and CPU time. Written by `python -m benchmarks.capture`.",
    ]
    for workload, rows in table.items():
        lines += ["", f"## {workload}: {WORKLOADS[workload]}", ""]
        lines += ["| way | shortest | median | CPU | MB written |", "|---|---|---|---|---|"]
        lines += [_line(name, row) for name, row in rows.items()]
        target = f"Target for `{OURS}`: at most {TARGETS[workload]}."
        bare = [row["bare_s"] for row in rows.values() if "bare_s" in row]
        lines += ["", f"{target} Bare forward pass: {1e3 * min(bare, default=0):.0f} ms."]
    return "\n".join(lines) + "\n"


def _line(name: str, row: dict[str, Any]) -> str:
    label = f"**{name}**" if name == OURS else name
    if "failure" in row:
        return f"| {label} | cannot run here: {row['failure']} | | | |"
    return (
        f"| {label} | {row['ratio']:.2f} | {row['median_ratio']:.2f} | {row['cpu_ratio']:.2f} "
        f"| {row['megabytes']:.0f} |"
    )


if __name__ == "__main__":
    main()
