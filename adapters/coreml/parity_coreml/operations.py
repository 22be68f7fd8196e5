"""Which MIL operations the torch frontend can write, and which of them the evaluator computes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from parity_coreml.mil import HANDLERS
from parity_coreml.mil.evaluator import SPECIAL
from parity_coreml.quiet import coremltools

__all__ = ["Known", "Operation", "operations", "operations_to_text"]

# Named in the frontend's source, but no arithmetic: constants, and weights that are unpacked.
_NOT_COUNTED = ("const", "constexpr_", "list_", "make_list")


class Known(StrEnum):
    """How an operation is evaluated."""

    HANDLED = "handled"
    INFERRED = "by value inference"
    UNSUPPORTED = "unsupported"


@dataclass(frozen=True, slots=True)
class Operation:
    """One MIL operation and how it is evaluated."""

    kind: str
    known: Known


def operations() -> tuple[Operation, ...]:
    """Every operation that coremltools' torch frontend names in its source, by name.

    Lists, which torch models are traced without, and constants are left out.
    """
    named = _named_in_source(Path(coremltools().__file__).parent)
    classes = _classes()
    kinds = sorted(kind for kind in named & set(classes) if not kind.startswith(_NOT_COUNTED))
    return tuple(Operation(kind, _known(kind, classes[kind])) for kind in kinds)


def operations_to_text() -> str:
    """The table, and the sums."""
    found = operations()
    width = max(len(each.kind) for each in found)
    lines = [f"{each.kind:<{width}}  {each.known}" for each in found]
    counts = {known: sum(each.known is known for each in found) for known in Known}
    sums = ", ".join(f"{count} {known}" for known, count in counts.items())
    return "\n".join([*lines, "", f"{len(found)} operations: {sums}"]) + "\n"


def _named_in_source(package: Path) -> set[str]:
    frontend = package / "converters" / "mil" / "frontend"
    files = [*(frontend / "torch").rglob("*.py"), frontend / "_utils.py"]
    text = "\n".join(path.read_text(encoding="utf-8") for path in files if "test" not in path.parts)
    # A reduction is chosen by its name, as text.
    return set(re.findall(r"\bmb\.([a-z_0-9]+)", text)) | set(
        re.findall(r'"(reduce_[a-z_0-9]+)"', text)
    )


def _classes() -> dict[str, Any]:
    from coremltools.converters.mil.mil.ops.registry import SSAOpRegistry  # noqa: PLC0415

    core = {
        kind: next(reversed(versions.values())) for kind, versions in SSAOpRegistry.core_ops.items()
    }
    update = SSAOpRegistry.dialect_ops["coreml_update_state"]
    return {**core, "coreml_update_state": update}


def _known(kind: str, implementation: Any) -> Known:
    from coremltools.converters.mil.mil import Operation as Base  # noqa: PLC0415

    if kind in HANDLERS or kind in SPECIAL:
        return Known.HANDLED
    folds = implementation.value_inference is not Base.value_inference
    return Known.INFERRED if folds else Known.UNSUPPORTED
