"""One interface for whatever turns speech into text, and how one is found by its name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Protocol, cast, runtime_checkable

import numpy as np

from parity.errors import ConfigError

__all__ = ["RATE", "Normaliser", "Recogniser", "find_normaliser", "find_recogniser", "known"]

# What every recogniser is given: 16 kHz, one channel, float32.
RATE = 16000
RECOGNISERS, NORMALISERS = "parity.recognisers", "parity.normalisers"

Normaliser = Callable[[str], str]
Speech16k = np.ndarray[Any, np.dtype[np.float32]]


@runtime_checkable
class Recogniser(Protocol):
    """Turns speech into text, the same text for the same speech whatever came before it.

    Register a class under the entry-point group `parity.recognisers`; it is called with what
    follows the colon in `name:argument`, if anything does.

    Attributes:
        name: for reports.
        version: of the software and the model, for reports: rates of two recognisers, or of two
            versions of one, are not comparable.
    """

    name: str
    version: str

    def prepare(self, texts: Sequence[str]) -> tuple[str, ...]:
        """Get ready for all texts of a session; returns words that can never be recognised."""
        ...

    def transcribe(self, samples: Speech16k) -> str:
        """What is said in `[samples]` of 16 kHz.

        Raises:
            TimeoutError: it took too long, as garbage does.
        """
        ...


def known(group: str = RECOGNISERS) -> tuple[str, ...]:
    """Names of what is registered."""
    return tuple(sorted({point.name for point in entry_points(group=group)}))


def find_recogniser(chosen: Recogniser | str | None) -> Recogniser:
    """The recogniser of a name, `name:argument`, or the object itself; `pocketsphinx` by default.

    Raises:
        ConfigError: no such name, or its argument is of no use.
        MissingExtraError: what it needs is not installed.
    """
    if chosen is not None and not isinstance(chosen, str):
        return chosen
    name, _, argument = (chosen or "pocketsphinx").partition(":")
    factory = _load(RECOGNISERS, name)
    return cast("Recogniser", factory(argument) if argument else factory())


def find_normaliser(name: str) -> Normaliser:
    """The function of that name that makes texts comparable.

    Raises:
        ConfigError: no such name.
    """
    return cast("Normaliser", _load(NORMALISERS, name))


def _load(group: str, name: str) -> Callable[..., Any]:
    points: list[EntryPoint] = [p for p in entry_points(group=group) if p.name == name]
    what = group.rpartition(".")[2].rstrip("s")
    if not points:
        raise ConfigError(f"there is no {what} {name!r}", hint=f"one of {', '.join(known(group))}")
    try:
        return cast("Callable[..., Any]", points[0].load())
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"the {what} {name!r} cannot be loaded: {error}") from None
