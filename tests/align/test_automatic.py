"""Matching where names share nothing."""

from collections.abc import Callable

import numpy as np
import pytest

from parity.align import Alignment, Evidence, Rename
from parity.align.choose import Task, decide
from parity.align.likeness import Likeness, items_of
from parity.align.series import Side
from parity.errors import AlignmentError
from parity.tensors import Role


def network(
    run, name: Callable[[str], str | None], *, layers: int = 4, calls: int = 3, noise: float = 0.0,
    wrong: int = -1, scale: float = 0.3, phase: str = "generate", role: Role = Role.TAP,
):  # fmt: skip
    """A small residual network whose taps have equal shapes; `name` says what each is called."""
    weights = np.random.default_rng(1).normal(size=(layers, 2, 16, 16)) / 4
    inputs, rounding = np.random.default_rng(2), np.random.default_rng(3)
    made = run()

    def tap(path: str, x: np.ndarray) -> None:
        called = name(path)
        if called is not None:
            made.put(called, x * (1 + noise * rounding.normal(size=x.shape)), phase, role=role)

    for _ in range(calls):
        x = inputs.normal(size=(1, 1, 16))
        tap("emb", x)
        for layer in range(layers):
            attention = np.tanh(x @ weights[layer, 0])
            tap(f"layers.{layer}.attn", attention)
            if layer == wrong:
                attention = 1.7 * attention + 0.3
            x = x + scale * attention
            mlp = np.maximum(x @ weights[layer, 1], 0)
            tap(f"layers.{layer}.mlp", mlp)
            x = x + scale * mlp
            tap(f"layers.{layer}", x)
        tap("head", x[..., :4])
    return made


def reference_of(run, **options):
    return network(run, lambda path: path, role=Role.OUTPUT, **options)


class Alias:
    """Names that say nothing, and what they stand for."""

    def __init__(self, wanted: Callable[[str], bool] = bool) -> None:
        self.wanted = wanted
        self.meant: dict[str, str] = {}

    def __call__(self, path: str) -> str | None:
        if not self.wanted(path):
            return None
        name = f"t{hash_of(path)}"
        self.meant[name] = path
        return name

    def agrees(self, alignment: Alignment) -> bool:
        """Whether every match is the right one, and there is one for every name."""
        pairs = {
            (self.meant[match.candidate.split(":")[0]], match.reference.split(":")[0])
            for match in alignment.matches
        }
        return len(alignment.matches) == len(self.meant) and all(a == b for a, b in pairs)


def hash_of(path: str) -> int:
    return sum(31**place * ord(letter) for place, letter in enumerate(path)) % 99991


def blocks(path: str) -> bool:
    return path in ("emb", "head") or path.count(".") == 1


@pytest.mark.parametrize("noise", [0.0, 1e-6, 1e-3])
def test_a_good_port_is_matched_by_content(run, noise: float) -> None:
    alias = Alias()
    result = reference_of(run).against(network(run, alias, noise=noise), mode="auto")
    assert alias.agrees(result)
    assert result.coverage == 1
    assert {match.evidence for match in result.matches} == {Evidence.CONTENT}
    assert min(match.confidence for match in result.matches) > 0.75
    assert result.notes[0].startswith("14 taps matched by their content; least certain: ")


@pytest.mark.parametrize("wrong", [0, 2])
def test_a_diverging_port_is_matched_by_order_and_shape(run, wrong: int) -> None:
    alias = Alias()
    result = reference_of(run).against(network(run, alias, wrong=wrong), mode="auto")
    assert alias.agrees(result)
    assert {match.evidence for match in result.matches} == {Evidence.CONTENT, Evidence.ORDER}
    by_order = [m for m in result.matches if m.evidence is Evidence.ORDER]
    assert max(match.confidence for match in by_order) < 0.9
    assert any("by order and shape" in note for note in result.notes)


def test_nothing_but_order_and_shape(run) -> None:
    alias = Alias()
    candidate = network(run, alias).without_statistics()
    result = reference_of(run).against(candidate, mode="auto")
    assert alias.agrees(result)
    assert max(match.confidence for match in result.matches) <= 0.7


def test_a_candidate_with_fewer_taps_is_matched_by_content(run) -> None:
    alias = Alias(blocks)
    result = reference_of(run).against(network(run, alias, noise=1e-6), mode="auto")
    assert alias.agrees(result)
    assert len(result.missing) == 3 * 8


def test_fewer_taps_without_content_are_ambiguous_and_the_choices_are_listed(run) -> None:
    candidate = network(run, Alias(blocks)).without_statistics()
    with pytest.raises(AlignmentError, match="nothing decides between the counterparts") as error:
        reference_of(run).against(candidate, mode="auto")
    assert " could be " in str(error.value)
    assert " or " in str(error.value)
    assert "rename rules, for instance 't" in str(error.value)


def test_values_decide_what_statistics_leave_open(run) -> None:
    alias = Alias(blocks)
    candidate = network(run, alias).without_statistics()
    result = reference_of(run).against(candidate, mode="auto", read=True)
    assert alias.agrees(result)
    assert {match.evidence for match in result.matches} >= {Evidence.CONTENT}


def test_rename_rules_settle_an_ambiguity(run) -> None:
    alias = Alias(blocks)
    candidate = network(run, alias).without_statistics()
    rules = [Rename(name, path) for name, path in alias.meant.items()]
    result = reference_of(run).against(candidate, mode="auto", renames=rules)
    assert len(result.pairs) == 18


def test_one_of_two_equal_counterparts_is_never_guessed(run, rng) -> None:
    reference, candidate = run(), run()
    reference.put("a", rng.normal(size=8))
    reference.put("b", rng.normal(size=8))
    candidate.put("x", rng.normal(size=8))
    with pytest.raises(AlignmentError, match="the candidate's x:output could be a:output or b"):
        reference.against(candidate, mode="auto")
    with pytest.raises(AlignmentError, match="the reference's x:output could be the candidate's a"):
        candidate.against(reference, mode="auto")


def test_taps_of_the_same_content_are_no_ambiguity(run, rng) -> None:
    """A container's output is its last child's: either is right, and the first is taken."""
    reference, candidate = run(), run()
    x = rng.normal(size=8)
    for path in ("mlp.2", "mlp"):
        reference.put(path, x)
    candidate.put("x", x)
    result = reference.against(candidate, mode="auto")
    assert list(result.pairs) == [(0, 0)]


def test_digests_tell_apart_what_statistics_do_not(run) -> None:
    reference, candidate = run(), run()
    for path, x in (("a", np.arange(8.0)), ("b", np.arange(8.0)[::-1])):
        reference.put(path, x)
    candidate.put("x", np.arange(8.0))
    reference.records = [r._replace(digest=r.key.path) for r in reference.records]
    with pytest.raises(AlignmentError, match="could be a:output or b:output"):
        reference.against(candidate, mode="auto")


def test_equal_digests_are_no_ambiguity(run) -> None:
    reference, candidate = run(), run()
    for path in "ab":
        reference.put(path, np.arange(8.0))
    candidate.put("x", np.arange(8.0))
    blind = reference.without_statistics()
    blind.records = [r._replace(digest="d") for r in blind.records]
    assert list(blind.against(candidate, mode="auto").pairs) == [(0, 0)]


def test_constant_tensors_are_no_landmarks(run, rng) -> None:
    """A dead activation in another layer of a diverging port must not pull the rest along."""
    reference, candidate = run(), run()
    for place in range(6):
        reference.put(f"r{place}", rng.normal(size=8) * (place != 2))
        candidate.put(f"c{place}", rng.normal(size=8) * (place != 4))
    result = reference.against(candidate, mode="auto")
    assert list(result.pairs) == [(place, place) for place in range(6)]


def test_many_rivals_at_some_distance_are_an_ambiguity_too(run, rng) -> None:
    reference, candidate = run(), run()
    for place in range(30):
        reference.put(f"r{place}", rng.normal(size=8))
    candidate.put("x", rng.normal(size=8))
    items = [
        items_of(side, [side.series(tap) for tap in side.taps])
        for side in (Side.of(reference.records), Side.of(candidate.records))
    ]
    shape, content = np.ones((30, 1)), np.zeros((30, 1))
    content[3] = 0.3
    few = Task(items[0][:4], items[1], Likeness(shape[:4], np.ones((4, 1)), content[:4]))
    many = Task(*items, Likeness(shape, np.ones((30, 1)), content))
    assert [one.ambiguous for one in decide(few, lambda *_: 0.0)] == [False]
    (found,) = decide(many, lambda *_: 0.0)
    assert found.row == 3
    assert len(found.rows) == 29


def test_names_that_match_come_first(run, rng) -> None:
    reference, candidate = run(), run()
    for path, other in (("a", "b"), ("b", "x")):
        x = rng.normal(size=8)
        reference.put(path, x)
        candidate.put(other, x)
    result = reference.against(candidate, mode="auto")
    assert {(reference.records[i].key.path, candidate.records[j].key.path)
            for i, j in result.pairs} == {("b", "b"), ("a", "x")}  # fmt: skip


def test_a_dump_in_alphabetical_order_is_matched_by_content(run) -> None:
    alias = Alias()
    candidate = network(run, alias, noise=1e-5)
    shuffled = sorted(range(len(candidate.records)), key=lambda i: candidate.records[i].key)
    candidate.records = [
        candidate.records[i]._replace(order=order) for order, i in enumerate(shuffled)
    ]
    candidate.arrays = [candidate.arrays[i] for i in shuffled]
    result = reference_of(run).against(candidate, mode="auto")
    assert alias.agrees(result)
    assert any("order was no evidence" in note for note in result.notes)


def test_two_operations_in_swapped_order_are_named(run, rng) -> None:
    reference, candidate = run(), run()
    values = [rng.normal(size=8) for _ in range(12)]
    for place, x in enumerate(values):
        reference.put(f"r{place}", x)
    for place in (0, 1, 3, 2, *range(4, 12)):
        candidate.put(f"c{place}", values[place])
    result = reference.against(candidate, mode="auto")
    assert reference.equal(candidate, result)
    assert any(note.startswith("in another order than in the reference ran c") for note in
               result.notes)  # fmt: skip


def test_order_out_of_an_alphabet_is_said(run) -> None:
    reference, candidate = run(), run()
    for place in range(5):
        reference.put(f"r{9 - place}", np.zeros((1, place + 2)))
        candidate.put(f"c{place}", np.ones((1, place + 2)))
    result = reference.against(candidate, mode="auto")
    assert any("in alphabetical order: if that is not" in note for note in result.notes)


@pytest.mark.parametrize("phase", ["", "gen"])
def test_other_structure_and_other_phases(run, rng, phase: str) -> None:
    reference, candidate = run(), run()
    for path in "abc":
        x = rng.normal(size=(1, 6, 8))
        reference.put(path, x, "text")
        for token in range(6):
            candidate.put(f"z{path}", x[:, token : token + 1], phase, role=Role.TAP)
        x = rng.normal(size=(1, 4, 9))
        reference.put(f"{path}.conv", x, "text")
        candidate.put(f"conv_{path}", x.transpose(0, 2, 1), phase, role=Role.TAP)
    result = reference.against(candidate, mode="auto")
    assert reference.equal(candidate, result)
    assert result.coverage == 1


def test_shapes_that_nothing_explains_are_left_over(run, rng) -> None:
    reference, candidate = run(), run()
    for path, other, shape in (("a", "x", (3, 8)), ("b", "y", (2, 5))):
        value = rng.normal(size=shape)
        reference.put(path, value)
        candidate.put(other, value if path == "a" else rng.normal(size=(7,)))
    result = reference.against(candidate, mode="auto")
    assert list(result.pairs) == [(0, 0)]
    assert result.missing.tolist() == [1]
    assert result.extra.tolist() == [1]


def test_too_many_taps_are_refused(run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("parity.align.automatic.MAX_PAIRS", 100)
    with pytest.raises(AlignmentError, match="14 by 14 taps are too many to match without names"):
        reference_of(run).against(network(run, Alias()), mode="auto")


def test_names_decide_where_nothing_else_does(run, rng) -> None:
    reference, candidate = run(), run()
    reference.put("layers.0.act", rng.normal(size=8))
    reference.put("layers.0.gate", rng.normal(size=8))
    candidate.put("port_layer_0_gate", rng.normal(size=8))
    result = reference.against(candidate, mode="auto")
    (match,) = result.matches
    assert (match.reference, match.evidence) == ("layers.0.gate:output", Evidence.NAME)
    assert any("by their names" in note for note in result.notes)
    assert match.confidence < 1
