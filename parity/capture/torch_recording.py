"""Makes a torch program report to a recorder."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack, nullcontext

from torch import nn

from parity.capture.calls import CallRecorder
from parity.capture.functions import record_functions, wrap_phases
from parity.capture.inventory import module_inventory
from parity.capture.lineage import Lineage
from parity.capture.modules import Interception
from parity.capture.noise import record_noise
from parity.capture.operations import Operations
from parity.capture.options import Options
from parity.capture.parameters import record_parameters
from parity.capture.patching import Patches
from parity.capture.recorder import Recorder
from parity.capture.selection import ModuleSelection, named_roots
from parity.capture.threads import follow_threads
from parity.errors import ConfigError

__all__ = ["install"]


def install(
    recorder: Recorder,
    modules: nn.Module | Mapping[str, nn.Module],
    options: Options,
    stack: ExitStack,
) -> None:
    """Install what `options` ask for; `stack` takes it off again, in reverse order."""
    roots = named_roots(modules)
    if roots:
        recorder.sink.describe({"modules": module_inventory(roots)})
    if options.producers:
        recorder.lineage = Lineage()
        stack.callback(recorder.lineage.close)
    operations = Operations(recorder, options.operations) if options.operations else None
    within = operations.within if operations else nullcontext
    if options.params:
        record_parameters(recorder, roots)
    patches = Patches()
    stack.callback(patches.remove)
    record_noise(recorder, options.noise, patches, stack)
    _install_sites(recorder, roots, options, patches, stack, every=operations is not None)
    wrap_phases(options.phases, recorder, patches, roots)
    follow_threads(recorder, patches, within)
    stack.enter_context(within())


def _install_sites(
    recorder: Recorder,
    roots: Mapping[str, nn.Module],
    options: Options,
    patches: Patches,
    stack: ExitStack,
    *,
    every: bool,
) -> None:
    calls = CallRecorder(recorder, states=options.states)
    steps: dict[str, set[str]] = {}
    for phase, path in options.steps.items():
        steps.setdefault(path, set()).add(phase)
    interception = Interception(calls)
    stack.callback(interception.remove)
    selection = ModuleSelection(tuple(options.classes), options.depth, options.leaves)
    plan, inputs = options.plan, options.inputs
    interception.install(roots, plan, selection, inputs=inputs, every=every, steps=steps)
    functions = record_functions(
        options.functions, calls, patches, roots, plan, inputs=inputs, steps=steps
    )
    unknown = steps.keys() - interception.sites.keys() - functions.keys()
    if unknown:
        raise ConfigError(
            f"no recorded module or function is called {min(unknown)!r}",
            where="steps",
            hint="name a module by its path, or a function that `functions` lists",
        )
