"""A reference that can be run again, and what the candidate has for each of its tensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import cached_property, partial
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from typing import Any, Protocol, runtime_checkable
from weakref import finalize

import torch
from torch import nn

from parity.align import LayoutRule, Mode, Rename, align
from parity.backends import Backend
from parity.capture import Options, Recorder, record
from parity.diffing.rows import plan_rows
from parity.diffing.selection import choose
from parity.diffing.source import ArraySource, CaptureSource, TensorSource, turned_axes
from parity.errors import BackendError, InputError
from parity.localize.candidate import Candidate
from parity.localize.tape import Graph, Tap, Tape
from parity.localize.tracer import Intervention, Tracer, trace_into
from parity.store import Capture, open_capture
from parity.tensors import Case, Role, TapPlan, TapRecord, TensorSpec

__all__ = ["Reference", "Rerunnable", "match", "match_again"]

Side = str | Path | Capture | Mapping[str, Any]
Recording = Callable[[Mapping[str, nn.Module], Options], AbstractContextManager[Recorder]]


@runtime_checkable
class Rerunnable(Protocol):
    """A backend whose runs can be listened to operation by operation: `torch` is one."""

    def rerun(self, case: Case, recording: Recording, plan: TapPlan | None = None) -> Recorder:
        """Run `case` while `recording` of the modules is on."""
        ...


class Reference:
    """The trusted implementation on one case, ready to be run again under other assumptions.

    Args:
        rerun: runs it once while a recording, which it is given, is on.
        capture: the file that holds what this run recorded; made when it is first needed if
            there is none yet.
    """

    def __init__(
        self,
        rerun: Callable[[Recording], object],
        *,
        capture: str | Path | None = None,
    ) -> None:
        self._rerun = rerun
        self._capture = Path(capture) if capture is not None else None

    @classmethod
    def of_backend(
        cls, backend: Backend, case: Case, *, capture: str | Path | None = None
    ) -> Reference:
        """The reference that a backend runs, on a case; the noise is the capture's if it has any.

        Raises:
            BackendError: this backend cannot be run again operation by operation.
        """
        if not isinstance(backend, Rerunnable):
            raise BackendError(
                f"the backend {backend.name!r} only dumps tensors, and a diagnosis runs the "
                "reference again",
                hint="name a torch program as the reference",
            )
        if capture is not None and case.noise is None:
            with open_capture(capture) as file:
                case = case.with_noise(file.noise)
        return cls(partial(backend.rerun, case), capture=capture)

    @classmethod
    def of_module(
        cls,
        module: nn.Module | Mapping[str, nn.Module],
        *args: Any,
        run: Callable[[], object] | None = None,
        capture: str | Path | None = None,
        functions: Sequence[str] = (),
        phases: Mapping[str, str] | None = None,
        steps: Mapping[str, str] | None = None,
        seed: int = 0,
        **kwargs: Any,
    ) -> Reference:
        """The reference that is a module, called with `args` and `kwargs`, or driven by `run`.

        Args:
            module: the model, or several by name, as `parity.record` takes them.
            *args: of its call.
            run: what to do instead of that call.
            capture: a capture of the same run, if there is one.
            functions: further callables to record, as in `parity.record`.
            phases: the function during which each phase holds.
            steps: the tap whose entry begins the next step.
            seed: of torch's generators, set before each run.
            **kwargs: of the module's call.
        """
        if run is None and isinstance(module, Mapping):
            raise InputError("several modules need a function that runs them", hint="pass run=...")

        def call() -> object:
            if run is not None:
                return run()
            assert isinstance(module, nn.Module)  # noqa: S101 - checked above
            return module(*args, **kwargs)

        modules = {"": module} if isinstance(module, nn.Module) else dict(module)
        options = Options(functions=functions, phases=phases or {}, steps=steps or {})

        def rerun(recording: Recording) -> None:
            with torch.random.fork_rng(), torch.no_grad():
                torch.manual_seed(seed)
                with recording(modules, options):
                    call()

        return cls(rerun, capture=capture)

    @cached_property
    def tape(self) -> Tape:
        """The operations of one run."""
        return self.trace()

    def trace(self, intervention: Intervention | None = None) -> Tape:
        """The operations of a run in which `intervention` puts others in the place of some.

        Raises:
            Exception: whatever the program raises when what was put in does not fit.
        """
        graph = Graph()
        self._rerun(partial(_traced, graph, intervention))
        return Tape.of(graph)

    @cached_property
    def capture(self) -> Capture:
        """What a run records; by one more run if no file was given."""
        if self._capture is None:
            folder = Path(mkdtemp(prefix="parity-"))
            finalize(self, rmtree, folder, ignore_errors=True)
            path = self._capture = folder / "reference.h5"

            def recorded(modules: Any, options: Options) -> AbstractContextManager[Recorder]:
                return record(
                    path,
                    modules,
                    functions=options.functions,
                    phases=options.phases,
                    steps=options.steps,
                    noise=options.noise,
                )

            self._rerun(recorded)
        return open_capture(self._capture)


def _traced(
    graph: Graph,
    intervention: Intervention | None,
    modules: Mapping[str, nn.Module],
    options: Options,
) -> AbstractContextManager[Tracer]:
    return trace_into(graph, modules, options, intervention)


def match(
    reference: Reference,
    candidate: Side,
    *,
    renames: Sequence[str] = (),
    layouts: Mapping[str, tuple[int, ...]] | None = None,
    mode: Mode = "exact",
    plan: TapPlan | None = None,
) -> tuple[Candidate, tuple[str, ...]]:
    """What a candidate has for each tensor of the reference.

    Args:
        reference: the reference.
        candidate: a capture file, an open capture, or tensors by name.
        renames: ordered rules `candidate -> reference` over tap paths.
        layouts: axis order by glob over tap paths.
        mode: `exact` matches by name, `auto` by order, shape and content.
        plan: which tensors take part; all by default.

    Returns:
        The candidate's tensors, and what alignment has to say, a sentence each.

    Raises:
        AlignmentError: the taps cannot be brought together without guessing.
        CaptureFileError: a file cannot be read.
    """
    ours = CaptureSource(reference.capture, "reference")
    theirs = _source(candidate)
    chosen, left_out = choose(ours, theirs, plan)
    alignment = align(
        [ours.records[i] for i in chosen[0]],
        [theirs.records[i] for i in chosen[1]],
        renames=[Rename.parse(text) for text in renames],
        layouts=[LayoutRule(pattern, tuple(axes)) for pattern, axes in (layouts or {}).items()],
        mode=mode,
        read_reference=lambda record: ours.view(ours.capture.position(record)),
        read_candidate=_reader(theirs),
        turned=turned_axes(theirs),
        # Of hundreds of taps a few that nobody can tell apart need not keep from looking.
        leave_unclear=True,
    )
    rows = plan_rows(ours, theirs, chosen, alignment)
    return Candidate(rows, theirs), (*alignment.notes, *left_out, *theirs.notes)


def match_again(
    tape: Tape, candidate: Candidate, *, shifts: Mapping[str, int] | None = None
) -> Candidate:
    """What a candidate has for each tensor of another run of the reference, by the same names.

    Args:
        tape: that run.
        candidate: what it has for an earlier one.
        shifts: by phase, how many calls the candidate makes before the one that is the
            reference's first there.
    """
    renames = {
        row.candidate.key.path: row.reference.key.path
        for rows in candidate.rows.values()
        for row in rows
        if row.candidate is not None and row.reference is not None
    }
    theirs = candidate.source
    wanted = [
        place
        for place, record in enumerate(theirs.records)
        if record.key.role not in (Role.PARAM, Role.STATE)
    ]
    roles = {theirs.records[place].key.role for place in wanted}
    named = [_shifted(theirs.records[place], shifts or {}) for place in wanted]
    records = [
        TapRecord(tap.key, _spec(tape, tap), order, step=tap.step)
        for order, tap in enumerate(tape.taps)
        if tap.key.role in roles
    ]
    ours = _Names("reference", records)
    changed = [f"{theirs} -> {ours}" for theirs, ours in renames.items() if theirs != ours]
    alignment = align(
        records,
        named,
        renames=[Rename.parse(text) for text in changed],
    )
    return Candidate(plan_rows(ours, theirs, (range(len(records)), wanted), alignment), theirs)


def _shifted(record: TapRecord, shifts: Mapping[str, int]) -> TapRecord:
    """A record under the number of the reference's call; earlier ones get a phase of their own."""
    key = record.key
    by = shifts.get(key.phase, 0)
    if not by:
        return record
    if key.call < by:
        return record._replace(key=key._replace(phase=f"{key.phase} (before)"))
    return record._replace(key=key._replace(call=key.call - by))


def _spec(tape: Tape, tap: Tap) -> TensorSpec:
    value = tape.values[tap.value]
    return TensorSpec(str(value.dtype).removeprefix("torch."), value.shape)


class _Names:
    """A side of an alignment of which only the records are there."""

    def __init__(self, label: str, records: Sequence[TapRecord]) -> None:
        self.label = label
        self.records = records
        self.facts: Mapping[str, Any] = {}
        self.notes: Sequence[str] = ()

    def view(self, position: int) -> Any:
        """There are no tensors."""
        raise IndexError(position)

    def slab(self) -> None:
        """There are no bytes."""

    def release(self) -> None:
        """There is nothing to let go of."""


def _reader(source: TensorSource) -> Callable[[Any], Any]:
    positions = {record.order: place for place, record in enumerate(source.records)}
    return lambda record: source.view(positions[record.order])


def _source(candidate: Side) -> TensorSource:
    if isinstance(candidate, Mapping):
        return ArraySource(candidate, "candidate")
    if isinstance(candidate, Capture):
        return CaptureSource(candidate, "candidate")
    return CaptureSource(open_capture(candidate), str(candidate))
