"""Records a run into a capture file."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from parity.capture.environment import environment
from parity.capture.options import Options
from parity.capture.recorder import Recorder
from parity.capture.recording import record_into
from parity.capture.sink import Facts, StoreSink
from parity.store import CaptureMeta, CaptureWriter, open_capture
from parity.tensors import Case, NoiseDraw, TapPlan

if TYPE_CHECKING:
    from torch import nn

__all__ = ["record"]


@contextmanager
def record(
    path: str | os.PathLike[str],
    modules: nn.Module | Mapping[str, nn.Module] | None = None,
    *,
    plan: TapPlan | None = None,
    functions: Sequence[str] = (),
    operations: bool | Sequence[str] = False,
    phases: Mapping[str, str] | None = None,
    steps: Mapping[str, str] | None = None,
    noise: bool | str | os.PathLike[str] | Sequence[NoiseDraw] = True,
    inputs: bool = True,
    states: bool = False,
    params: bool = True,
    producers: bool = True,
    classes: Sequence[str] = ("*",),
    depth: int | None = None,
    leaves: bool = False,
    facts: Facts | None = None,
    case: Case | None = None,
) -> Iterator[Recorder]:
    """Record what runs inside the `with` block into a capture file.

    The run computes the same bits as without recording. An exception inside the block ends the
    recording, leaves the file marked as incomplete, and goes on.

    Args:
        path: the file to write; one that exists is replaced.
        modules: a model, or models by the name their paths begin with (`{"mimi": tts.mimi}`);
            none for a program that calls `parity.tap` itself.
        plan: which paths, roles, phases, calls and steps, and how much of each tensor.
        functions: further callables to record, each a dotted path: a method under a root
            (`mimi.decode_from_latent`) or an import path (`my_port.rope.apply_rope`).
        operations: functional operations to record: globs over their names (`gelu`, `*add*`),
            True for all that compute, False for none.
        phases: the function during which each phase holds, by phase name.
        steps: the tap whose entry begins the next step, by phase name.
        noise: True records every random draw of torch; draws given here, or those of a capture
            file given here, are replayed; False does neither.
        inputs: whether arguments of modules and functions are recorded.
        states: whether states passed as arguments (caches, histories) are recorded.
        params: whether digests and statistics of parameters and buffers are recorded.
        producers: whether records say which records fed them.
        classes: globs over class names of modules, of which one must match.
        depth: deepest level of modules below their root, which has depth 0; None for all.
        leaves: only modules without modules inside.
        facts: what the capture should say about the run (`implementation`, `weights_digest`).
        case: the case that is run.

    Yields:
        The recorder; its `skipped` says what could not be recorded.

    Raises:
        ConfigError: an option names something that does not exist.
        InputError: another recording is on.
        NoiseTapeError: the run does not draw what the replayed noise holds.
        CaptureFileError: the file cannot be written.
    """
    if isinstance(noise, str | os.PathLike):
        with open_capture(noise) as capture:
            noise = capture.noise
    options = Options(
        plan=plan or TapPlan(),
        functions=functions,
        operations=operations,
        phases=phases or {},
        steps=steps or {},
        noise=noise,
        inputs=inputs,
        states=states,
        params=params,
        producers=producers,
        classes=classes,
        depth=depth,
        leaves=leaves,
    )
    with CaptureWriter(path, meta=CaptureMeta(started=_now())) as writer:
        sink = StoreSink(writer, options.plan)
        surroundings = environment()
        writer.set_environment(surroundings)
        sink.describe(_facts(surroundings, case) | dict(facts or {}))
        if case is not None:
            writer.set_case(case)
        try:
            with record_into(sink, modules, options) as recorder:
                yield recorder
        finally:
            sink.flush()
        writer.set_environment({**surroundings, "skipped": recorder.skipped})
        sink.describe({"ended": _now()})


def _facts(surroundings: Facts, case: Case | None) -> dict[str, str | int | float | bool]:
    facts = {name: value for name, value in surroundings.items() if name.startswith("package.")}
    facts["hardware"] = surroundings["cpu"]
    if "torch" in sys.modules:
        facts |= {"framework": "torch", "threads": surroundings["torch.threads"]}
    if case is not None:
        facts |= {"case_name": case.name, "case_digest": case.digest()}
    return facts


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
