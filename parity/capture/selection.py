"""Which modules of a model are recorded, and under which names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

from torch import nn

from parity.errors import ConfigError

__all__ = ["ROOT", "ModuleSelection", "named_roots", "walk"]

ROOT = "(root)"  # path of a model that was given without a name; its parts keep their own names


@dataclass(frozen=True, slots=True)
class ModuleSelection:
    """Which modules to record, beyond what the plan says about paths.

    Attributes:
        classes: globs over class names, of which one must match (`Linear`, `*Norm`).
        depth: deepest level below its root, which has depth 0; None for all.
        leaves: only modules without modules inside.
    """

    classes: tuple[str, ...] = ("*",)
    depth: int | None = None
    leaves: bool = False

    def wants(self, module: nn.Module, depth: int) -> bool:
        """Whether `module`, at `depth` below its root, is recorded."""
        if self.depth is not None and depth > self.depth:
            return False
        if self.leaves and next(module.children(), None) is not None:
            return False
        return any(fnmatchcase(type(module).__name__, pattern) for pattern in self.classes)


def named_roots(modules: nn.Module | Mapping[str, nn.Module]) -> dict[str, nn.Module]:
    """The roots by name; one model without a name has the empty name.

    Raises:
        ConfigError: something else than modules was given.
    """
    roots = {"": modules} if isinstance(modules, nn.Module) else dict(modules)
    for name, module in roots.items():
        if not isinstance(module, nn.Module):
            raise ConfigError(
                f"{name!r} is a {type(module).__name__}, not a torch.nn.Module",
                where="modules",
                hint='pass a model, or a mapping from names to models: {"flow_lm": model.flow_lm}',
            )
    return roots


def walk(roots: Mapping[str, nn.Module]) -> Iterator[tuple[str, nn.Module, int]]:
    """Every module once, under its first name, with its path and its depth below its root."""
    seen: set[nn.Module] = set()
    for root, model in roots.items():
        for name, module in model.named_modules(memo=seen):
            path = ".".join(part for part in (root, name) if part) or ROOT
            yield path, module, name.count(".") + 1 if name else 0
