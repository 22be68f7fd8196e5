"""The options of `parity capture` and `parity import` that select what is recorded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from parity.errors import InputError
from parity.tensors import Role, TapPlan, Tier

__all__ = ["plan_of", "selection_options"]

Command = TypeVar("Command", bound=Callable[..., Any])

_OPTIONS = (
    click.option("--include", multiple=True, metavar="GLOB", help="Record only these paths."),
    click.option("--exclude", multiple=True, metavar="GLOB", help="Leave these paths out."),
    click.option(
        "--role",
        "roles",
        multiple=True,
        type=click.Choice([role.value for role in Role]),
        help="Only these roles.",
    ),
    click.option("--phase", "phases", multiple=True, metavar="NAME", help="Only these phases."),
    click.option("--calls", metavar="FIRST:STOP", help="Only these calls of each tap, from 0."),
    click.option("--steps", metavar="FIRST:STOP", help="Only these steps, from 0."),
    click.option(
        "--tier",
        type=click.Choice([tier.value for tier in Tier]),
        default=Tier.TENSOR.value,
        show_default=True,
        help="How much of each tensor: its statistics, also a digest, or all of it.",
    ),
)


def selection_options(command: Command) -> Command:
    """Add the options to a command; it gets them as keywords, and hands them to `plan_of`."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def plan_of(given: dict[str, Any]) -> TapPlan:
    """The plan that the options ask for; takes them out of `given`.

    Raises:
        InputError: a range is malformed.
    """
    include, exclude = given.pop("include"), given.pop("exclude")
    roles, phases = given.pop("roles"), given.pop("phases")
    return TapPlan(
        include=include or ("*",),
        exclude=exclude,
        roles=frozenset(Role(role) for role in roles) or None,
        phases=frozenset(phases) or None,
        calls=_range("--calls", given.pop("calls")),
        steps=_range("--steps", given.pop("steps")),
        tier=Tier(given.pop("tier")),
    )


def _range(option: str, text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    first, colon, stop = text.partition(":")
    try:
        start = int(first or 0)
        return start, int(stop) if colon else start + 1
    except ValueError as error:
        raise InputError(
            f"not a range: {text!r}",
            where=option,
            hint=f"write the first and the one after the last: {option} 0:5",
        ) from error
