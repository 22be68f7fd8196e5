"""What tests of convention families share: what was found, and a tensor to find it in."""

import torch

from parity.diagnose.judge import Explained


def causes(found: list[Explained]) -> set[str]:
    """`family.parameter` of everything that explains a difference."""
    return set(causes_in_order(found))


def causes_in_order(found: list[Explained]) -> list[str]:
    """The same, each as often as it was found."""
    firsts = [one.group.first for each in found for one in each.trial.chosen]
    return [f"{first.family}.{first.parameter}" for first in firsts]


def draw(*shape: int, seed: int = 1) -> torch.Tensor:
    """float32[shape], normal."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))
