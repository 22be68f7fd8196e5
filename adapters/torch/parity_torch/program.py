"""What the backend `torch` runs: a program, or a plain module made into one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

import torch

from parity.tensors import Case

__all__ = ["Program"]


@runtime_checkable
class Program(Protocol):
    """A PyTorch implementation of a model, reference or candidate, ready to run cases.

    A factory named by the option `program` is called with the remaining options and returns one.
    `run` alone is required; the attributes default to nothing.

    Attributes:
        name: of the implementation, as reports print it.
        modules: the modules whose calls are recorded, by the name their taps begin with; the
            empty name stands for taps without a prefix.
        functions: further callables to record, each a dotted path: below a name of `modules`
            (`mimi.decode_from_latent`) or importable (`my_port.rope.apply_rope`).
        phases: the function during which each phase holds, by phase name.
        steps: the tap whose entry begins the next step, by phase name.
        facts: what the capture should say about the run (`framework_version`, `precision`).
    """

    name: str
    modules: Mapping[str, torch.nn.Module]
    functions: Sequence[str]
    phases: Mapping[str, str]
    steps: Mapping[str, str]
    facts: Mapping[str, str | int | float | bool]

    def run(self, case: Case) -> Mapping[str, torch.Tensor]:
        """Run `case` once, from a fresh state, and return its outputs by name, of any shape.

        It is called with `case.seed` set in torch's generators and without gradients. It may call
        `parity.tap`, `parity.phase` and `parity.next_step`. It takes `case.noise` itself where
        it draws nothing from torch; draws made through torch are replayed for it.
        """
        ...
