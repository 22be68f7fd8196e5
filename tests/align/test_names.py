"""Matching by name: rename rules, roles, phases."""

import numpy as np
import pytest

from parity.align import Evidence, Rename
from parity.errors import AlignmentError
from parity.tensors import Role


def one(run, *paths: str, role: Role = Role.OUTPUT, phase: str = ""):
    made = run()
    for number, path in enumerate(paths):
        made.put(path, np.full((1, 3), float(number)), phase, role=role)
    return made


def test_equal_names_meet_and_others_are_left(run) -> None:
    result = one(run, "a", "b", "c").against(one(run, "c", "d", "a"))
    assert list(result.pairs) == [(0, 2), (2, 0)]
    assert result.missing.tolist() == [1]
    assert result.extra.tolist() == [1]
    assert result.coverage == pytest.approx(2 / 3)
    assert result.matches == ()


def test_shape_and_type_differences_stay_pairs(run) -> None:
    reference, candidate = run(), run()
    reference.put("a", np.zeros((2, 3), np.float32))
    candidate.put("a", np.zeros((2, 4), np.float32))
    reference.put("b", np.zeros(3, np.float32))
    candidate.put("b", np.zeros(3, np.float16))
    assert list(reference.against(candidate).pairs) == [(0, 0), (1, 1)]


def test_rename_rules_give_the_reference_names(run) -> None:
    rules = [Rename.parse("h.{i} -> layers.{i}"), Rename.parse("zzz -> a")]
    result = one(run, "layers.0", "layers.1").against(one(run, "h.1", "h.0"), renames=rules)
    assert list(result.pairs) == [(0, 1), (1, 0)]
    assert result.notes == ("rename rule 'zzz -> a' matched nothing",)


def test_call_numbers_out_of_names(run, rng) -> None:
    reference, candidate = run(), run()
    for step in range(12):
        x = rng.normal(size=4)
        reference.put("out", x, "generate")
        candidate.put(f"step_{step}", x, role=Role.TAP)
    rule = Rename.parse("step_{n} -> out:output@generate#{n}")
    result = reference.against(candidate, renames=[rule])
    assert len(result.pairs) == 12
    assert reference.equal(candidate, result)


def test_two_taps_renamed_to_one_are_both_named(run) -> None:
    with pytest.raises(AlignmentError, match=r"after renaming: x\.a:output#0 and y\.a:output#0"):
        one(run, "a").against(one(run, "x.a", "y.a"), renames=[Rename.parse(r"regex:^[xy]\. -> ")])


def test_a_tap_renamed_onto_another_is_an_error(run) -> None:
    with pytest.raises(AlignmentError, match="after renaming: b:output#0 and a:output#0"):
        one(run, "a").against(one(run, "b", "a"), renames=[Rename.parse("b -> a")])


def test_two_records_of_one_name_are_an_error(run) -> None:
    twice = one(run, "a")
    twice.put("a", np.ones(3), call=0)
    with pytest.raises(AlignmentError, match="two records have this name"):
        one(run, "a").against(twice)


@pytest.mark.parametrize(
    ("ours", "theirs", "words"),
    [
        (Role.OUTPUT, Role.TAP, "explicit taps of the candidate stand for module outputs"),
        (Role.TAP, Role.OUTPUT, "module outputs of the candidate stand for explicit taps"),
    ],
)
def test_an_explicit_tap_stands_for_a_module_output(run, ours, theirs, words: str) -> None:
    result = one(run, "a", "b", role=ours).against(one(run, "a", "b", role=theirs))
    assert list(result.pairs) == [(0, 0), (1, 1)]
    assert [match.evidence for match in result.matches] == [Evidence.ROLE] * 2
    assert result.notes[0].startswith(words)
    assert result.notes[0].endswith("a and b (2 taps)")


def test_a_tap_of_the_same_role_comes_first(run) -> None:
    reference = one(run, "a")
    reference.put("a", np.zeros((1, 3)), role=Role.TAP)
    result = reference.against(one(run, "a", role=Role.TAP))
    assert list(result.pairs) == [(1, 0)]
    assert result.missing.tolist() == [0]


def test_a_tap_does_not_stand_for_an_input(run) -> None:
    result = one(run, "a", role=Role.INPUT).against(one(run, "a", role=Role.TAP))
    assert not len(result.pairs)


def test_a_run_without_phases_is_matched_by_order(run, rng) -> None:
    reference, candidate = run(), run()
    for phase, length in (("voice", 7), ("text", 5), *[("generate", 1)] * 3):
        x = rng.normal(size=(1, length, 4))
        reference.put("a", x, phase)
        candidate.put("a", x, role=Role.TAP)
    result = reference.against(candidate)
    assert list(result.pairs) == [(i, i) for i in range(5)]
    assert any("across the reference's voice, text, generate" in note for note in result.notes)
    assert result.matches[0].reference == "a:output@voice+a:output@text+a:output@generate"


def test_a_run_without_phases_and_token_by_token(run, rng) -> None:
    reference, candidate = run(), run()
    for phase, length in (("voice", 7), ("text", 5), *[("generate", 1)] * 3):
        x = rng.normal(size=(1, length, 4))
        reference.put("a", x, phase)
        for token in range(length):
            candidate.put("a", x[:, token : token + 1])
    result = reference.against(candidate)
    assert reference.equal(candidate, result)
    assert result.coverage == 1
    assert len(result.views) == 15


def test_a_reference_without_phases(run, rng) -> None:
    reference, candidate = run(), run()
    for phase in ("x", "y"):
        value = rng.normal(size=4)
        reference.put("a", value)
        candidate.put("a", value, phase)
    result = reference.against(candidate)
    assert reference.equal(candidate, result)
    assert len(result.pairs) == 2
    assert "the reference has no phases" in result.notes[0]


def test_phases_of_other_names_are_matched_by_order(run) -> None:
    result = one(run, "a", "b", phase="generate").against(one(run, "a", "b", phase="gen"))
    assert list(result.pairs) == [(0, 0), (1, 1)]
    assert result.notes == (
        "a and b ran in generate of the reference and in gen of the candidate: matched by order of "
        "execution (2 taps)",
    )


def test_two_prompt_phases_run_as_one(run, rng) -> None:
    """Some ports feed voice and text in one pass; what is shared by name stays by name."""
    reference, candidate = run(), run()
    voice, text, step = (rng.normal(size=(1, n, 4)) for n in (7, 5, 1))
    reference.put("a", voice, "voice")
    reference.put("a", text, "text")
    reference.put("a", step, "generate")
    candidate.put("a", np.concatenate([voice, text], axis=1), "prompt")
    candidate.put("a", step, "generate")
    result = reference.against(candidate)
    assert reference.equal(candidate, result)
    assert result.coverage == 1
    assert any("ran in voice, text of the reference and in prompt" in n for n in result.notes)


def test_left_over_phases_that_do_not_explain_each_other_stay_apart(run, rng) -> None:
    reference, candidate = run(), run()
    reference.put("a", rng.normal(size=(1, 7, 4)), "voice")
    candidate.put("a", rng.normal(size=(1, 5, 4)), "text")
    for side in (reference, candidate):
        side.put("a", np.ones((1, 1, 4)), "generate")
    result = reference.against(candidate)
    assert list(result.pairs) == [(1, 1)]
    assert result.missing.tolist() == [0]
    assert result.extra.tolist() == [0]


def outputs(run, **slots: np.ndarray):
    made = run()
    for slot, value in slots.items():
        made.put("net", value, slot=slot.removeprefix("_"))
    return made


def test_a_dictionary_of_outputs_meets_a_tuple_in_order(run, rng) -> None:
    x, y, z = rng.normal(size=4), rng.normal(size=4), rng.normal(size=(2, 3))
    # The numbers count, and not in which order an engine gives them out.
    numbered = outputs(run, _2=z, _=x, _1=y)
    named = outputs(run, logits=x, hidden=y, cache=z)
    for one, other, where in (
        (named, numbered, "have names in the reference and numbers in the candidate"),
        (numbered, named, "have names in the candidate and numbers in the reference"),
    ):
        result = one.against(other)
        assert len(result.pairs) == 3
        assert one.equal(other, result)
        assert result.notes == (f"outputs of net {where}: matched in their order",)
        assert {match.evidence for match in result.matches} == {Evidence.ORDER}


def test_outputs_whose_number_or_shapes_differ_are_left(run) -> None:
    x, z = np.zeros(4), np.zeros((2, 3))
    reference = outputs(run, logits=x, cache=z)
    for other in (
        outputs(run, _=x),
        outputs(run, _=z, _1=x),
        outputs(run, scores=x, states=z),
    ):
        assert len(reference.against(other).pairs) == 0
