from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xxhash

from parity.store import CaptureWriter
from parity.tensors import Role, TapKey, TapRecord, TensorSpec, TensorStatistics

Array = np.ndarray[Any, np.dtype[Any]]


def digest_of(array: Array) -> str:
    return xxhash.xxh3_128_hexdigest(array.tobytes())


def record_of(array: Array, order: int, path: str = "net.norm", **facts: Any) -> TapRecord:
    key_facts = {
        name: facts.pop(name) for name in ("role", "slot", "phase", "call") if name in facts
    }
    key_facts = {"role": Role.OUTPUT, "call": order} | key_facts
    facts = {"digest": digest_of(array)} | facts
    spec = TensorSpec(array.dtype.name, array.shape)
    return TapRecord(TapKey(path, **key_facts), spec, order, **facts)


@pytest.fixture
def make_record() -> Callable[..., TapRecord]:
    return record_of


@pytest.fixture
def statistics() -> TensorStatistics:
    return TensorStatistics(6, 0.5, 0.25, -1.0, 2.0, 3.5, 1, 2, 3)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run.h5"


@pytest.fixture
def writer(path: Path) -> Iterator[CaptureWriter]:
    with CaptureWriter(path) as opened:
        yield opened


@pytest.fixture
def small(path: Path) -> Path:
    """Ten calls of one tap and one of another, complete."""
    with CaptureWriter(path) as opened:
        for call in range(10):
            array = np.full((2, 3), call, np.float32)
            opened.append(record_of(array, call, phase="generate", step=call), array)
        last = np.arange(5, dtype=np.int64)
        opened.append(record_of(last, 10, "net.head", call=0), last)
    return path
