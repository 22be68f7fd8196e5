"""A tap that runs several times a pass meets itself layer by layer."""

from itertools import islice

import pytest


def sides(run, rng, *, layers: int = 3, tokens: int = 4, chunks: int = 1, clock: bool = True):
    """One side in one pass a chunk, the other token by token; `rope` is shared by the layers."""
    block, steps = run(), run()
    for _ in range(chunks):
        values = [rng.normal(size=(1, tokens, 8)) for _ in range(layers)]
        for rope in values:
            block.put("rope", rope, "text")
        if clock:
            block.put("out", values[-1] + 1, "text")
        for token in range(tokens):
            for rope in values:
                steps.put("rope", rope[:, token : token + 1], "text")
            if clock:
                steps.put("out", values[-1][:, token : token + 1] + 1, "text")
    return block, steps


@pytest.mark.parametrize("swap", [False, True])
@pytest.mark.parametrize("chunks", [1, 2])
def test_layers_meet_across_passes(run, rng, swap: bool, chunks: int) -> None:
    reference, candidate = sides(run, rng, chunks=chunks)[:: -1 if swap else 1]
    result = reference.against(candidate)
    assert reference.equal(candidate, result)
    assert len(result.views) == 4 * 4 * chunks
    assert result.coverage == 1
    assert "(2 taps)" in result.notes[0]


def test_without_a_tap_that_tells_the_passes_calls_are_laid_end_to_end(run, rng) -> None:
    reference, candidate = sides(run, rng, clock=False)
    result = reference.against(candidate)
    assert len(result.views) == 12
    assert not reference.equal(candidate, result)


def test_chunks_of_different_length_are_no_layers(run, rng) -> None:
    """As many calls as a tap of two layers would have, but not between the passes' others."""
    reference, candidate = run(), run()
    x = rng.normal(size=(1, 8, 4))
    for piece in (x[:, :4], x[:, 4:]):
        reference.put("a", piece)
    reference.put("once", x)
    for half in (0, 4):
        for token in range(half, half + 4):
            candidate.put("a", x[:, token : token + 1])
    for pair in range(4):
        candidate.put("once", x[:, 2 * pair : 2 * pair + 2])
    result = reference.against(candidate)
    assert reference.equal(candidate, result)


def test_a_shift_of_passes_is_one_for_all_layers(run, rng) -> None:
    reference, candidate = run(), run()
    for step in range(8):
        for path, times in (("rope", 3), ("out", 1)):
            for _ in range(times):
                x = rng.normal(size=(1, 1, 16))
                reference.put(path, x)
                if step >= 2:
                    candidate.put(path, x)
    result = reference.against(candidate)
    assert reference.equal(candidate, result)
    assert len(result.pairs) == 24
    assert "stands beside call n+2" in result.notes[0]


def test_calls_that_are_not_spread_evenly_over_the_passes_are_laid_end_to_end(run, rng) -> None:
    reference, candidate = run(), run()
    x, y = rng.normal(size=(1, 6, 4)), rng.normal(size=(1, 3, 4))
    for piece in (x[:, :3], x[:, 3:]):
        reference.put("a", piece)
    reference.put("out", y)
    tokens = iter(range(6))
    for step, count in enumerate((2, 1, 3)):
        for token in islice(tokens, count):
            candidate.put("a", x[:, token : token + 1])
        candidate.put("out", y[:, step : step + 1])
    result = reference.against(candidate)
    assert reference.equal(candidate, result)
