"""One diff of two captures in a process of its own: its times, and how much memory it took.

Run as `python -m benchmarks.diff.worker REFERENCE CANDIDATE ROUNDS`; prints one line of JSON.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path

from parity.diffing import diff

__all__ = ["main"]


def main(reference: str, candidate: str, rounds: int) -> None:
    seconds = []
    for _ in range(rounds):
        started = time.perf_counter()
        result = diff(reference, candidate)
        seconds.append(time.perf_counter() - started)
    found = {"seconds": seconds, "rss": _peak_bytes(), "compared": result.compared}
    json.dump(found | {"outcome": str(result.outcome)}, sys.stdout)


def _peak_bytes() -> int:
    """Most memory that was ever resident, in bytes."""
    # Not getrusage on Linux: there it counts what the parent had when it forked.
    status = Path("/proc/self/status")
    if status.exists():
        lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
        return int(lines["VmHWM"].split()[0]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
