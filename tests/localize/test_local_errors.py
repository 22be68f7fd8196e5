"""The error of a tensor against what the reference makes of the candidate's inputs."""

from __future__ import annotations

import math

import torch

from parity.localize.local_errors import relative_error


def test_both_parts_of_complex_numbers_count():
    ours = torch.complex(torch.ones(4), torch.ones(4))
    assert relative_error(ours.conj().resolve_conj(), ours)[0] > 1
    assert relative_error(ours, ours.clone())[0] == 0.0


def test_complex_against_real_is_another_thing_altogether():
    assert relative_error(torch.ones(4), torch.ones(4, dtype=torch.complex64))[0] == math.inf


def test_nan_in_the_same_places_is_no_difference():
    ours = torch.tensor([1.0, math.nan, 3.0])
    assert relative_error(ours.clone(), ours)[0] == 0.0
    assert relative_error(torch.tensor([1.0, 2.0, 3.0]), ours)[0] == math.inf
