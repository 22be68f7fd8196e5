"""What a difference looks like is said where it is so, and not where anything small would be."""

from __future__ import annotations

import pytest
import torch

from parity.diagnose.describe import describe

SPREAD = "spread over the whole tensor, without a simple pattern"


@pytest.fixture
def ours():
    return torch.randn(40, 50, generator=torch.Generator().manual_seed(0))


def test_a_scale_and_a_shift_are_named(ours):
    assert describe(1.01 * ours, ours).startswith("the candidate is 1.01 times the reference, to")
    shifted = describe(0.5 * ours + 3, ours)
    assert shifted.startswith("the candidate is 0.5 times the reference plus 3, to")


def test_a_small_error_is_no_scale_of_1(ours):
    assert describe(ours.bfloat16().float(), ours) == SPREAD
