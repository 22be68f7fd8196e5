"""What a recording records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from parity.tensors import NoiseDraw, TapPlan

__all__ = ["Options"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a recording records; `parity.record` takes each as a keyword.

    Attributes:
        plan: which paths, roles, phases, calls and steps, and how much of each tensor.
        functions: further callables to record, each a dotted path: a method under a root
            (`mimi.decode_from_latent`) or an import path (`my_port.rope.apply_rope`).
        operations: functional operations to record: globs over their names (`gelu`, `*add*`), True
            for all that compute, False for none. They cost a few microseconds each.
        phases: the function during which each phase holds, by phase name.
        steps: the tap whose entry begins the next step, by phase name.
        noise: True records every random draw of torch; draws given here are replayed instead,
            and recorded; False leaves randomness alone.
        inputs: whether arguments of modules and functions are recorded.
        states: whether states passed as arguments (caches, histories) are recorded, after the
            call of the module that owns them. They can be large.
        params: whether digests and statistics of the parameters and buffers are recorded.
        producers: whether records say which records fed them.
        classes: globs over class names of modules, of which one must match.
        depth: deepest level of modules below their root, which has depth 0; None for all.
        leaves: only modules without modules inside.
    """

    plan: TapPlan = field(default_factory=TapPlan)
    functions: Sequence[str] = ()
    operations: bool | Sequence[str] = False
    phases: Mapping[str, str] = field(default_factory=dict)
    steps: Mapping[str, str] = field(default_factory=dict)
    noise: bool | Sequence[NoiseDraw] = True
    inputs: bool = True
    states: bool = False
    params: bool = True
    producers: bool = True
    classes: Sequence[str] = ("*",)
    depth: int | None = None
    leaves: bool = False
