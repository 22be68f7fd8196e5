"""What parity costs those who do not use it: its import, and pytest's start with the plugin unused.

Each command runs many times in turn with the one that it is compared with, each in a process of its
own. The smallest CPU time of each counts: other work on the machine only adds to it. Wall time is
told beside it, the smallest too.

    python -m benchmarks.startup
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

RESULTS = Path(__file__).parent / "results" / "startup.json"
IMPORT_LIMIT_MS, COLLECT_LIMIT_MS = 100.0, 50.0
TEST = "def test_nothing():\n    assert True\n"


@dataclass(frozen=True)
class Cost:
    """Milliseconds of a process from start to end, the smallest of all runs."""

    cpu_ms: float
    wall_ms: float


def once(command: Sequence[str], folder: Path) -> Cost:
    """One run, which must succeed."""
    began = time.perf_counter()
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, command
    return Cost(1e3 * (used.ru_utime + used.ru_stime), 1e3 * (time.perf_counter() - began))


def in_turn(commands: Mapping[str, Sequence[str]], folder: Path, runs: int) -> dict[str, Cost]:
    """The least that each command took; first runs, which fill caches, do not count."""
    for command in commands.values():
        once(command, folder)
    found: dict[str, list[Cost]] = {name: [] for name in commands}
    for _ in range(runs):
        for name, command in commands.items():
            found[name].append(once(command, folder))
    return {
        name: Cost(min(c.cpu_ms for c in costs), min(c.wall_ms for c in costs))
        for name, costs in found.items()
    }


def measure(runs: int) -> dict[str, Cost]:
    """All commands, in turn."""
    python = [sys.executable, "-c"]
    # Both load whatever other plugins are installed; the difference is parity's alone.
    pytest = [sys.executable, "-m", "pytest", "--co", "-q"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "test_nothing.py").write_text(TEST)
        commands = {
            "python": [*python, "pass"],
            "import parity": [*python, "import parity"],
            "import numpy": [*python, "import numpy"],
            "pytest --co, -p no:parity": [*pytest, "-p", "no:parity"],
            "pytest --co": pytest,
        }
        return in_turn(commands, folder, runs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=15, help="runs of each command")
    costs = measure(parser.parse_args().runs)
    own = costs["import parity"].cpu_ms - costs["python"].cpu_ms
    numpy = costs["import numpy"].cpu_ms - costs["python"].cpu_ms
    base = costs["pytest --co, -p no:parity"].cpu_ms
    plugin = costs["pytest --co"].cpu_ms - base
    for name, cost in costs.items():
        print(f"{name:<28} {cost.cpu_ms:8.1f} ms CPU {cost.wall_ms:8.1f} ms wall")
    kept = {True: "kept", False: "NOT KEPT"}
    print(
        f"import parity: {own:.1f} ms, {own / numpy:.2f} times import numpy; "
        f"limit {IMPORT_LIMIT_MS:g} ms: {kept[own < IMPORT_LIMIT_MS]}"
    )
    print(
        f"plugin, unused: {plugin:.1f} ms, {plugin / base:.1%} of pytest --co; "
        f"limit {COLLECT_LIMIT_MS:g} ms: {kept[plugin < COLLECT_LIMIT_MS]}"
    )
    document = {
        "commands": {name: asdict(cost) for name, cost in costs.items()},
        "import_parity_ms": own,
        "import_parity_over_numpy": own / numpy,
        "plugin_unused_ms": plugin,
        "plugin_unused_share": plugin / base,
    }
    RESULTS.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
