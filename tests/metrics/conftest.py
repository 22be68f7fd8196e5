"""Exact oracles, and a fixture that runs a test with each kernel."""

from collections.abc import Callable
from decimal import Decimal, localcontext

import numpy as np
import pytest

from parity.metrics import compare


@pytest.fixture(params=["numpy", "compiled"])
def kernel(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run the test with the numpy kernel, then with the compiled one."""
    if request.param == "compiled":
        pytest.importorskip("numba")
    monkeypatch.setattr(compare, "may_compile", lambda _: request.param == "compiled")
    return str(request.param)


@pytest.fixture
def exact_one_minus() -> Callable[..., float]:
    """1 - cosine (or, centred, 1 - Pearson) in a hundred decimal digits."""

    def compute(reference: np.ndarray, candidate: np.ndarray, *, centred: bool = False) -> float:
        with localcontext() as context:
            context.prec = 100
            r = [Decimal(float(x)) for x in reference]
            c = [Decimal(float(x)) for x in candidate]
            if centred:
                r_mean, c_mean = sum(r) / len(r), sum(c) / len(c)
                r, c = [x - r_mean for x in r], [x - c_mean for x in c]
            dot = sum(x * y for x, y in zip(r, c, strict=True))
            norms = (sum(x * x for x in r) * sum(x * x for x in c)).sqrt()
            return float(1 - dot / norms)

    return compute
