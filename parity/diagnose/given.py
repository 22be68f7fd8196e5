"""Which calls a tensor is given to, and as which of their tensors."""

from __future__ import annotations

from weakref import WeakKeyDictionary

from parity.localize.tape import Tape, refs_of

__all__ = ["given_to"]

_known: WeakKeyDictionary[Tape, dict[int, list[tuple[str, int]]]] = WeakKeyDictionary()


def given_to(tape: Tape) -> dict[int, list[tuple[str, int]]]:
    """By value, the paths of the calls that get it and its place among what each of them gets."""
    found = _known.get(tape)
    if found is None:
        found = _known[tape] = {}
        for span in tape.spans:
            for place, value in enumerate(dict.fromkeys(refs_of((span.args, span.kwargs)))):
                found.setdefault(value, []).append((span.path, place))
    return found
