"""The best accepted run, in a file that is committed: the ratchet."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from parity.diffing import DiffResult
from parity.errors import ConfigError
from parity.report.files import write_text

__all__ = ["Baseline", "Best", "errors_of", "load_baseline", "save_baseline"]

FORMAT, VERSION = "parity-baseline", 1
Pair = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Best:
    """The best that one candidate came to on one case.

    Attributes:
        coverage: share of the reference's tensors that were compared.
        errors: by `path:port`, the largest relative L2 error of any of its tensors.
    """

    coverage: float
    errors: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Baseline:
    """The best of every candidate on every case.

    Attributes:
        pairs: by case and candidate.
        accepted: what was accepted although it was worse: date, reason, case, candidate.
    """

    pairs: Mapping[Pair, Best] = field(default_factory=dict)
    accepted: tuple[Mapping[str, str], ...] = ()


class _Pair(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    coverage: float
    taps: dict[str, float]


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    format: str
    version: int
    cases: dict[str, dict[str, _Pair]]
    accepted: tuple[dict[str, str], ...] = ()


def errors_of(result: DiffResult) -> dict[str, tuple[float, int]]:
    """By `path:port` in execution order, the largest error, and the row that has it; NaN is worst.

    Tensors that were not compared by value have none.
    """
    table = result.table
    found: dict[str, tuple[float, int]] = {}
    for i, key in enumerate(table.keys):
        if not table.compared[i]:
            continue
        error = float(table.metrics["rel_l2"][i])
        error = math.inf if math.isnan(error) else error
        name = f"{key.path}:{key.port}"
        if name not in found or error > found[name][0]:
            found[name] = (error, i)
    return found


def load_baseline(path: Path) -> Baseline | None:
    """Read a baseline; None where there is no such file.

    Raises:
        ConfigError: it is no baseline, or of another version.
    """
    hint = (
        "take it back from version control; or remove it, and let parity run --gate "
        "--update-baseline write a new one"
    )
    try:
        file = msgspec.json.decode(path.read_bytes(), type=_File)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ConfigError(f"is no baseline: {error}", where=str(path), hint=hint) from None
    if (file.format, file.version) != (FORMAT, VERSION):
        raise ConfigError(
            f"is {file.format!r} version {file.version}, and {FORMAT!r} version {VERSION} was "
            "expected",
            where=str(path),
            hint=hint,
        )
    pairs = {
        (case, candidate): Best(best.coverage, best.taps)
        for case, of_case in file.cases.items()
        for candidate, best in of_case.items()
    }
    _check(pairs, path, hint)
    return Baseline(pairs, file.accepted)


def _check(pairs: Mapping[Pair, Best], path: Path, hint: str) -> None:
    """Numbers that would let anything pass are refused."""
    for (case, candidate), best in pairs.items():
        bad = [name for name, error in best.errors.items() if not 0 <= error < math.inf]
        if bad or not 0 <= best.coverage <= 1:
            what = f"the error of {bad[0]}" if bad else "the coverage"
            raise ConfigError(
                f"{what} is no number that a run can be held against",
                where=f"{path}: {candidate} on {case}",
                hint=hint,
            )


def save_baseline(path: Path, baseline: Baseline) -> None:
    """Write a baseline, sorted, one tap a line, so that a review shows what moved.

    Raises:
        InputError: the file cannot be written.
    """
    cases: dict[str, dict[str, object]] = {}
    for (case, candidate), best in sorted(baseline.pairs.items()):
        taps = {name: _rounded_up(error) for name, error in sorted(best.errors.items())}
        cases.setdefault(case, {})[candidate] = {"coverage": best.coverage, "taps": taps}
    document = {"format": FORMAT, "version": VERSION, "cases": cases}
    if baseline.accepted:
        document["accepted"] = [dict(entry) for entry in baseline.accepted]
    write_text(path, json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def _rounded_up(error: float) -> float:
    """Three digits, never less than it was: else the same run would be worse than itself."""
    if error == 0 or not math.isfinite(error):
        return error
    rounded = float(f"{error:.2e}")
    step = 10.0 ** (math.floor(math.log10(error)) - 2)
    return rounded if rounded >= error else float(f"{rounded + step:.2e}")
