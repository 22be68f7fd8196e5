"""What a diagnosing process hands back, as a file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from parity.diagnose import Diagnosis
from parity.report.diagnosis_json import diagnosis_to_dict

__all__ = ["write_answer"]


def write_answer(path: Path, found: Diagnosis, measured: Mapping[str, float]) -> None:
    """The diagnosis as JSON values and as text, beside what else was measured."""
    answer = {
        "diagnosis": diagnosis_to_dict(found), "text": str(found), "measured": dict(measured)
    }  # fmt: skip
    path.write_text(json.dumps(answer, indent=1, ensure_ascii=False, default=str))
