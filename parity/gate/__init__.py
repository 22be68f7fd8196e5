"""The gate: whether a run may be merged, judged by tolerance, baseline, and what is listed."""

from parity.gate.baseline import Baseline, Best, load_baseline, save_baseline
from parity.gate.check import check
from parity.gate.renew import accept_worse, tighten
from parity.gate.result import Failure, Forgiven, GateResult, Kind

__all__ = [
    "Baseline",
    "Best",
    "Failure",
    "Forgiven",
    "GateResult",
    "Kind",
    "accept_worse",
    "check",
    "load_baseline",
    "save_baseline",
    "tighten",
]
