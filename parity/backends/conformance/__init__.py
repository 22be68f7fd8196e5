"""A test suite that any adapter's author runs against his adapter.

    from parity.backends.conformance import BackendConformance, Subject

    class TestMyBackend(BackendConformance):
        def subject(self):
            return Subject(make=lambda: MyBackend("tiny-model"), case=Case("short", ...))

pytest then runs every check. `parity backends check NAME` runs them without pytest.
"""

from parity.backends.conformance.subject import Broken, Inapplicable, Subject
from parity.backends.conformance.suite import (
    CHECKS,
    BackendConformance,
    Check,
    CheckResult,
    Status,
    examine,
)

__all__ = [
    "CHECKS",
    "BackendConformance",
    "Broken",
    "Check",
    "CheckResult",
    "Inapplicable",
    "Status",
    "Subject",
    "examine",
]
