"""What the name of a dumped tensor says: path, role, slot, phase, call, step."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from parity.errors import ConfigError, InputError
from parity.tensors import NO_STEP, Role
from parity_files.folder import Dumped

__all__ = ["CONTAINER", "GROUPS", "Name", "namer"]

GROUPS = frozenset({"path", "role", "slot", "phase", "call", "step"})

# `@generate/decoder.0.output.1.call3`: everything but the path may be left out.
_USUAL = re.compile(
    r"(?:@(?P<phase>[^/]+)/)?"
    r"(?P<path>.+?)"
    r"(?:[.:](?P<role>input|output|param|state|tap)"
    r"(?:\.(?P<slot>(?!(?:call|step)[_-]?\d+$)\w+?))?)?"
    r"(?:(?:[._-]call[_-]?|\#|/(?:call[_-]?)?)(?P<call>\d+)|[._/-]step[_-]?(?P<step>\d+))?",
)
# `decoder_000003`, where another dump of the same tap proves that zeros are filled in.
_FILLED = re.compile(r"(?P<path>.+)_(?P<call>\d{3,})")
_FILLED_WITH_ZEROS = re.compile(r"(?P<path>.+)_0\d{2,}")
# `step_000.npz`, `12.safetensors`: one container a call.
CONTAINER = re.compile(
    r"(?:@(?P<phase>[^/]+)/)?(?:[^/]*?(?:call|step|frame|iter|token)[_-]?)?(?P<call>\d+)"
)


@dataclass(frozen=True, slots=True)
class Name:
    """What a name says of its tensor; `call` is None where it says nothing of it."""

    path: str
    role: Role
    slot: str = ""
    phase: str = ""
    call: int | None = None
    step: int = NO_STEP


def namer(
    dumped: Iterable[Dumped],
    *,
    pattern: str | None = None,
    container: str | None = None,
    role: Role = Role.OUTPUT,
) -> Callable[[Dumped], Name]:
    """A function that reads the names of `dumped`.

    Args:
        dumped: all tensors of the folder; what they have in common decides what a number means.
        pattern: regular expression over a whole name, `/` between folders, with some of the
            groups path (required), role, slot, phase, call and step; None for the usual forms.
        container: the same over the name of a .npz or .safetensors file.
        role: of tensors whose name says none.

    Raises:
        ConfigError: a pattern is malformed.
    """
    everything = list(dumped)
    containers = {one.container for one in everything if one.container}
    outer = _compiled("container", container, CONTAINER, needs_path=False)
    inner = _compiled("pattern", pattern, _USUAL, needs_path=True)
    numbered = {one.container for one in everything if outer.fullmatch(one.container)}

    def full_name(one: Dumped) -> str:
        alone = len(containers) <= 1 or one.container in numbered
        return one.name if alone or not one.container else f"{one.container}/{one.name}"

    filled = set()
    if pattern is None:
        proofs = (_FILLED_WITH_ZEROS.fullmatch(full_name(one)) for one in everything)
        filled = {proof["path"] for proof in proofs if proof}

    def read(one: Dumped) -> Name:
        name = full_name(one)
        match = inner.fullmatch(name)
        counted = _FILLED.fullmatch(name)
        if counted and counted["path"] in filled:
            inside = _USUAL.fullmatch(counted["path"])
            said = (inside.groupdict() if inside else {}) | {"call": counted["call"]}
        elif match is None:
            raise InputError(
                f"the pattern does not match the name {name!r}",
                hint="widen the option pattern, or leave the file out with the option ignore",
            )
        else:
            said = match.groupdict()
        around = outer.fullmatch(one.container) if one.container else None
        return _name((around.groupdict() if around else {}), said, role, name)

    return read


def _compiled(
    option: str, text: str | None, usual: re.Pattern[str], *, needs_path: bool
) -> re.Pattern[str]:
    if text is None:
        return usual
    try:
        compiled = re.compile(text)
    except re.error as error:
        raise ConfigError(f"not a regular expression: {error}", where=option) from error
    unknown = set(compiled.groupindex) - GROUPS
    if unknown or (needs_path and "path" not in compiled.groupindex):
        raise ConfigError(
            f"its groups are {', '.join(sorted(compiled.groupindex)) or 'none'}",
            where=option,
            hint=f"name them (?P<path>...), with path needed, of: {', '.join(sorted(GROUPS))}",
        )
    return compiled


def _name(
    around: dict[str, str | None], said: dict[str, str | None], role: Role, name: str
) -> Name:
    both = around | {group: text for group, text in said.items() if text is not None}
    text = {group: value for group, value in both.items() if value is not None}
    path = text.get("path", "").replace("/", ".").strip(".")
    if not path:
        raise InputError(f"the name {name!r} leaves no path", hint="check the option pattern")
    try:
        return Name(
            path=path,
            role=Role(text["role"]) if "role" in text else role,
            slot=text.get("slot", ""),
            phase=text.get("phase", ""),
            call=int(text["call"]) if "call" in text else None,
            step=int(text["step"]) if "step" in text else NO_STEP,
        )
    except ValueError as error:
        raise InputError(f"cannot read the name {name!r}: {error}") from error
