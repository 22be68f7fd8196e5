"""Which operations of a float16 program have to stay in float32.

The float32 program is evaluated with some of its operations rounded to float16, as a selector of
the converter would have them. Rounding one alone says what it costs; the dearest are kept in
float32 until the output is as near as it should be, and then each is tried without the others'
company: what is not needed is given back. A second set grows by what saves most beside what is in
it. The smaller one has no member too many. That no other set is smaller is certain where each
member misses the target even if it alone is rounded, and where not, it is not proven.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from parity.errors import ConfigError
from parity_coreml.convert import convert, convert_exported
from parity_coreml.errors_of import relative_error
from parity_coreml.exported import Exported, export
from parity_coreml.mil import Evaluator, Mixed
from parity_coreml.package import open_package
from parity_coreml.sidecar import Sidecar

__all__ = ["Kept", "Search", "search", "search_to_dict", "search_to_text"]

Progress = Callable[[int], None]

# Not computed in half precision by the converter either.
_APART = frozenset({"const", "cast", "shape", "read_state", "coreml_update_state"})


# How often the search for what saves most may evaluate the program: rounds over all operations.
_MOST_ROUNDS, _ALWAYS = 8, 1000


@dataclass(frozen=True, slots=True)
class Kept:
    """An operation to keep in float32.

    Attributes:
        name: in the program, as a selector sees it.
        kind: its type.
        module: the torch module around it.
        source: its line.
        alone: error at the outputs with this operation alone in float16.
        without: error at the outputs if of the set this one were rounded after all.
    """

    name: str
    kind: str
    module: str
    source: str
    alone: float
    without: float


@dataclass(frozen=True, slots=True)
class Search:
    """What the search found.

    Attributes:
        target: largest relative error that is good enough.
        operations: how many there are to choose from.
        before: error of the outputs with everything in float16.
        after: the same with `kept` in float32.
        kept: the set, the dearest first.
        evaluations: how often the program was evaluated.
        needed: how many of `kept` miss the target even if nothing else is rounded.
        converted: error of the package converted with the selector, as evaluated; None if none was.
    """

    target: float
    operations: int
    before: float
    after: float
    kept: tuple[Kept, ...]
    evaluations: int
    needed: int = 0
    converted: float | None = None

    @property
    def met(self) -> bool:
        """Whether the target is met, by the package too if one was converted; NaN meets nothing."""
        reached = self.after if self.converted is None else self.converted
        return self.after <= self.target and reached <= self.target

    @property
    def smallest(self) -> bool:
        """Whether no smaller set can meet the target, since none can do without any member."""
        return self.met and self.needed == len(self.kept)

    @property
    def selector(self) -> str:
        """The selector as Python: `ct.convert(..., compute_precision=...)`."""
        names = ", ".join(repr(each.name) for each in self.kept)
        keep = f"{{{names}}}" if names else "set()"
        return f"ct.transform.FP16ComputePrecision(op_selector=lambda op: op.name not in {keep})"


def search(
    module: nn.Module,
    args: Sequence[torch.Tensor],
    target: float,
    *,
    package: str | Path | None = None,
    progress: Progress | None = None,
) -> Search:
    """Find a smallest set of operations to keep in float32.

    Args:
        module: to be converted.
        args: example inputs, on which the error is measured.
        target: largest relative error of any output against the float32 program.
        package: convert with the selector into this `.mlpackage`, with its sidecar, and measure
            that too.
        progress: called with how often the program has been evaluated.

    Raises:
        ConfigError: the target is no error.
        BackendError: the module cannot be exported, converted or evaluated.
    """
    if not 0 < target < math.inf:
        raise ConfigError(
            f"not an error to aim at: {target}",
            where="target",
            hint="a relative error of the outputs, such as 1e-3",
        )
    exported = export(module, args)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "float32.mlpackage"
        sidecar = convert_exported(exported, path)
        trial = _Trial(open_package(path).evaluator(), sidecar, exported, args)
        trial.progress = progress
        found = _search(trial, sidecar, target)
    if package is None:
        return found
    return _converted(found, trial, module, args, Path(package))


class _Trial:
    """The float32 program, evaluated with some operations rounded."""

    def __init__(
        self,
        evaluator: Evaluator,
        sidecar: Sidecar,
        exported: Exported,
        args: Sequence[torch.Tensor],
    ) -> None:
        self._evaluator = evaluator
        self._inputs = dict(zip(sidecar.inputs, args, strict=True))
        self.state = exported.started(sidecar.states)
        self.names = [
            operation.name for operation in evaluator.operations if operation.op_type not in _APART
        ]
        self.values = {each.name: each.outputs[0].name for each in evaluator.operations}
        self.evaluations = 0
        self.progress: Progress | None = None
        exact = evaluator.run(self._inputs, dict(self.state))
        self._exact = [exact.values[name] for name in exact.outputs]

    def error(self, kept: Collection[str]) -> float:
        """The worst output's error with `kept` in float32 and the others in float16."""
        self.evaluations += 1
        if self.progress is not None:
            self.progress(self.evaluations)
        precision = Mixed(lambda each: each is not None and each.name not in kept
                          and each.op_type not in _APART)  # fmt: skip
        made = self._evaluator.run(self._inputs, dict(self.state), precision=precision)
        return self.against([made.values[name] for name in made.outputs])

    def of_package(self, path: Path, inputs: Sequence[str]) -> float:
        """The worst output's error of a package, as it declares its precision."""
        evaluator = open_package(path).evaluator()
        given = dict(zip(inputs, self._inputs.values(), strict=True))
        made = evaluator.run(given, dict(self.state))
        return self.against([made.values[name] for name in made.outputs])

    def against(self, outputs: Sequence[torch.Tensor]) -> float:
        errors = [relative_error(one, two) for one, two in zip(outputs, self._exact, strict=True)]
        # Nothing is worse than NaN.
        return max((math.inf if math.isnan(error) else error) for error in errors)


def _search(trial: _Trial, sidecar: Sidecar, target: float) -> Search:
    everything = set(trial.names)
    before = trial.error(())
    alone = {name: trial.error(everything - {name}) for name in trial.names}
    order = sorted(trial.names, key=lambda name: -alone[name])
    kept: list[str] = []
    if before > target:
        found = [_least_prefix(trial, order, target), _by_saving(trial, order, alone, target)]
        fewest = [_without_the_needless(trial, each, target) for each in filter(None, found)]
        kept = min(fewest, key=len)
    after = trial.error(kept)
    where = _places(sidecar)
    members = tuple(
        Kept(
            name,
            *where.get(trial.values[name], ("", "", "")),
            alone[name],
            trial.error([other for other in kept if other != name]),
        )
        for name in sorted(kept, key=order.index)
    )
    needed = sum(each.alone > target for each in members)
    return Search(target, len(order), before, after, members, trial.evaluations, needed)


def _by_saving(
    trial: _Trial, order: Sequence[str], alone: Mapping[str, float], target: float
) -> list[str]:
    """What cannot be rounded even alone, and then again and again what saves most beside it.

    Where no operation stands out, the dearest alone are not the ones that save most together.
    Nothing where that takes too long.
    """
    kept = [name for name in order if alone[name] > target]
    limit = trial.evaluations + max(_MOST_ROUNDS * len(order), _ALWAYS)
    while trial.error(kept) > target:
        rest = [name for name in order if name not in kept]
        if not rest or trial.evaluations + len(rest) > limit:
            return []
        errors = {name: trial.error([*kept, name]) for name in rest}
        kept.append(min(rest, key=lambda name: errors[name]))
    return kept


def _least_prefix(trial: _Trial, order: Sequence[str], target: float) -> list[str]:
    """As few of the dearest operations as meet the target, found by halving."""
    low, high = 0, len(order)
    while low < high:
        middle = (low + high) // 2
        if trial.error(order[:middle]) <= target:
            high = middle
        else:
            low = middle + 1
    return list(order[:high])


def _without_the_needless(trial: _Trial, kept: list[str], target: float) -> list[str]:
    """Give back, the cheapest first, what the target is met without."""
    for name in reversed(kept):
        fewer = [other for other in kept if other != name]
        if trial.error(fewer) <= target:
            kept = fewer
    return kept


def _places(sidecar: Sidecar) -> dict[str, tuple[str, str, str]]:
    """By value of the program: type, module and line of the operation."""
    nodes = {node.handle: node for node in sidecar.nodes}
    found = {}
    for handle, names in sidecar.values.items():
        if (node := nodes.get(handle)) is not None:
            module = node.modules[-1] if node.modules else ""
            for name in names:
                found[name] = (sidecar.kinds[name], module, node.source)
    return found


def _converted(
    found: Search, trial: _Trial, module: nn.Module, args: Sequence[torch.Tensor], package: Path
) -> Search:
    kept = {each.name for each in found.kept}
    sidecar = convert(
        module, args, package, precision="float16", selector=lambda each: each.name not in kept
    )
    return replace(found, converted=trial.of_package(package, sidecar.inputs))


def search_to_text(found: Search) -> str:
    """The table and the selector, for a person."""
    mark = "✓" if found.met else "✗"
    lines = [
        f"{mark} {len(found.kept)} of {found.operations} operations in float32: error "
        f"{found.after:.1e} at the outputs, wanted {found.target:.1e}; all in float16: "
        f"{found.before:.1e}",
    ]
    if found.converted is not None:
        lines.append(f"  converted with the selector: {found.converted:.1e}")
    if found.kept:
        lines += ["", f"  {'operation':<40} {'alone':>9} {'without it':>11}  where"]
    for each in found.kept:
        named = f"{each.kind} {each.name}"
        where = ", ".join(filter(None, (each.module, each.source)))
        lines.append(f"  {named:<40} {each.alone:>9.1e} {each.without:>11.1e}  {where}")
    if found.kept and found.met:
        lines += ["", f"  {_how_small(found)}"]
    lines += ["", "  compute_precision=" + found.selector]
    lines.append(f"  ({found.evaluations} evaluations)")
    return "\n".join(lines) + "\n"


def _how_small(found: Search) -> str:
    if found.smallest:
        return "No smaller set will do: each of these misses the target if it alone is rounded."
    return (
        f"None of these can be left out, and {found.needed} of them miss the target even if they "
        "alone are rounded; that no other set is smaller is not proven."
    )


def search_to_dict(found: Search) -> dict[str, Any]:
    """The same as JSON values; numbers that JSON has not are null."""
    names = ("name", "kind", "module", "source", "alone", "without")
    kept = [{name: _plain(getattr(each, name)) for name in names} for each in found.kept]
    numbers = ("target", "operations", "before", "after", "evaluations", "needed", "converted")
    said = {name: _plain(getattr(found, name)) for name in numbers}
    return {
        "met": found.met,
        "smallest": found.smallest,
        **said,
        "kept": kept,
        "selector": found.selector,
    }


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
