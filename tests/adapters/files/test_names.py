from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from parity.errors import ConfigError, InputError
from parity.tensors import TapPlan

Keys = Callable[..., list[str]]


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("decoder", "decoder:output#0"),
        ("flow_lm.out_norm", "flow_lm.out_norm:output#0"),
        ("flow_lm/layers/0/norm", "flow_lm.layers.0.norm:output#0"),
        ("layers.0", "layers.0:output#0"),
        ("decoder.call3", "decoder:output#3"),
        ("decoder_call_3", "decoder:output#3"),
        ("decoder#3", "decoder:output#3"),
        ("decoder/3", "decoder:output#3"),
        ("decoder/call003", "decoder:output#3"),
        ("layers.0.input", "layers.0:input#0"),
        ("layers.0.input.1.call2", "layers.0:input.1#2"),
        ("layers.0.output.call2", "layers.0:output#2"),
        ("cache.state.step2", "cache:state#0"),
        ("layers.0.output.text_embeddings", "layers.0:output.text_embeddings#0"),
        ("cache.state", "cache:state#0"),
        ("@generate/flow/norm.call1", "flow.norm:output@generate#1"),
        ("decoder_000003", "decoder:output#3"),
        ("decoder_123", "decoder_123:output#0"),
        ("conv_512", "conv_512:output#0"),
        ("recall3", "recall3:output#0"),
        ("input_proj", "input_proj:output#0"),
        ("7", "7:output#0"),
    ],
)
def test_usual_names(dump: Callable[..., Path], keys: Keys, name: str, key: str) -> None:
    assert keys(dump(name)) == [key]


def test_numbers_are_calls_where_another_dump_shows_that_zeros_are_filled_in(
    dump: Callable[..., Path], keys: Keys
) -> None:
    folder = dump("decoder_000", "decoder_010", "decoder_101", "conv_512", "norm.input_007")
    assert sorted(keys(folder)) == [
        "conv_512:output#0",
        "decoder:output#0",
        "decoder:output#10",
        "decoder:output#101",
        "norm:input#7",
    ]


def test_steps_are_counted_as_calls(dump: Callable[..., Path], read: Callable[..., object]) -> None:
    sink = read(dump("flow.step10", "flow.step2"))
    got = [(record.key.call, record.step) for record in sink.records]  # type: ignore[attr-defined]
    assert got == [(0, 2), (1, 10)]


def test_a_pattern_of_ones_own(dump: Callable[..., Path], keys: Keys) -> None:
    folder = dump("07-prefill-attn.q", "08-decode-attn.q")
    got = keys(folder, pattern=r"(?P<call>\d+)-(?P<phase>\w+)-(?P<path>.+)")
    assert sorted(got) == ["attn.q:output@decode#8", "attn.q:output@prefill#7"]


def test_a_name_that_the_pattern_does_not_match_is_refused(
    dump: Callable[..., Path], keys: Keys
) -> None:
    folder = dump("a-1", "weights")
    with pytest.raises(InputError, match=r"does not match the name 'weights'(?s:.*)ignore"):
        keys(folder, pattern=r"(?P<path>\w+)-(?P<call>\d+)")
    assert keys(folder, pattern=r"(?P<path>\w+)-(?P<call>\d+)", ignore="weights.*") == [
        "a:output#1"
    ]


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        (r"(?P<path>", "not a regular expression"),
        (r"(?P<name>.*)", "its groups are name"),
        (r".*", "its groups are none"),
    ],
)
def test_a_malformed_pattern_is_refused(
    dump: Callable[..., Path], keys: Keys, pattern: str, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        keys(dump("a"), pattern=pattern)


@pytest.mark.parametrize(
    ("name", "pattern", "message"),
    [
        ("q-wrong", r"(?P<path>\w+)-(?P<role>\w+)", "'wrong' is not a valid Role"),
        ("q-x", r"(?P<path>\w+)-(?P<call>\w+)", "invalid literal"),
        ("-q", r"(?P<path>)-\w+", "leaves no path"),
    ],
)
def test_a_name_whose_parts_mean_nothing_is_refused(
    dump: Callable[..., Path], keys: Keys, name: str, pattern: str, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        keys(dump(name), pattern=pattern)


def test_two_names_of_one_tensor_are_refused(dump: Callable[..., Path], keys: Keys) -> None:
    with pytest.raises(InputError, match=r"'a.call1' and 'a/1' are both a:output#1"):
        keys(dump("a/1", "a.call1"))


def test_the_role_of_names_that_say_none(dump: Callable[..., Path], keys: Keys) -> None:
    assert keys(dump("a"), role="tap") == ["a:tap#0"]
    with pytest.raises(ConfigError, match=r"no role is named 'outptu'(?s:.*)input, output"):
        keys(dump("a"), role="outptu")


def test_order_by_name_is_natural_and_runs_all_taps_of_a_call_before_the_next(
    dump: Callable[..., Path], keys: Keys
) -> None:
    folder = dump("l.10.call0", "l.2.call0", "l.2.call1", "l.10.call1")
    assert keys(folder) == ["l.2:output#0", "l.10:output#0", "l.2:output#1", "l.10:output#1"]


def test_order_by_the_time_of_the_files(dump: Callable[..., Path], keys: Keys) -> None:
    folder = dump("a", "b", "c")
    for name, seconds in (("b", 100), ("c", 200), ("a", 300)):
        os.utime(folder / f"{name}.npy", (seconds, seconds))
    assert keys(folder, order="time") == ["b:output#0", "c:output#0", "a:output#0"]


def test_order_by_a_list_of_paths(dump: Callable[..., Path], keys: Keys) -> None:
    folder = dump("a.call0", "a.call1", "b.call0", "b.call1", "z")
    (folder / "order.txt").write_text("b\na\n")
    expected = ["b:output#0", "a:output#0", "b:output#1", "a:output#1", "z:output#0"]
    assert keys(folder, order="order.txt") == expected
    assert keys(folder, order=str(folder / "order.txt")) == expected


def test_order_by_a_list_of_names(dump: Callable[..., Path], keys: Keys) -> None:
    folder = dump("a.call0", "a.call1", "b")
    (folder / "order.txt").write_text("b\na.call1\na.call0\n")
    assert keys(folder, order="order.txt") == ["b:output#0", "a:output#1", "a:output#0"]


def test_an_order_that_is_none_is_refused(dump: Callable[..., Path], keys: Keys) -> None:
    with pytest.raises(ConfigError, match=r"order = nmae: cannot be read(?s:.*)name, time, stored"):
        keys(dump("a"), order="nmae")


def test_one_container_names_its_tensors_by_their_keys(tmp_path: Path, keys: Keys) -> None:
    np.savez(tmp_path / "dump.npz", **{"b.norm": np.ones(2), "a.norm": np.ones(3)})
    assert keys(tmp_path) == ["a.norm:output#0", "b.norm:output#0"]
    assert keys(tmp_path / "dump.npz") == ["b.norm:output#0", "a.norm:output#0"]
    assert keys(tmp_path, order="stored") == ["b.norm:output#0", "a.norm:output#0"]


def test_several_containers_prefix_their_keys(tmp_path: Path, keys: Keys) -> None:
    np.savez(tmp_path / "encoder.npz", norm=np.ones(2))
    np.savez(tmp_path / "decoder.npz", norm=np.ones(2))
    assert keys(tmp_path) == ["decoder.norm:output#0", "encoder.norm:output#0"]


def test_a_container_a_call(tmp_path: Path, keys: Keys) -> None:
    for number in (0, 1, 10):
        np.savez(tmp_path / f"step_{number}.npz", a=np.ones(2), b=np.ones(2))
    assert keys(tmp_path) == [f"{path}:output#{call}" for call in (0, 1, 10) for path in "ab"]


def test_a_container_pattern_of_ones_own(tmp_path: Path, keys: Keys) -> None:
    np.savez(tmp_path / "prefill.npz", a=np.ones(2))
    np.savez(tmp_path / "decode.npz", a=np.ones(2))
    got = keys(tmp_path, container=r"(?P<phase>\w+)")
    assert got == ["a:output@decode#0", "a:output@prefill#0"]


def test_calls_keep_their_numbers_under_a_selection(dump: Callable[..., Path], keys: Keys) -> None:
    folder = dump("a.step5", "a.step6", "a.step7", "b")
    assert keys(folder, plan=TapPlan(include=("a",), calls=(1, 3))) == ["a:output#1", "a:output#2"]
