"""The Rust port with all fourteen faults in it: each is named, from what came through the C ABI."""

from __future__ import annotations

import pytest

from benchmarks.faults.pairs.pocket_tts import pair
from benchmarks.faults.story import FOURTEEN, diagnosis


@pytest.fixture(scope="module")
def found():
    return diagnosis(port="candle")


@pytest.mark.parametrize("fault", FOURTEEN)
def test_a_fault_among_fourteen_is_named(found, fault):
    (planted,) = (one for one in pair("tiny").faults if one.name == fault)
    assert {one.cause for one in found.findings} & set(planted.causes)


def test_what_is_found_accounts_for_the_output(found):
    assert found.output_left < 0.3 * found.output_error
