"""Different call structure, through `align`: recognised, cut along the right axis, and said."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parity.align import LayoutRule, align
from parity.tensors import Role

LENGTHS = st.lists(st.integers(1, 5), min_size=1, max_size=4)


def split(x: np.ndarray, lengths: list[int], axis: int) -> list[np.ndarray]:
    return np.split(x, np.cumsum(lengths)[:-1], axis=axis)


def put_all(run, path: str, arrays: list[np.ndarray], phase: str = "") -> None:
    for array in arrays:
        run.put(path, array, phase)


def test_token_by_token_against_one_pass(run, rng) -> None:
    reference, candidate = run(), run()
    for path in ("flow_lm.transformer.0", "flow_lm.transformer.1", "flow_lm.transformer.2"):
        x = rng.normal(size=(1, 17, 8))
        reference.put(path, x, "text_prompt")
        put_all(candidate, path, split(x, [1] * 17, 1), "text_prompt")
    result = reference.against(candidate)
    assert reference.equal(candidate, result)
    assert len(result.views) == 51
    assert result.coverage == 1
    assert result.notes == (
        "candidate ran flow_lm.transformer.* of phase text_prompt one position at a time "
        "(17 calls); reference in one pass: joined along axis 1 (3 taps)",
    )
    step = result.views[3]
    assert (step.reference.axis, step.reference.start, step.reference.stop) == (1, 3, 4)
    assert step.candidate.words == ""


def test_frames_against_a_block_along_the_last_axis(run, rng) -> None:
    reference, candidate = run(), run()
    x = rng.normal(size=(1, 6, 20))
    put_all(reference, "decoder", split(x, [4] * 5, 2))
    candidate.put("decoder", x)
    result = reference.against(candidate)
    assert reference.equal(candidate, result)
    assert result.notes == (
        "candidate ran decoder in one pass; reference in 5 blocks of 4: joined along axis 2",
    )


@settings(max_examples=50, deadline=None)
@given(LENGTHS, LENGTHS, st.integers(0, 2), st.sampled_from(["as is", "swapped", "squeezed"]))
def test_however_both_sides_cut_a_block_the_same_values_meet(run, ours, theirs, axis, layout):
    # Make the lengths add up to one total, and no two axes alike.
    difference = sum(ours) - sum(theirs)
    theirs = [*theirs, difference] if difference > 0 else theirs
    ours = [*ours, -difference] if difference < 0 else ours
    shape = [23, 29]
    shape.insert(axis, sum(ours))
    x = np.random.default_rng(3).normal(size=(1, *shape))
    reference, candidate = run(), run()
    put_all(reference, "a", split(x, ours, axis + 1))
    laid_out = {
        "as is": lambda piece: piece,
        "swapped": lambda piece: piece.transpose(0, 3, 1, 2),
        "squeezed": lambda piece: piece[0],
    }
    put_all(candidate, "a", [laid_out[layout](piece) for piece in split(x, theirs, axis + 1)])
    result = reference.against(candidate)
    assert reference.equal(candidate, result)
    assert result.coverage == 1
    assert not result.extra.size
    assert not result.missing_parts + result.extra_parts


def test_tokens_without_their_axis_are_stacked(run, rng) -> None:
    reference, candidate = run(), run()
    x = rng.normal(size=(1, 9, 8))
    reference.put("a", x)
    put_all(candidate, "a", list(x[0]))
    result = reference.against(candidate)
    assert reference.equal(candidate, result)
    assert len(result.views) == 9


def test_a_block_of_another_length_is_compared_as_far_as_it_goes(run, rng) -> None:
    reference, candidate = run(), run()
    x = rng.normal(size=(1, 10, 8))
    reference.put("a", x)
    put_all(candidate, "a", split(x[:, :8], [1] * 8, 1))
    result = reference.against(candidate)
    assert reference.equal(candidate, result)
    (rest,) = result.missing_parts
    assert (rest.axis, rest.start, rest.stop) == (1, 8, 10)
    assert result.notes[0].endswith(
        "joined along axis 1, which has length 8 there and 10 in the reference"
    )


@pytest.mark.parametrize("swap", [False, True])
def test_values_say_where_a_shorter_block_begins(run, rng, swap: bool) -> None:
    block, steps = run(), run()
    x = rng.normal(size=(1, 10, 8))
    block.put("a", x)
    put_all(steps, "a", split(x[:, 2:], [1] * 8, 1))
    reference, candidate = (steps, block) if swap else (block, steps)
    result = reference.against(candidate, read=True)
    assert reference.equal(candidate, result)
    (rest,) = result.extra_parts if swap else result.missing_parts
    assert (rest.start, rest.stop) == (0, 2)
    place = -2 if swap else 2
    assert f"the candidate's beginning at {place}, by their values" in result.notes[0]


def test_a_square_block_needs_values_to_be_joined(run, rng) -> None:
    reference, candidate = run(), run()
    x = rng.normal(size=(6, 6))
    reference.put("a", x)
    put_all(candidate, "a", [x[:, i] for i in range(6)])
    blind = reference.against(candidate)
    assert not blind.views
    assert "could be joined along axis 0 or 1" in blind.notes[0]
    seeing = reference.against(candidate, read=True)
    assert len(seeing.views) == 6
    assert reference.equal(candidate, seeing)
    assert {view.reference.axis for view in seeing.views} == {1}


def test_of_two_axes_the_one_that_keeps_the_shapes_is_taken(run, rng) -> None:
    reference, candidate = run(), run()
    x = rng.normal(size=(1, 6, 6))
    reference.put("a", x)
    put_all(candidate, "a", split(x, [1] * 6, 1))
    result = reference.against(candidate)
    assert reference.equal(candidate, result)
    assert {view.reference.axis for view in result.views} == {1}


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ([(4, 6)], [(3, 8)]),
        ([(1, 16, 64)], [(8, 8)] * 16),
        ([(1, 17, 8)], [(1, 32, 8)]),
        ([(1, 17, 8)], [(1, 1, 8)] * 4),
        ([(1, 17, 8)], [(1, 5, 8), (1, 6, 8)]),
        ([(2, 17, 8), (2, 3, 4)], [(2, 1, 8)] * 5),
    ],
)
def test_no_structure_is_invented(run, rng, ours, theirs) -> None:
    reference, candidate = run(), run()
    put_all(reference, "a", [rng.normal(size=shape) for shape in ours])
    put_all(candidate, "a", [rng.normal(size=shape) for shape in theirs])
    result = reference.against(candidate)
    assert not result.views
    assert next(iter(result.pairs)) == (0, 0)
    assert len(result.pairs) == min(len(ours), len(theirs))


def test_a_transposed_layout_is_turned_and_said(run, rng) -> None:
    reference, candidate = run(), run()
    for _ in range(3):
        x = rng.normal(size=(1, 5, 8))
        reference.put("conv", x)
        candidate.put("conv", x.transpose(0, 2, 1))
    result = reference.against(candidate)
    assert reference.equal(candidate, result)
    assert result.notes == (
        "candidate's conv transposed by (0, 2, 1) into the reference's order of axes",
    )


def test_a_layout_is_turned_where_it_can_be_though_one_call_differs(run, rng) -> None:
    reference, candidate = run(), run()
    for length, other in ((5, 6), (3, 3)):
        reference.put("conv", rng.normal(size=(1, length, 8)))
        candidate.put("conv", rng.normal(size=(1, 8, other)))
    result = reference.against(candidate)
    assert list(result.pairs) == [(0, 0)]
    assert [view.candidate.permutation for view in result.views] == [(0, 2, 1)]


@pytest.mark.parametrize("shape", [(5, 8), (1, 1, 5, 8), (5, 1, 8)])
def test_axes_of_length_one_are_disregarded(run, rng, shape) -> None:
    reference, candidate = run(), run()
    x = rng.normal(size=(1, 5, 8))
    reference.put("a", x)
    candidate.put("a", x.reshape(shape))
    result = reference.against(candidate)
    assert reference.equal(candidate, result)
    assert len(result.views) == 1
    assert "axes of length 1 disregarded" in result.notes[0]


def test_a_flat_dump_is_compared_in_c_order(run, rng) -> None:
    reference, candidate = run(), run()
    x = rng.normal(size=(1, 5, 8))
    reference.put("a", x)
    candidate.put("a", x.reshape(-1))
    result = reference.against(candidate)
    assert reference.equal(candidate, result)
    assert "compared in C order" in result.notes[0]


def test_an_ambiguous_layout_is_read_or_taken_from_other_taps_or_left(run, rng) -> None:
    def sides(*, with_other: bool):
        reference, candidate = run(), run()
        x = rng.normal(size=(4, 4, 8))
        reference.put("a", x)
        candidate.put("a", x.transpose(2, 1, 0))
        if with_other:
            reference.put("b", rng.normal(size=(2, 3, 5)))
            candidate.put("b", reference.arrays[-1].transpose(2, 1, 0))
        return reference, candidate

    reference, candidate = sides(with_other=False)
    left = reference.against(candidate)
    assert len(left.pairs) == 1
    assert "is ambiguous ((1, 2, 0) or (2, 1, 0) would fit)" in left.notes[0]
    read = reference.against(candidate, read=True)
    assert reference.equal(candidate, read)
    assert "confirmed by values" in read.notes[0]
    reference, candidate = sides(with_other=True)
    assert reference.equal(candidate, reference.against(candidate))


def test_squares_are_read_where_other_taps_are_transposed(run, rng) -> None:
    reference, candidate = run(), run()
    x = rng.normal(size=(1, 5, 8))
    reference.put("conv", x)
    candidate.put("conv", x.transpose(0, 2, 1))
    for path, turned in (("square", True), ("kept", False)):
        for _ in range(3):
            x = rng.normal(size=(1, 6, 6))
            reference.put(path, x)
            candidate.put(path, x.transpose(0, 2, 1) if turned else x)
    seeing = reference.against(candidate, read=True)
    assert reference.equal(candidate, seeing)
    assert seeing.coverage == 1
    blind = reference.against(candidate)
    assert not reference.equal(candidate, blind)
    assert any("look alike" in note for note in blind.notes)


def test_a_square_alone_is_not_suspected(run, rng) -> None:
    reference, candidate = run(), run()
    x = rng.normal(size=(6, 6))
    reference.put("a", x)
    candidate.put("a", x.T)
    result = reference.against(candidate, read=True)
    assert list(result.pairs) == [(0, 0)]
    assert result.notes == ()


def test_a_declared_layout_is_obeyed_also_where_shapes_do_not_tell(run, rng) -> None:
    reference, candidate = run(), run()
    x = rng.normal(size=(1, 12, 4))
    reference.put("sq", x[:, :4])
    candidate.put("sq", x[:, :4].transpose(0, 2, 1))
    reference.put("steps", x)
    for piece in split(x, [3] * 4, 1):
        candidate.put("steps", piece.transpose(0, 2, 1))
    rules = (LayoutRule("s*", (0, 2, 1)), LayoutRule("none", (1, 0)))
    result = reference.against(candidate, layouts=rules)
    assert reference.equal(candidate, result)
    assert "layout rule 'none' (1, 0) matched nothing" in result.notes
    assert "candidate's sq transposed by (0, 2, 1), as declared" in result.notes


def test_a_declared_layout_shuts_out_others(run, rng) -> None:
    reference, candidate = run(), run()
    reference.put("a", rng.normal(size=(1, 5, 8)))
    candidate.put("a", rng.normal(size=(1, 8, 5)))
    assert reference.against(candidate).views
    result = reference.against(candidate, layouts=[LayoutRule("a", (1, 0, 2))])
    assert list(result.pairs) == [(0, 0)]
    assert not result.views


def test_empty_tensors_are_matched_and_never_left_over(run, rng) -> None:
    reference, candidate = run(), run()
    x = rng.normal(size=(1, 4, 8))
    put_all(reference, "a", [x[:, :0], x])
    put_all(candidate, "a", split(x, [1] * 4, 1))
    result = reference.against(candidate)
    assert reference.equal(candidate, result)
    assert result.coverage == 1


def overlap_added(pieces: list[np.ndarray], stride: int) -> np.ndarray:
    """What a transposed convolution gives in one pass when `pieces` are its streamed outputs."""
    length = pieces[0].shape[-1]
    whole = np.zeros((*pieces[0].shape[:-1], (len(pieces) - 1) * stride + length))
    for place, piece in enumerate(pieces):
        whole[..., place * stride : place * stride + length] += piece
    return whole


@pytest.mark.parametrize("swap", [False, True])
def test_blocks_of_a_transposed_convolution_overlap(run, rng, swap: bool) -> None:
    steps, block = run(), run()
    pieces = [rng.normal(size=(1, 4, 11)) for _ in range(6)]
    put_all(steps, "convtr", pieces, "decode")
    block.put("convtr", overlap_added(pieces, 8), "decode")
    reference, candidate = (block, steps) if swap else (steps, block)
    result = align(reference.records, candidate.records)
    assert reference.equal(candidate, result)
    assert len(result.views) == 6
    assert result.coverage == 1
    assert not len(result.missing) + len(result.extra)
    assert not result.missing_parts + result.extra_parts
    assert result.notes[0].endswith(
        "overlapping by 3 along axis 2, compared where one block alone contributes"
    )


@pytest.mark.parametrize("swap", [False, True])
def test_several_passes_of_overlapping_blocks_are_told_apart(run, rng, swap: bool) -> None:
    steps, blocks = run(), run()
    passes = [[rng.normal(size=(1, 4, 11)) for _ in range(count)] for count in (5, 3, 4)]
    put_all(steps, "convtr", [piece for pieces in passes for piece in pieces], "decode")
    put_all(blocks, "convtr", [overlap_added(pieces, 8) for pieces in passes], "decode")
    reference, candidate = (blocks, steps) if swap else (steps, blocks)
    result = align(reference.records, candidate.records)
    assert reference.equal(candidate, result)
    assert len(result.views) == 12
    assert not len(result.missing) + len(result.extra)


def test_blocks_that_overlap_completely_are_compared_at_the_ends(run, rng) -> None:
    reference, candidate = run(), run()
    pieces = [rng.normal(size=(1, 4, 8)) for _ in range(6)]
    put_all(reference, "convtr", pieces)
    candidate.put("convtr", overlap_added(pieces, 4))
    result = align(reference.records, candidate.records)
    assert reference.equal(candidate, result)
    assert [view.reference.position for view in result.views] == [0, 5]
    assert result.summed.tolist() == [1, 2, 3, 4]
    assert not len(result.missing)
    assert result.coverage == pytest.approx(2 / 6)


def test_windows_of_an_input_overlap_and_are_compared_whole(run, rng) -> None:
    reference, candidate = run(), run()
    x = rng.normal(size=(1, 4, 51))
    for place in range(6):
        reference.put("conv", x[..., place * 8 : place * 8 + 11], role=Role.INPUT)
    candidate.put("conv", x, role=Role.INPUT)
    result = align(reference.records, candidate.records)
    assert reference.equal(candidate, result)
    assert [view.reference.words for view in result.views] == [""] * 6
    assert result.notes[0].endswith("overlapping by 3 along axis 2")


@pytest.mark.parametrize("swap", [False, True])
def test_an_overlap_that_could_be_a_frame_less_is_told_by_values(run, rng, swap: bool) -> None:
    steps, block = run(), run()
    pieces = [rng.normal(size=(1, 4, 12)) for _ in range(13)]
    put_all(steps, "convtr", pieces, "decode")
    block.put("convtr", overlap_added(pieces, 11), "decode")
    reference, candidate = (block, steps) if swap else (steps, block)
    result = reference.against(candidate, read=True)
    assert reference.equal(candidate, result)
    assert len(result.views) == 13
    assert not len(result.missing) + len(result.extra)


def test_a_frame_less_is_no_overlap(run, rng) -> None:
    """13 frames of 12 would also fill 12 frames' length with a stride of 11."""
    reference, candidate = run(), run()
    x = rng.normal(size=(1, 4, 13 * 12))
    put_all(reference, "a", split(x, [12] * 13, 2))
    candidate.put("a", x[..., : 12 * 12])
    for read in (False, True):
        result = reference.against(candidate, read=read)
        assert reference.equal(candidate, result)
        assert result.missing.tolist() == [12]
