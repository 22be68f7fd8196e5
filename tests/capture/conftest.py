"""A recorded run, whichever way it was recorded."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import parity
from parity.backends import MemorySink
from parity.capture import Options, Recorder, record_into
from parity.tensors import NoiseDraw, TapRecord


@dataclass
class Run:
    """What a recording took.

    Attributes:
        arrays: by the text of their keys (`a.b:output#0`).
        records: the same, without data; empty for what was recorded in memory.
        draws: the noise tape.
        recorder: the recorder, after the run.
    """

    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    records: dict[str, TapRecord] = field(default_factory=dict)
    draws: list[NoiseDraw] = field(default_factory=list)
    recorder: Recorder | None = None

    def __getitem__(self, key: str) -> np.ndarray:
        return self.arrays[key]

    def producers(self, key: str) -> list[str]:
        """Keys of the records that fed this one."""
        by_order = {record.order: name for name, record in self.records.items()}
        return [by_order[order] for order in self.records[key].producers]


Recording = Callable[..., AbstractContextManager[Run]]


@pytest.fixture
def recording(tmp_path: Path) -> Recording:
    """`with recording(model, operations=True) as run: ...` through a capture file."""

    @contextmanager
    def recorded(
        modules: nn.Module | Mapping[str, nn.Module] | None = None, **options: Any
    ) -> Iterator[Run]:
        run = Run()
        path = tmp_path / "run.h5"
        with parity.record(path, modules, **{"params": False, **options}) as run.recorder:
            yield run
        with parity.open(path) as capture:
            for record in capture.records:
                run.records[str(record.key)] = record
                if record.tier == "tensor":
                    run.arrays[str(record.key)] = capture.read(record)
            run.draws = list(capture.noise)

    return recorded


@pytest.fixture
def recording_in_memory() -> Recording:
    """The same through a sink in memory, which takes the long way for every call."""

    @contextmanager
    def recorded(
        modules: nn.Module | Mapping[str, nn.Module] | None = None, **options: Any
    ) -> Iterator[Run]:
        run, sink = Run(), MemorySink(options.get("plan"))
        with record_into(sink, modules, Options(**{"params": False, **options})) as run.recorder:
            yield run
        run.arrays = {str(record.key): record.array for record in sink.records}
        run.draws = sink.draws

    return recorded


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    """No test may leave a trace of its recording in torch or threading."""
    import threading

    before = (torch.randn, torch.Tensor.normal_, nn.init.trunc_normal_, threading.Thread.start)
    yield
    after = (torch.randn, torch.Tensor.normal_, nn.init.trunc_normal_, threading.Thread.start)
    assert all(one is other for one, other in zip(before, after, strict=True))
    assert "normal_" not in vars(torch.Tensor)
    assert not torch.overrides._is_torch_function_mode_enabled()
