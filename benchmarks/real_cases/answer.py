"""What a diagnosing process hands back, as a file."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console

from parity.diagnose import Diagnosis
from parity.report.diagnosis import print_diagnosis
from parity.report.diagnosis_json import diagnosis_to_dict

__all__ = ["write_answer"]


def write_answer(path: Path, found: Diagnosis, measured: Mapping[str, float]) -> None:
    """The diagnosis as JSON values and as text, beside what else was measured."""
    screen = Console(width=96, record=True, file=io.StringIO())
    print_diagnosis(found, screen)
    answer = {
        "diagnosis": diagnosis_to_dict(found),
        "screen": [line.rstrip() for line in screen.export_text().rstrip().splitlines()],
        "measured": dict(measured),
    }
    path.write_text(json.dumps(answer, indent=1, ensure_ascii=False, default=str))
