"""Diffs of two captures in a process of its own, so that its memory can be told apart.

`python -m benchmarks.diff.worker REFERENCE CANDIDATE` compares once for each line that it reads,
and answers each with a line of JSON.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from parity.diffing import diff

__all__ = ["Worker"]


class Worker:
    """The process, seen from outside; a context manager."""

    def __init__(self, reference: Path, candidate: Path) -> None:
        command = [sys.executable, "-m", "benchmarks.diff.worker", str(reference), str(candidate)]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)
        self.found: dict[str, Any] = {}

    def __enter__(self) -> Self:
        self.compare()  # reads the files into memory and loads the compiled kernel
        return self

    def compare(self) -> None:
        """One diff, from opening the files to verdicts."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        self.found = json.loads(self._process.stdout.readline())
        assert self.found["outcome"] == "holds", "the pairs differ by rounding only"

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def answer(reference: str, candidate: str) -> None:
    """Compare once for each line of the standard input."""
    for _ in sys.stdin:
        result = diff(reference, candidate)
        found = {"rss": _peak_bytes(), "compared": result.compared, "outcome": str(result.outcome)}
        print(json.dumps(found), flush=True)


def _peak_bytes() -> int:
    """Most memory that was ever resident, in bytes."""
    # Not getrusage on Linux: there it counts what the parent had when it forked.
    status = Path("/proc/self/status")
    if status.exists():
        lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
        return int(lines["VmHWM"].split()[0]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


if __name__ == "__main__":
    answer(sys.argv[1], sys.argv[2])
