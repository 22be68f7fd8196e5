"""Which modules a model has, run or not, so that a report can say which of them were compared."""

from __future__ import annotations

import json
from collections.abc import Mapping

from torch import nn

from parity.capture.selection import walk

__all__ = ["module_inventory"]


def module_inventory(roots: Mapping[str, nn.Module]) -> str:
    """The fact `modules` of a run: JSON, the number of parameter elements by module path.

    Listed is what can be called. Parameters of what cannot (`ParameterList`), and of the parts
    that `MultiheadAttention` uses without calling them, count for the module around it.

    Args:
        roots: models by the name that their paths begin with.
    """
    found: dict[str, int] = {}
    used_by_another: set[nn.Module] = set()
    seen: set[int] = set()
    for path, module, _ in walk(roots):
        if isinstance(module, nn.MultiheadAttention):
            used_by_another.update(module.children())
        own = _own_elements(module, seen)
        if _can_be_called(module) and module not in used_by_another:
            found[path] = own
        elif own:
            owner = _around(path, found)
            found[owner] = found.get(owner, 0) + own
    return json.dumps(found)


def _can_be_called(module: nn.Module) -> bool:
    # Looked up without asking: the class of a ScriptModule has a descriptor there that needs one.
    return any("forward" in vars(kind) for kind in type(module).__mro__ if kind is not nn.Module)


def _around(path: str, known: Mapping[str, int]) -> str:
    """The nearest known module around `path`; itself where there is none."""
    outer = path
    while outer and outer not in known:
        outer = outer.rpartition(".")[0]
    return outer or next(iter(known), path)


def _own_elements(module: nn.Module, seen: set[int]) -> int:
    """Elements of the module's own parameters; what is shared counts where it comes first."""
    own = [one for one in module.parameters(recurse=False) if id(one) not in seen]
    seen.update(map(id, own))
    return sum(one.numel() for one in own)
