"""The comparison of two sides: each kind of fault is found, named, and placed."""

from collections.abc import Callable, Mapping
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

from parity.capture import record
from parity.diffing import Outcome, diff
from parity.errors import CaptureFileError, ConfigError, InputError
from parity.store import open_capture
from parity.tensors import TapPlan
from parity.tolerance import Rule, Tolerance, Verdict

Array = np.ndarray


def taps(**changes: Array) -> dict[str, Array]:
    """Three layers of one model, some of them replaced."""
    drawn = np.random.default_rng(7)
    layers = {f"layer{i}": drawn.standard_normal((4, 6)).astype(np.float32) for i in range(3)}
    return layers | changes


def test_the_same_tensors_hold() -> None:
    result = diff(taps(), taps())
    assert result.outcome is Outcome.HOLDS
    assert result.counts == {Verdict.IDENTICAL: 3}
    assert result.coverage == 1.0
    assert result.first_divergence is None
    assert "Parity holds: 3 tensors at 3 taps agree. All are bit-identical." in str(result)


def test_rounding_is_noise() -> None:
    result = diff(taps(), {k: v * np.float32(1 + 2e-7) for k, v in taps().items()})
    assert result.outcome is Outcome.HOLDS
    assert set(result.counts) == {Verdict.WITHIN_NOISE}


def test_the_first_divergence_is_the_first_in_execution_order() -> None:
    changed = taps()
    changed["layer2"] = changed["layer2"] * 3
    changed["layer1"] = changed["layer1"] * np.float32(1 + 1e-4)
    result = diff(taps(), changed)
    assert result.outcome is Outcome.BROKEN
    first = result.first_divergence
    assert first is not None
    assert (first.key.path, first.verdict) == ("layer1", Verdict.DRIFT)
    assert "rel_l2 1.0e-04 > 1.0e-05" in first.reason
    assert [row.key.path for row in result.worst(2)] == ["layer2", "layer1"]
    assert result["layer2"][0].verdict is Verdict.DIVERGENT


def poisoned(value: float) -> Array:
    array = taps()["layer1"]
    array[2, 3] = value
    return array


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({"layer1": taps()["layer1"][:3]}, Verdict.SHAPE),
        ({"layer1": taps()["layer1"].astype(np.float64)}, Verdict.DTYPE),
        ({"layer1": taps()["layer1"].astype(ml_dtypes.bfloat16)}, Verdict.DTYPE),
        ({"layer1": poisoned(np.nan)}, Verdict.NONFINITE),
        ({"layer1": poisoned(np.inf)}, Verdict.NONFINITE),
        ({"layer1": np.zeros((4, 6), np.float32)}, Verdict.DIVERGENT),
        ({"layer1": -taps()["layer1"]}, Verdict.DIVERGENT),
    ],
)
def test_a_fault_is_found_and_named(changes: Mapping[str, Array], verdict: Verdict) -> None:
    result = diff(taps(), taps(**changes))
    assert result.outcome is Outcome.BROKEN
    assert [(row.key.path, row.verdict) for row in result.failures] == [("layer1", verdict)]
    assert result.failures[0].reason


def test_a_missing_tap_fails_unless_it_is_allowed() -> None:
    less = taps()
    del less["layer1"]
    result = diff(taps(), less)
    assert result.outcome is Outcome.BROKEN
    assert result.counts[Verdict.MISSING] == 1
    assert result.coverage == pytest.approx(2 / 3)
    allowed = diff(taps(), less, allow_missing=["layer1"])
    assert allowed.outcome is Outcome.HOLDS
    assert allowed.counts[Verdict.MISSING] == 1


def test_an_extra_tap_is_said_and_accepted() -> None:
    result = diff(taps(), taps(more=np.ones(3)))
    assert result.outcome is Outcome.HOLDS
    assert result.counts[Verdict.EXTRA] == 1


class TestNothingIsProven:
    """What agrees without meaning anything is never a pass."""

    def test_by_disjoint_names(self) -> None:
        result = diff(taps(), {f"port.{k}": v for k, v in taps().items()})
        assert result.outcome is Outcome.INVALID
        assert "Reference: layer0, layer1, layer2. Candidate: port.layer0" in result.because
        assert "--rename" in result.because

    def test_by_an_empty_side(self) -> None:
        assert "the candidate has no tensors" in diff(taps(), {}).because
        assert "the reference has no tensors" in diff({}, taps()).because

    def test_by_constant_tensors(self) -> None:
        zeros = {f"layer{i}": np.zeros((3, 3), np.float32) for i in range(3)}
        result = diff(zeros, zeros)
        assert result.outcome is Outcome.INVALID
        assert "one value only" in result.because

    def test_by_nan_alone(self) -> None:
        nans = {"a": np.full(4, np.nan), "b": np.full(4, np.nan)}
        assert diff(nans, nans).outcome is Outcome.INVALID

    def test_by_empty_tensors(self) -> None:
        empty = {"a": np.zeros((0, 4)), "b": np.zeros((2, 0))}
        assert diff(empty, empty).outcome is Outcome.INVALID

    def test_by_one_dump_under_every_name(self) -> None:
        same = dict.fromkeys(taps(), taps()["layer0"])
        result = diff(same, same)
        assert result.outcome is Outcome.INVALID
        assert "same tensor under every name" in result.because


def test_nan_in_the_same_places_is_agreement() -> None:
    result = diff(taps(layer1=poisoned(np.nan)), taps(layer1=poisoned(np.nan)))
    assert result.outcome is Outcome.HOLDS


def test_a_rename_brings_names_together() -> None:
    renamed = {k.replace("layer", "blocks."): v for k, v in taps().items()}
    result = diff(taps(), renamed, renames=["blocks.{i} -> layer{i}"])
    assert result.outcome is Outcome.HOLDS


def test_a_transposed_layout_is_recognised_and_said() -> None:
    result = diff(taps(), taps(layer1=taps()["layer1"].T.copy()))
    assert result.outcome is Outcome.HOLDS
    assert any("transposed by (1, 0)" in note for note in result.notes)
    assert "transposed (1, 0)" in result["layer1"][0].piece


def test_rules_and_presets_decide() -> None:
    close = {k: v * np.float32(1 + 1e-4) for k, v in taps().items()}
    assert diff(taps(), close).outcome is Outcome.BROKEN
    assert diff(taps(), close, tolerance="story").outcome is Outcome.HOLDS
    loose = Tolerance((("layer*", Rule(max_rel_l2=1e-3)),))
    assert diff(taps(), close, tolerance=loose).outcome is Outcome.HOLDS
    with pytest.raises(ConfigError, match="preset 'stry'"):
        diff(taps(), close, tolerance="stry")


def test_half_precision_is_accepted_where_the_preset_says_so() -> None:
    half = {k: v.astype(np.float16) for k, v in taps().items()}
    assert diff(taps(), half).outcome is Outcome.BROKEN
    assert diff(taps(), half, tolerance="fp16").outcome is Outcome.HOLDS


def test_integers_must_be_equal() -> None:
    tokens = {"tokens": np.array([5, 6, 7]), **taps()}
    other = {"tokens": np.array([5, 6, 8]), **taps()}
    assert diff(tokens, tokens).outcome is Outcome.HOLDS
    assert [row.key.path for row in diff(tokens, other).failures] == ["tokens"]


@pytest.mark.parametrize("name", ["fp16", "bf16"])
def test_half_precision_does_not_reach_integers(name: str) -> None:
    tokens = np.array([1000, 2000, 3000, 30000])
    other = {"tokens": (tokens + 10).astype(np.float32), **taps()}
    result = diff({"tokens": tokens, **taps()}, other, tolerance=name)
    assert [row.key.path for row in result.failures] == ["tokens"]


def test_tiny_numbers_in_float64_are_not_negligible() -> None:
    tiny = {"a": taps()["layer0"].astype(np.float64) * 1e-100}
    assert diff(tiny, {"a": -tiny["a"]}).outcome is Outcome.BROKEN


def test_the_selection_leaves_taps_out() -> None:
    changed = taps(layer2=-taps()["layer2"])
    assert diff(taps(), changed).outcome is Outcome.BROKEN
    plan = TapPlan(exclude=("layer2",))
    assert diff(taps(), changed, plan=plan).outcome is Outcome.HOLDS


@pytest.mark.parametrize("name", ["", 1, None])
def test_a_tensor_has_a_name(name: object) -> None:
    with pytest.raises(InputError, match=r"reference: .* is no name of a tensor"):
        diff({name: np.arange(3.0)}, {"a": np.arange(3.0)})


def test_torch_tensors_are_compared_with_arrays() -> None:
    torch = pytest.importorskip("torch")
    tensors = {k: torch.from_numpy(v) for k, v in taps().items()}
    assert diff(taps(), tensors).outcome is Outcome.HOLDS
    bits = {k: v.bfloat16() for k, v in tensors.items()}
    assert diff(bits, bits).outcome is Outcome.HOLDS
    assert diff(taps(), bits, tolerance="bf16").outcome is Outcome.HOLDS


def test_results_go_into_frames_and_pictures() -> None:
    result = diff(taps(), taps(layer1=poisoned(np.nan)))
    frame = result.to_frame()
    assert list(frame["path"]) == ["layer0", "layer1", "layer2"]
    assert list(frame["ok"]) == [True, False, True]
    assert result.plot().get_ylabel() == "relative error"
    assert "layer1" in result._repr_html_()


class TestCaptureFiles:
    def test_are_compared_as_arrays_are(self, capture_of: Callable[..., Path]) -> None:
        one, two = capture_of("a.h5", taps()), capture_of("b.h5", taps(layer1=poisoned(1e3)))
        result = diff(one, two)
        assert [row.key.path for row in result.failures] == ["layer1"]
        assert result.reference == str(one)

    def test_may_be_open_already(self, capture_of: Callable[..., Path]) -> None:
        with open_capture(capture_of("a.h5", taps())) as capture:
            assert diff(capture, taps()).outcome is Outcome.HOLDS

    def test_that_are_incomplete_prove_nothing(self, capture_of: Callable[..., Path]) -> None:
        whole, torn = capture_of("a.h5", taps()), capture_of("b.h5", taps(), complete=False)
        for pair in ((whole, torn), (torn, whole)):
            result = diff(*pair)
            assert result.outcome is Outcome.INVALID
            assert "did not come to an end" in result.because

    def test_that_do_not_exist_are_an_error(self, tmp_path: Path) -> None:
        with pytest.raises(CaptureFileError, match=r"none\.h5"):
            diff(tmp_path / "none.h5", taps())

    @pytest.mark.parametrize("tier", ["stats", "digest"])
    def test_without_tensors_are_compared_by_what_they_keep(
        self, capture_of: Callable[..., Path], tier: str
    ) -> None:
        one = capture_of("a.h5", taps(), tier=tier)
        same, other = capture_of("b.h5", taps()), capture_of("c.h5", taps(layer1=poisoned(1e3)))
        # Equal digests are equal bits; equal statistics are not.
        held = Outcome.HOLDS if tier == "digest" else Outcome.INVALID
        assert diff(one, same).outcome is held
        broken = diff(one, other)
        assert [row.key.path for row in broken.failures] == ["layer1"]
        assert "record them with tier `tensor`" in broken.failures[0].reason

    @pytest.mark.parametrize("tier", ["stats", "digest"])
    def test_permuted_tensors_with_equal_statistics_never_hold(
        self, capture_of: Callable[..., Path], tier: str
    ) -> None:
        flipped = {name: array[::-1].copy() for name, array in taps().items()}
        one, two = capture_of("a.h5", taps(), tier=tier), capture_of("b.h5", flipped, tier=tier)
        result = diff(one, two)
        assert result.outcome is Outcome.INVALID
        assert set(result.counts) == {Verdict.UNDECIDED}
        assert "bit-identical" not in str(result)

    def test_other_weights_are_found_by_their_digests(self, tmp_path: Path) -> None:
        torch = pytest.importorskip("torch")
        paths = []
        for name in ("a", "b"):
            torch.manual_seed(0)
            layer = torch.nn.Linear(4, 4)
            if name == "b":
                layer.weight.data[0, 0] += 1e-7
            paths.append(tmp_path / f"{name}.h5")
            with record(paths[-1], layer):
                layer(torch.zeros(1, 4))
        assert [row.key.port for row in diff(*paths).failures] == ["param.weight"]

    def test_a_recording_of_nothing_proves_nothing(self, tmp_path: Path) -> None:
        torch = pytest.importorskip("torch")
        with record(tmp_path / "a.h5", torch.nn.Linear(4, 4)):
            pass
        result = diff(tmp_path / "a.h5", tmp_path / "a.h5")
        assert result.outcome is Outcome.INVALID
        assert "did anything run" in result.because


class TestOneLogitNearZero:
    """A scalar that cancels to nearly nothing is judged by what its tap holds in other calls."""

    LOGITS = np.array([3.0, -2.0, 1e-3, 4.0], np.float32)

    def write(self, capture_of: Callable[..., Path], name: str, error: float) -> Path:
        values = self.LOGITS + np.array([0, 0, error, 0], np.float32)
        calls = [("eos", np.array([value])) for value in values] + list(taps().items())
        return capture_of(name, calls)

    def test_its_rounding_is_that_of_its_terms(self, capture_of: Callable[..., Path]) -> None:
        one, two = self.write(capture_of, "a.h5", 0.0), self.write(capture_of, "b.h5", 2e-6)
        result = diff(one, two)
        assert result["eos"][2].metrics["rel_l2"] > 1e-3
        assert result.outcome is Outcome.HOLDS

    def test_one_large_call_excuses_no_other(self, capture_of: Callable[..., Path]) -> None:
        drawn = np.random.default_rng(1)
        masked = ("logit", np.full(4, -1e9, np.float32))
        sides = [
            capture_of(
                name,
                [
                    masked,
                    *(("logit", drawn.standard_normal(4).astype(np.float32)) for _ in range(9)),
                ],
            )
            for name in ("a.h5", "b.h5")
        ]
        assert [row.key.call for row in diff(*sides).failures] == list(range(1, 10))

    def test_a_larger_error_is_still_found(self, capture_of: Callable[..., Path]) -> None:
        one, two = self.write(capture_of, "a.h5", 0.0), self.write(capture_of, "b.h5", 1e-3)
        assert [row.key.call for row in diff(one, two).failures] == [2]


@pytest.mark.parametrize("value", [0.0, np.nan])
def test_equal_digests_of_nothing_prove_nothing(
    capture_of: Callable[..., Path], value: float
) -> None:
    same = {f"layer{i}": np.full(4 + i, value, np.float32) for i in range(3)}
    one, two = (capture_of(name, same, tier="digest") for name in ("a.h5", "b.h5"))
    assert diff(one, two).outcome is Outcome.INVALID
