"""Whether a stored capture still stands for what a run would make again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from parity.capture.dependencies import digest_paths, unchanged
from parity.errors import ParityError
from parity.run.config import Implementation
from parity.store import open_capture
from parity.tensors import Case, TapPlan

__all__ = ["can_reuse", "capture_key", "keep_note", "remember"]


def capture_key(
    implementation: Implementation, case: Case, plan: TapPlan, depends: Sequence[Path]
) -> str:
    """SHA-256 over all that a capture is asked for: who runs, what is run, what is recorded.

    What the run loads in order to do so is not known beforehand; the capture itself records that.
    """
    asked = {
        "backend": implementation.backend,
        "options": implementation.options,
        "case": case.digest(),
        "plan": {k: sorted(v) if isinstance(v, frozenset) else v for k, v in asdict(plan).items()},
        "depends": digest_paths(depends),
    }
    return hashlib.sha256(json.dumps(asked, sort_keys=True, default=str).encode()).hexdigest()


def can_reuse(path: Path, key: str) -> bool:
    """Whether the capture at `path` was made for `key`, came to its end, and is up to date."""
    try:
        known: Any = json.loads(_note(path).read_text(encoding="utf-8"))
        if known != {"key": key, "size": path.stat().st_size}:
            return False
        with open_capture(path) as capture:
            return capture.complete and unchanged(capture.environment.get("dependencies", {}))
    except (OSError, ValueError, ParityError):
        return False


def remember(path: Path, key: str) -> None:
    """Note beside the finished capture at `path` what it was made for."""
    known = {"key": key, "size": path.stat().st_size}
    _note(path).write_text(json.dumps(known), encoding="utf-8")


@contextmanager
def keep_note(path: Path) -> Iterator[None]:
    """Let what was noted about the capture at `path` hold on while something is added to it."""
    known: Any = None
    try:
        known = json.loads(_note(path).read_text(encoding="utf-8"))
        valid = isinstance(known, dict) and known["size"] == path.stat().st_size
    except (OSError, ValueError, KeyError):
        valid = False
    yield
    if valid:
        remember(path, known["key"])


def _note(path: Path) -> Path:
    return path.with_name(path.name + ".key")
