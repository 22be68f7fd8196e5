"""Results for the pages that the tests open."""

from __future__ import annotations

import numpy as np

from parity.diagnose import Diagnosis, Finding, FindingSite, Grade, Verdict
from parity.diffing import DiffResult, diff
from parity.report.page import Evidence, Sound, TensorPair

HOSTILE = "</script><img src=x onerror=\"document.title='owned'\">{{7*7}}\u202e\x00'\"&amp;"
RATE = 8000


def broken_result(layers: int = 12) -> tuple[DiffResult, dict[str, np.ndarray]]:
    """Layers that go wrong from the fifth on, one NaN, one missing, and a hostile name."""
    drawn = np.random.default_rng(7)
    reference = {f"net.layers.{i}.act": drawn.standard_normal((4, 32)) for i in range(layers)}
    reference |= {HOSTILE: drawn.standard_normal((3, 5)), "lost": drawn.standard_normal(8)}
    reference["waveform"] = 0.4 * np.sin(np.arange(RATE) / 9)
    candidate = {name: array.copy() for name, array in reference.items() if name != "lost"}
    for i in range(4, layers):
        candidate[f"net.layers.{i}.act"] *= 1.01
    candidate["net.layers.6.act"][1, 2] = np.nan
    candidate[HOSTILE][0, 0] += 3
    candidate["waveform"] = 0.2 * np.sin(np.arange(RATE) / 7)
    return diff(reference, candidate, output="waveform"), candidate


def diagnosis() -> Diagnosis:
    """One finding at the fifth layer, whose texts are hostile."""
    site = FindingSite("net.layers.4", "mul", "net.layers.4.act", "", 0, HOSTILE, 1e-2, 0.0)
    finding = Finding(1, "residual", "scale", "1", HOSTILE, Grade.HIGH, (site,),
                      explained_output=0.9, floor=1e-6, evidence=(HOSTILE,))  # fmt: skip
    return Diagnosis(Verdict.EXPLAINED, (finding,), output="waveform", output_error=0.5,
                     output_left=1e-6, compared=14, seconds=1.0)  # fmt: skip


def evidence(result: DiffResult, candidate: dict[str, np.ndarray]) -> Evidence:
    """Two tensors, the hostile one among them, and a sound whose candidate is too loud."""
    paths = [key.path for key in result.table.keys]
    rows = [paths.index("net.layers.4.act"), paths.index(HOSTILE), paths.index("net.layers.6.act")]
    wave = 0.4 * np.sin(np.arange(RATE) / 9)
    pairs = [TensorPair(row, candidate[paths[row]] / 1.01, candidate[paths[row]]) for row in rows]
    environments = {side: {"cpu": side, "same": 1} for side in ("reference", "candidate")}
    return Evidence(tuple(pairs), (Sound(HOSTILE, wave, 4 * wave, RATE),), environments)
