"""Runs a module as the reference and a function as its port, and diagnoses what differs."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from parity.align import align
from parity.capture.isolated import capture_here
from parity.diagnose.engine import Engine
from parity.diagnose.ground import Ground
from parity.diagnose.judge import Explained
from parity.diffing.compare import _source
from parity.diffing.rows import plan_rows
from parity.diffing.selection import choose
from parity.localize.candidate import Candidate
from parity.localize.tape import Graph, Tape
from parity.localize.tracer import trace_into
from parity.tensors import Case, TapPlan
from parity_torch.backend import TorchBackend

Function = Callable[..., torch.Tensor]


class _Program:
    def __init__(
        self, modules: Mapping[str, nn.Module], function: Function, inputs: Sequence[Any]
    ) -> None:
        self.modules = modules
        self._function = function
        self._inputs = inputs

    def run(self, case: Case) -> Mapping[str, torch.Tensor]:
        return {"output": self._function(*(_copied(one) for one in self._inputs))}


def _copied(value: Any) -> Any:
    return value.clone() if isinstance(value, torch.Tensor) else value


@pytest.fixture
def diagnose(tmp_path: Path) -> Callable[..., Engine]:
    """The engine after peeling. The port's taps are its output and what it taps itself."""

    def run(reference: nn.Module, port: Function, inputs: Sequence[Any]) -> Engine:
        ours = TorchBackend(program=_Program({"model": reference}, reference, inputs))
        theirs = TorchBackend(program=_Program({}, port, inputs))
        case, paths = Case(name="unit", seed=1), (tmp_path / "r.h5", tmp_path / "c.h5")
        capture_here(ours, case, TapPlan(), paths[0])
        capture_here(theirs, case, TapPlan(), paths[1])
        graph = Graph()
        ours.rerun(case, lambda modules, options: trace_into(graph, modules, options))
        sources = _source(paths[0], "reference"), _source(paths[1], "candidate")
        chosen, _ = choose(*sources, None)
        records = [[s.records[i] for i in c] for s, c in zip(sources, chosen, strict=True)]
        rows = plan_rows(*sources, chosen, align(*records))
        engine = Engine(Ground(Tape.of(graph), Candidate(rows, sources[1])))
        engine.peel()
        return engine

    return run


@pytest.fixture
def explain(diagnose: Callable[..., Engine]) -> Callable[..., list[Explained]]:
    """What the engine found to explain the differences of a port; nothing must be left over."""

    def run(reference: nn.Module, port: Function, inputs: Sequence[Any]) -> list[Explained]:
        engine = diagnose(reference, port, inputs)
        assert not engine.failed, [
            (path, origin.segment.error, nearest and [c.group.first.name for c in nearest.chosen])
            for path, (origin, nearest) in engine.failed.items()
        ]
        return engine.explained

    return run
