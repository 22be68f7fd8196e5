"""Where, why and at what cost a ported neural network differs from its reference.

Importing this package loads neither torch, h5py, pandas nor matplotlib: each public name is
fetched when it is first used.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from parity import strategies
    from parity.capture import next_step, phase, record, tap
    from parity.diagnose import diagnose
    from parity.diffing import DiffResult, Outcome, diff
    from parity.errors import ParityError
    from parity.localize.calibrate import calibrate
    from parity.localize.localization import localize
    from parity.localize.reference import Reference
    from parity.store import Capture
    from parity.store import open_capture as open  # noqa: A004
    from parity.tensors import Case, NoiseDraw, Role, TapKey, TapPlan, TapRecord, Tier
    from parity.testing import ParityAssertionError, assert_parity, differential
    from parity.tolerance import Rule, Tolerance, Verdict, preset

__version__ = "0.1.0"

__all__ = [
    "Capture",
    "Case",
    "DiffResult",
    "NoiseDraw",
    "Outcome",
    "ParityAssertionError",
    "ParityError",
    "Reference",
    "Role",
    "Rule",
    "TapKey",
    "TapPlan",
    "TapRecord",
    "Tier",
    "Tolerance",
    "Verdict",
    "__version__",
    "assert_parity",
    "calibrate",
    "diagnose",
    "diff",
    "differential",
    "localize",
    "next_step",
    "open",
    "phase",
    "preset",
    "record",
    "strategies",
    "tap",
]

_HOMES = {
    "parity.capture": ("next_step", "phase", "record", "tap"),
    "parity.diagnose": ("diagnose",),
    "parity.diffing": ("DiffResult", "Outcome", "diff"),
    "parity.errors": ("ParityError",),
    "parity.localize.calibrate": ("calibrate",),
    "parity.localize.localization": ("localize",),
    "parity.localize.reference": ("Reference",),
    "parity.store": ("Capture",),
    "parity.tensors": ("Case", "NoiseDraw", "Role", "TapKey", "TapPlan", "TapRecord", "Tier"),
    "parity.testing": ("ParityAssertionError", "assert_parity", "differential"),
    "parity.tolerance": ("Rule", "Tolerance", "Verdict", "preset"),
}
_HOME_OF = {name: (home, name) for home, names in _HOMES.items() for name in names}
_HOME_OF["open"] = ("parity.store", "open_capture")


def __getattr__(name: str) -> Any:
    if name == "strategies":  # a module; it loads hypothesis
        return import_module("parity.strategies")
    if name not in _HOME_OF:
        raise AttributeError(f"module 'parity' has no attribute {name!r}")
    home, attribute = _HOME_OF[name]
    value = getattr(import_module(home), attribute)
    globals()[name] = value
    return value


class _Package(ModuleType):
    def __setattr__(self, name: str, value: object) -> None:
        # Importing a subpackage sets it here, where it would hide the function of its name.
        if not (isinstance(value, ModuleType) and name in _HOME_OF):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __dir__() -> list[str]:
    return sorted(__all__)
