"""Which families speak in a test."""

from collections.abc import Iterator
from importlib import import_module

import pytest

from parity.diagnose.hypothesis import Hypothesis
from parity.diagnose.view import View


@pytest.fixture(autouse=True)
def _alone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that the test's module lists as FAMILIES; others might say the same in their words."""
    families = getattr(request.module, "FAMILIES", ())

    def propose(view: View) -> Iterator[Hypothesis]:
        for family in families:
            yield from family.propose(view)

    if families:
        monkeypatch.setattr(import_module("parity.diagnose.engine"), "propose_all", propose)
