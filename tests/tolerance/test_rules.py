import ml_dtypes
import numpy as np
import pytest

from parity.errors import ConfigError
from parity.metrics import metrics, pair_statistics_many
from parity.tolerance import PRESETS, Rule, Tolerance, build_rule, dtype_floor, parse_rule, preset


def test_the_first_pattern_that_matches_applies() -> None:
    tight, loose = Rule(max_abs=1e-6), Rule(max_abs=1.0)
    tolerance = Tolerance((("mimi.decoder.*", tight), ("mimi.*", loose)))
    assert tolerance.rule_for("mimi.decoder.0") is tight
    assert tolerance.rule_for("mimi.encoder") is loose
    assert tolerance.rule_for("flow_lm") == Rule()
    assert tolerance.rules_for(["mimi.x", "mimi.decoder.1"]) == (loose, tight)
    assert Tolerance((("MIMI.*", tight),)).rule_for("mimi.x") == Rule()


def test_further_rules_go_first() -> None:
    tolerance = preset("fp32").with_rules([("a.*", Rule(exact=True))])
    assert tolerance.rule_for("a.b").exact
    assert not tolerance.rule_for("c").exact
    assert tolerance.name == "fp32, with 1 of your rules"
    assert preset("fp32").with_rules([]) is preset("fp32")


def test_element_tolerances_reach_the_mismatch_share() -> None:
    tolerance = Tolerance((("a", Rule(atol=0.6)), ("b", Rule(rtol=0.1))))
    rtol, atol = tolerance.element_tolerances(["a", "b", "c"])
    assert rtol.tolist() == [0, 0.1, 1e-5]
    assert atol.tolist() == [0.6, 0, 1e-8]
    one = np.ones(2, np.float32)
    stats = pair_statistics_many([one] * 3, [one + np.float32(0.5)] * 3, rtol=rtol, atol=atol)
    assert metrics(stats).mismatch_share.tolist() == [0, 1, 1]
    assert Rule(atol=0.6).bounds == (("mismatch_share", "<=", 0.0),)
    assert Rule(atol=0.6, max_mismatch_share=0.1).bounds == (("mismatch_share", "<=", 0.1),)


@pytest.mark.parametrize(
    ("text", "pattern", "rule"),
    [
        ("mimi.*: max_rel_l2=1e-4, min_cosine = 0.999", "mimi.*",
         Rule(max_rel_l2=1e-4, min_cosine=0.999)),
        ("*.ids:exact", "*.ids", Rule(exact=True)),
        ("x: any_dtype=true, exact=false", "x", Rule(any_dtype=True)),
        ("a: fp16, max_abs=1", "a", Rule(precision="float16", any_dtype=True, max_abs=1)),
        ("a: precision=bfloat16", "a", Rule(precision="bfloat16")),
        ("a: story", "a", Rule(min_cosine=0.99, any_dtype=True)),
    ],
)  # fmt: skip
def test_rules_in_text(text: str, pattern: str, rule: Rule) -> None:
    assert parse_rule(text) == (pattern, rule)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("mimi.*", "not of the form"),
        (": max_abs=1", "not of the form"),
        ("a:", "not of the form"),
        ("a: max_rel_12=1", r"no bound 'max_rel_12'(.|\n)*did you mean 'max_rel_l2'\?"),
        ("a: max_abs=small", "max_abs = 'small' is not a number"),
        ("a: max_abs=nan", "max_abs = nan is not a number that a metric"),
        ("a: max_abs=-1", r"max_abs = -1.0 (.|\n)*at least 0"),
        ("a: max_abs", "max_abs = True is not"),
        ("a: fp61", r"no bound 'fp61'"),
        ("a: precision=float61", "precision 'float61' is not a floating-point dtype"),
    ],
)
def test_unusable_rules_are_explained(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_rule(text)


def test_building_rules_from_configuration() -> None:
    assert build_rule("fp16", max_abs=2.0).precision == "float16"
    assert build_rule(max_abs=2.0) == Rule(max_abs=2.0)
    with pytest.raises(ConfigError, match=r"no tolerance preset 'fp23'(.|\n)*did you mean 'fp32'"):
        build_rule("fp23")
    with pytest.raises(ConfigError, match=r"use one of: fp32, fp16, bf16, strict, story"):
        preset("zzzzzz")
    with pytest.raises(ConfigError, match="max_abs = '1' is not a number"):
        build_rule(max_abs="1")


def test_presets_are_named_after_themselves_and_end_in_a_rule_for_all() -> None:
    for name, tolerance in PRESETS.items():
        assert tolerance.name == name
        assert tolerance.rules[-1][0] == "*"


@pytest.mark.parametrize("wav", ["audio.chunk", "wav", "mimi.decode_from_latent"])
def test_the_story_holds_waveforms_to_correlation(wav: str) -> None:
    assert preset("story").rule_for(wav).bounds == (("pearson", ">=", 0.95),)
    assert preset("story").rule_for("flow_lm.latent").bounds == (("cosine", ">=", 0.99),)


def test_floors_follow_the_coarser_dtype() -> None:
    assert dtype_floor("float32") == 5e-6
    assert dtype_floor("float32", "float16") == dtype_floor("float16", "float32") == 7.5e-3
    assert dtype_floor("complex64") == dtype_floor("float32")
    assert dtype_floor("int64") == dtype_floor("bool") == dtype_floor("uint8") == 0
    assert dtype_floor(np.dtype(ml_dtypes.bfloat16)) == 6e-2
    ordered = ["int8", "float64", "float32", "float16", "bfloat16", "float8_e4m3fn"]
    assert sorted(ordered, key=dtype_floor) == ordered


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_a_rounded_matrix_product_stays_below_its_floor(dtype: str) -> None:
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((8, 4096)), rng.standard_normal((4096, 8))
    low = np.dtype(getattr(ml_dtypes, dtype, dtype))
    rounded = x.astype(low).astype("f4") @ w.astype(low).astype("f4")
    error = np.linalg.norm(rounded.astype(low).astype("f8") - x @ w) / np.linalg.norm(x @ w)
    assert error < dtype_floor(dtype)
    assert error > dtype_floor(dtype) / 100
