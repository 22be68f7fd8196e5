"""Convention families, one file each.

A family looks at a stretch of the reference (`View`) and proposes what a port might do otherwise
there. It recognises its sites by what operations and values do, never by the name of a model or a
class, and it sees nothing of the candidate but tensors.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module
from pkgutil import iter_modules

from parity.diagnose.hypothesis import Hypothesis
from parity.diagnose.view import View

__all__ = ["families", "propose_all"]

Propose = Callable[[View], Iterator[Hypothesis]]


def families() -> tuple[str, ...]:
    """The modules of this package, each with a function `propose`; a new file is a new family."""
    return tuple(module.name for module in iter_modules(__path__))


def propose_all(view: View) -> Iterator[Hypothesis]:
    """What all families propose for a stretch of the reference."""
    for name in families():
        propose: Propose = import_module(f"{__name__}.{name}").propose
        yield from propose(view)
