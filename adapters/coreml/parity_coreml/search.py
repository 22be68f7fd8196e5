"""Which operations of a float16 program have to stay in float32.

The float32 program is evaluated with some of its operations rounded to float16, as a selector of
the converter would have them. Rounding one alone says what it costs; the dearest are kept in
float32 until the output is as near as it should be, and then each is tried without the others'
company: what is not needed is given back. So the set that is found has no member too many; that no
other set is smaller is not proven.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from parity.errors import ConfigError
from parity_coreml.convert import convert_exported
from parity_coreml.errors_of import relative_error
from parity_coreml.exported import Exported, export
from parity_coreml.mil import Evaluator, Mixed
from parity_coreml.package import open_package
from parity_coreml.sidecar import Sidecar

__all__ = ["Kept", "Search", "search", "search_to_dict", "search_to_text"]

# Not computed in half precision by the converter either.
_APART = frozenset({"const", "cast", "shape", "read_state", "coreml_update_state"})


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
        converted: error of the package converted with the selector, as evaluated; None if none was.
    """

    target: float
    operations: int
    before: float
    after: float
    kept: tuple[Kept, ...]
    evaluations: int
    converted: float | None = None

    @property
    def met(self) -> bool:
        """Whether the target is met, by the package too if one was converted; NaN meets nothing."""
        reached = self.after if self.converted is None else self.converted
        return self.after <= self.target and reached <= self.target

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
) -> Search:
    """Find a smallest set of operations to keep in float32.

    Args:
        module: to be converted.
        args: example inputs, on which the error is measured.
        target: largest relative error of any output against the float32 program.
        package: convert with the selector into this `.mlpackage`, and measure that too.

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
        found = _search(trial, sidecar, target)
    if package is None:
        return found
    return _converted(found, trial, exported, Path(package))


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
        initial = exported.initial_state()
        self.state = {name: initial[each].half().float() for name, each in sidecar.states.items()}
        self.names = [
            operation.name for operation in evaluator.operations if operation.op_type not in _APART
        ]
        self.values = {each.name: each.outputs[0].name for each in evaluator.operations}
        self.evaluations = 0
        exact = evaluator.run(self._inputs, dict(self.state))
        self._exact = [exact.values[name] for name in exact.outputs]

    def error(self, kept: Collection[str]) -> float:
        """The worst output's error with `kept` in float32 and the others in float16."""
        self.evaluations += 1
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
    kept = [] if before <= target else _least_prefix(trial, order, target)
    kept = _without_the_needless(trial, kept, target)
    after = trial.error(kept)
    where = _places(sidecar)
    found = tuple(
        Kept(
            name,
            *where.get(trial.values[name], ("", "", "")),
            alone[name],
            trial.error([other for other in kept if other != name]),
        )
        for name in kept
    )
    return Search(target, len(trial.names), before, after, found, trial.evaluations)


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


def _converted(found: Search, trial: _Trial, exported: Exported, package: Path) -> Search:
    kept = {each.name for each in found.kept}
    sidecar = convert_exported(
        exported, package, precision="float16", selector=lambda each: each.name not in kept
    )
    error = trial.of_package(package, sidecar.inputs)
    fields: Mapping[str, Any] = {name: getattr(found, name) for name in found.__slots__}
    return Search(**{**fields, "converted": error})


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
    lines += ["", "  compute_precision=" + found.selector]
    lines.append(f"  ({found.evaluations} evaluations)")
    return "\n".join(lines) + "\n"


def search_to_dict(found: Search) -> dict[str, Any]:
    """The same as JSON values; numbers that JSON has not are null."""
    names = ("name", "kind", "module", "source", "alone", "without")
    kept = [{name: _plain(getattr(each, name)) for name in names} for each in found.kept]
    numbers = ("target", "operations", "before", "after", "evaluations", "converted")
    said = {name: _plain(getattr(found, name)) for name in numbers}
    return {"met": found.met, **said, "kept": kept, "selector": found.selector}


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
