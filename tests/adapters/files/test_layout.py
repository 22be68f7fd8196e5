from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from parity.backends import MemorySink
from parity.errors import ConfigError
from parity.tensors import TapPlan

Read = Callable[..., MemorySink]


def test_renames_by_expression_the_first_match_wins(
    dump: Callable[..., Path], keys: Callable[..., list[str]]
) -> None:
    layout = {
        "rename": [
            {"match": r"blk\.(\d+)\.attn\.(.+)", "to": r"layers.\1.self_attn.\2"},
            {"match": r"blk\.(.+)", "to": r"layers.\1"},
        ]
    }
    assert keys(dump("blk.2.attn.q", "blk.2.norm", "out"), layout=layout) == [
        "layers.2.self_attn.q:output#0",
        "layers.2.norm:output#0",
        "out:output#0",
    ]


def test_permutes_by_the_path_as_dumped(dump: Callable[..., Path], read: Read) -> None:
    array = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    layout = {
        "rename": [{"match": "conv", "to": "mimi.conv"}],
        "permute": [{"path": "conv", "axes": [0, 2, 1]}],
    }
    sink = read(dump(conv=array, other=array), layout=layout)
    assert np.array_equal(sink["mimi.conv"], array.transpose(0, 2, 1))
    assert np.array_equal(sink["other"], array)


def test_views_bits_as_the_type_that_they_are(dump: Callable[..., Path], read: Read) -> None:
    values = np.array([[1.5, -2.0, 3e38]], ml_dtypes.bfloat16)
    layout = {"view": [{"path": "*", "dtype": "bfloat16"}]}
    got = read(dump(a=values.view(np.uint16), b=values), layout=layout)
    assert got["a"].dtype == got["b"].dtype == ml_dtypes.bfloat16
    assert np.array_equal(got["a"], values)
    assert np.array_equal(got["b"], values)


def test_raw_values_need_a_rule(dump: Callable[..., Path], read: Read) -> None:
    folder = dump(a=np.array([1.0], ml_dtypes.bfloat16))
    with pytest.raises(ConfigError, match=r'raw values of 2 bytes(?s:.*)path = "a", dtype'):
        read(folder)


def test_reshapes_a_flat_dump_before_it_permutes(dump: Callable[..., Path], read: Read) -> None:
    flat = np.arange(6, dtype=np.float32)
    layout = {
        "permute": [{"path": "a", "axes": [1, 0]}],
        "reshape": [{"path": "a", "shape": [2, -1]}],
    }
    assert np.array_equal(read(dump(a=flat), layout=layout)["a"], flat.reshape(2, 3).T)


def test_rules_from_a_file_in_the_folder_or_elsewhere(
    dump: Callable[..., Path], read: Read, tmp_path: Path
) -> None:
    folder = dump("a")
    rules = '[[permute]]\npath = "a"\naxes = [1, 0]\n'
    (folder / "layout.toml").write_text(rules)
    (tmp_path / "elsewhere.toml").write_text(rules)
    assert read(folder, layout="layout.toml")["a"].shape == (3, 2)
    assert read(folder, layout=tmp_path / "elsewhere.toml")["a"].shape == (3, 2)


@pytest.mark.parametrize(
    ("layout", "message"),
    [
        ({"transpose": []}, r"unknown kind of rule: transpose(?s:.*)rename, view, reshape"),
        ({"permute": [{"path": "a"}]}, r"each \[\[permute\]\] needs exactly path and axes"),
        ({"permute": {"path": "a", "axes": [0]}}, "needs exactly path and axes"),
        ({"permute": [{"path": "a", "axes": "10"}]}, "a list of whole numbers, got '10'"),
        ({"permute": [{"path": "a", "axes": [0, 1, 2]}]}, r"does not fit float32\[2, 3\]"),
        ({"permute": [{"path": "b", "axes": [0]}]}, "permute b fits none of the 1 dumped paths"),
        ({"rename": [{"match": "b", "to": "c"}]}, "rename b fits none of the 1 dumped paths"),
        ({"rename": [{"match": "(", "to": "c"}]}, "is not a regular expression"),
        ({"rename": [{"match": "a", "to": r"\2"}]}, "cannot be filled in"),
        ({"reshape": [{"path": "a", "shape": [4]}]}, "does not fit"),
        ({"view": [{"path": "a", "dtype": "bf17"}]}, "no element type is named 'bf17'"),
        ({"view": [{"path": "a", "dtype": "float64"}]}, "does not fit"),
        ({"view": [{"path": "a", "dtype": "object"}]}, "does not fit|no element type"),
        ("nowhere.toml", r"nowhere\.toml: cannot be read"),
    ],
)
def test_rules_that_cannot_be_used(
    dump: Callable[..., Path], read: Read, layout: Any, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        read(dump("a"), layout=layout)


def test_a_rule_file_that_is_not_toml(dump: Callable[..., Path], read: Read) -> None:
    folder = dump("a")
    (folder / "layout.toml").write_text("rename = [")
    with pytest.raises(ConfigError, match=r"layout\.toml: cannot be read"):
        read(folder, layout="layout.toml")


def test_a_selection_does_not_make_a_rule_look_unused(
    dump: Callable[..., Path], read: Read
) -> None:
    layout = {"permute": [{"path": "a", "axes": [1, 0]}]}
    assert len(read(dump("a", "b"), layout=layout, plan=TapPlan(include=("b",))).records) == 1
