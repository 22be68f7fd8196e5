"""Every message of `assert_parity`, as one file to read."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import parity

Reviewed = Callable[[str, Mapping[str, str]], None]


def tensor(seed: int = 0, shape: tuple[int, ...] = (4, 8)) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def said(reference: Any, candidate: Any, **options: Any) -> str:
    with pytest.raises(parity.ParityAssertionError) as caught:
        parity.assert_parity(reference, candidate, **options)
    return str(caught.value)


def changed(array: np.ndarray, index: Any, value: float) -> np.ndarray:
    copy = array.copy()
    copy[index] = value
    return copy


def in_memory() -> Iterator[tuple[str, str]]:
    x = tensor()
    rng = np.random.default_rng(1)
    yield "a lone tensor, other numbers", said(x, tensor(1))
    yield "a lone tensor, one element off", said(x, changed(x, (2, 5), 1.5))
    yield "a factor", said({"a": x, "b": x}, {"a": x, "b": x * np.float32(1.01)})
    yield "an added number", said(x, x + np.float32(0.5))
    yield "a sign", said(x, -x)
    yield "reversed along an axis", said(x, x[:, ::-1])
    yield "shifted along an axis", said(x, np.roll(x, 1, axis=0))
    yield "a square, transposed", said(x[:, :4], x[:, :4].T)
    yield "rounded to half precision", said(x, x.astype(np.float16).astype(np.float32))
    yield "all zeros", said(x, np.zeros_like(x))
    yield (
        "noise on every element",
        said(x, x + 1e-3 * rng.standard_normal(x.shape).astype(np.float32)),
    )
    yield "NaN", said(x, changed(x, (1, 2), np.nan))
    yield "infinity", said(x, changed(x, (3, 0), -np.inf))
    yield "infinities of two signs", said(changed(x, (3, 0), np.inf), changed(x, (3, 0), -np.inf))
    yield "integers", said(np.arange(6), np.array([0, 1, 2, 3, 5, 5]))
    yield (
        "integers that float64 cannot tell apart",
        said(np.array([2**62, 1, -(2**63)]), np.array([2**62 + 1, 1, 2**63 - 1])),
    )
    yield "truth values", said({"mask": x > 0}, {"mask": x >= -0.2})
    yield "complex numbers", said(x + 1j * tensor(2), x - 1j * tensor(2))
    yield "another shape, another count", said(x, x[:3])
    yield "the same numbers, transposed", said(x, x.T)
    yield "the same numbers, reshaped", said(x, x.reshape(2, 16))
    yield "another type", said(x, x.astype(np.float64))


def of_names_and_rules() -> Iterator[tuple[str, str]]:
    x, y = tensor(), tensor(1)
    yield "a missing tap", said({"a": x, "b": y}, {"a": x})
    yield "no name in common", said({"a": x}, {"port.a": x})
    yield (
        "the first of three",
        said({"a": x, "b": y, "c": x}, {"a": x, "b": y * 2, "c": x * 3}, output="c"),
    )
    yield "renamed", said({"a": x}, {"port.a": y}, renames="port.{rest} -> {rest}")
    yield "a bound of the caller's", said(
        x, x * np.float32(1.01), title="the decoder", commands=("make look",),
        tolerance=parity.preset("fp32").with_rules([("*", parity.Rule(max_abs=1e-3))]),
    )  # fmt: skip
    yield "only the same bits", said(x, np.nextafter(x, np.float32(9)), tolerance="strict")
    yield "a name with control characters", said({"a\x1b[31m": x}, {"a\x1b[31m": y})


def inconclusive() -> Iterator[tuple[str, str]]:
    x, flat = tensor(), np.ones((2, 3), np.float32)
    yield "no tensors at all", said({}, {})
    yield "constants on both sides", said(flat, flat)
    yield "empty tensors", said(x[:0], x[:0])
    yield "NaN everywhere", said(flat * np.nan, flat * np.nan)
    yield "one dump under every name", said(dict.fromkeys("abc", x), dict.fromkeys("abc", x))


def test_messages_about_tensors_in_memory(reviewed: Reviewed) -> None:
    reviewed(
        "assertions.txt", dict(in_memory()) | dict(of_names_and_rules()) | dict(inconclusive())
    )


def model(activation: str = "none") -> Any:
    import torch
    from torch import nn

    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(8, 16), nn.GELU(approximate=activation), nn.Linear(16, 8), nn.LayerNorm(8)
    )


def test_messages_about_captures(
    reviewed: Reviewed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A port with another activation: where its error enters, and that the rest inherits it."""
    torch = pytest.importorskip("torch")
    monkeypatch.chdir(tmp_path)
    x = torch.from_numpy(tensor(3))
    for name, activation in (("reference", "none"), ("port", "tanh")):
        port = model(activation)
        with parity.record(f"{name}.h5", port), torch.no_grad():
            port(x)
    whole = said("reference.h5", "port.h5")
    assert "introduced         all that feeds it agrees: 1 (input)" in whole
    assert "parity diff reference.h5 port.h5 --html report.html" in whole
    plan = parity.TapPlan(include=("2", "3"))
    part = said("reference.h5", "port.h5", plan=plan)
    assert "uncertain          of what feeds it, this was not compared: 1 (output)" in part
    assert "first divergence   2 (input, call 0" in part


def test_a_later_tap_is_said_to_inherit(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    from parity.testing import explain

    files = tmp_path / "reference.h5", tmp_path / "port.h5"
    for file, activation in zip(files, ("none", "tanh"), strict=True):
        port = model(activation)
        with parity.record(file, port), torch.no_grad():
            port(torch.from_numpy(tensor(3)))
    result = parity.diff(*files)
    outputs = {path: row for path in "0123" for row in result[path] if row.key.port == "output"}
    found = {path: explain(result, *files, row=row).origin for path, row in outputs.items()}
    assert found == {"0": "introduced", "1": "introduced", "2": "inherited", "3": "inherited"}
