"""What a candidate says about itself: the JSON of `parity_describe`, read and checked."""

from __future__ import annotations

from typing import Any

import msgspec

from parity.backends import Capabilities

__all__ = ["Description", "as_description", "read_description"]

Fact = str | int | float | bool

_MOST = 2**63  # what a capture can hold of an integer


class _Says(msgspec.Struct, frozen=True):
    inject: bool = False
    states: bool = False
    streaming: bool = False
    devices: tuple[str, ...] = ("cpu",)


class Description(msgspec.Struct, frozen=True):
    """What a candidate says about itself.

    Attributes:
        name: of the candidate.
        facts: of its runs; `framework` is among them.
        says: its capabilities, as it names them.
    """

    name: str
    facts: dict[str, Any]
    says: _Says = msgspec.field(default=_Says(), name="capabilities")

    def __post_init__(self) -> None:
        """Raise `ValueError` where what must be said is empty."""
        framework = self.facts.get("framework")
        if not (self.name and isinstance(framework, str) and framework):
            raise ValueError("one of these is missing, empty or no text")

    def capture_facts(self) -> dict[str, Fact]:
        """The facts as a capture takes them: texts, numbers and truths."""
        facts = {"implementation": self.name, **self.facts}
        return {name: fact for name, fact in facts.items() if _fits(fact)}

    def capabilities(self) -> Capabilities:
        """What it can do."""
        return Capabilities(
            inject=self.says.inject,
            states=self.says.states,
            streaming=self.says.streaming,
            devices=self.says.devices,
        )


def read_description(raw: bytes | None) -> Description:
    """The description in a JSON text.

    Raises:
        ValueError: it is none; the message says where.
    """
    try:
        return msgspec.json.decode(raw or b"", type=Description)
    except RecursionError:
        raise ValueError("it is nested without end") from None


def as_description(value: object) -> Description:
    """The description that `msgspec.to_builtins` made a plain value of."""
    return msgspec.convert(value, Description)


def _fits(fact: object) -> bool:
    if isinstance(fact, int):
        return -_MOST <= fact < _MOST
    return isinstance(fact, str | float)
