"""One diff of two captures in a process of its own: its times, and how much memory it took.

Run as `python -m benchmarks.diff.worker REFERENCE CANDIDATE ROUNDS`; prints one line of JSON.
"""

from __future__ import annotations

import json
import resource
import sys
import time

from parity.diffing import diff

__all__ = ["main"]


def main(reference: str, candidate: str, rounds: int) -> None:
    seconds = []
    for _ in range(rounds):
        started = time.perf_counter()
        result = diff(reference, candidate)
        seconds.append(time.perf_counter() - started)
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    compared, holds = result.compared, str(result.outcome)
    json.dump({"seconds": seconds, "rss": kilobytes * 1024, "compared": compared,
               "outcome": holds}, sys.stdout)  # fmt: skip


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
