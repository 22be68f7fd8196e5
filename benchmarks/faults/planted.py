"""What a subject of the bench consists of: a reference, a port, the port's faults.

The truth that stands here is for scoring alone: it reaches neither the port's capture nor the
engine, which sees the reference and tensors.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import torch

from parity.tensors import Case

__all__ = ["Fault", "Pair", "Runnable", "held_out"]


class Runnable(Protocol):
    """What the torch backend runs: see `parity_torch.program.Program`; only `run` is required."""

    def run(self, case: Case) -> Mapping[str, torch.Tensor]:
        """Run `case` from a fresh state and return its outputs by name."""
        ...


@dataclass(frozen=True, slots=True)
class Fault:
    """One switch in a port's source.

    Attributes:
        name: the switch.
        kind: what the candidate does, and what the reference does, in one line.
        sites: globs over tap paths, of which one must match the finding's site, when every
            module is tapped. The site is the tap where the error enters, or the module inside
            which the differing operation runs.
        causes: what the finding may be called, `family.parameter`, the best name first.
        value: the candidate's numeric parameter where it can be solved for, else None.
        origin: who planted it: `list` for somebody who knew nothing but faults.md and the names
            of families, `engine` for somebody who knew the engine's code, `held out` for somebody
            who did not, after the engine was made.
    """

    name: str
    kind: str
    sites: tuple[str, ...]
    causes: tuple[str, ...]
    value: float | None = None
    origin: str = "list"


def held_out(
    name: str,
    kind: str,
    sites: tuple[str, ...],
    causes: tuple[str, ...],
    value: float | None = None,
) -> Fault:
    """A fault that the engine had not seen when it was tried first."""
    return Fault(name, kind, sites, causes, value, origin="held out")


@dataclass(frozen=True, slots=True)
class Pair:
    """A reference and an independent port of it.

    Attributes:
        name: of the subject.
        reference: makes the reference, from modules of torch, float32.
        port: `port(faults, precision, variant)` makes the port: with the named switches on, in
            `float32`, `float16` or `bfloat16`, as one of `variants`.
        cases: what is run.
        output: the tap that is the model's output.
        blocks: globs over the taps that a port dumps which dumps block outputs only.
        faults: the switches.
        variants: clean ways to compute the same, none of which may be found at fault, beside
            the plain one, whose name is the empty string.
        conflicts: pairs of faults that cannot be on at once.
    """

    name: str
    reference: Callable[[], Runnable]
    port: Callable[[frozenset[str], str, str], Runnable]
    cases: Sequence[Case]
    output: str
    blocks: tuple[str, ...]
    faults: tuple[Fault, ...]
    variants: tuple[str, ...] = ()
    conflicts: frozenset[frozenset[str]] = field(default_factory=frozenset)
