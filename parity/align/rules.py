"""What a user can say about names and layouts: rename rules and layout rules."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache

from parity.errors import ConfigError
from parity.tensors import Role

__all__ = ["LayoutRule", "Rename", "Renamed", "rename"]

ARROW = "->"
PLACEHOLDER = re.compile(r"\{(\w+)\}")
TARGET = re.compile(
    r"(?P<path>[^:@#]*)(?::(?P<port>[^:@#]+))?(?:@(?P<phase>[^@#]*))?(?:#(?P<call>[^#]+))?"
)


@dataclass(frozen=True, slots=True)
class Renamed:
    """What a rule makes of a path; None where it leaves the record's own value.

    Attributes:
        path: the new path.
        role: the new role.
        slot: the new slot, given whenever `role` is.
        phase: the new phase.
        call: the new call number.
    """

    path: str
    role: Role | None = None
    slot: str = ""
    phase: str | None = None
    call: int | None = None


@dataclass(frozen=True, slots=True)
class Rename:
    r"""A rule that turns the candidate's name of a tap into the reference's.

    The source is a template that the whole path must match: `{rest}` stands for one or more
    characters, every other `{name}` for one or more without a dot. Or it is `regex:` and a Python
    regular expression, whose first match in the path is replaced: `\1` stands for its groups, and
    an empty target takes a prefix away. The target is a path in which placeholders are filled in,
    with `:port`, `@phase` and `#call` behind it where these are to change too:
    `step_{n}_out -> flow_lm.out_norm:output@generate#{n}`.

    Attributes:
        source: the candidate's side.
        target: the reference's side.

    Raises:
        ConfigError: the rule cannot be read.
    """

    source: str
    target: str

    def __post_init__(self) -> None:
        _compile(self)

    @classmethod
    def parse(cls, text: str) -> Rename:
        """The rule written `source -> target`."""
        source, arrow, target = text.partition(ARROW)
        if not arrow or not source.strip():
            raise ConfigError(
                f"a rename rule reads 'candidate name {ARROW} reference name'",
                where=repr(text),
                hint=f"write for instance 'dec.{{rest}} {ARROW} decoder.{{rest}}'",
            )
        return cls(source.strip(), target.strip())

    def apply(self, path: str) -> Renamed | None:
        """What becomes of `path`, or None where the rule does not match."""
        return _compile(self).apply(path)

    def __str__(self) -> str:
        return f"{self.source} {ARROW} {self.target}"


def rename(rules: Sequence[Rename], path: str) -> tuple[int, Renamed] | None:
    """The number of the first rule that matches `path` and what it makes of it, or None."""
    for number, rule in enumerate(rules):
        renamed = rule.apply(path)
        if renamed is not None:
            return number, renamed
    return None


@dataclass(frozen=True, slots=True)
class _Compiled:
    """A rule ready for use; the parts of the target are replacement templates for `expand`."""

    rule: Rename
    pattern: re.Pattern[str]
    path: str
    port: str | None
    phase: str | None
    call: str | None
    whole: bool

    def apply(self, path: str) -> Renamed | None:
        match = self.pattern.fullmatch(path) if self.whole else self.pattern.search(path)
        if match is None:
            return None
        head, tail = path[: match.start()], path[match.end() :]
        role, slot = _port(self.rule, self.port and match.expand(self.port))
        return Renamed(
            path=head + match.expand(self.path) + tail,
            role=role,
            slot=slot,
            phase=None if self.phase is None else match.expand(self.phase),
            call=_call(self.rule, path, self.call and match.expand(self.call)),
        )


@lru_cache(maxsize=4096)
def _compile(rule: Rename) -> _Compiled:
    target = TARGET.fullmatch(rule.target)
    regex = rule.source.startswith("regex:")
    if target is None or not (regex or target["path"]):
        raise ConfigError("a target reads path[:port][@phase][#call]", where=str(rule))
    try:
        source = rule.source.removeprefix("regex:") if regex else _template(rule.source)
        pattern = re.compile(source)
    except re.error as error:
        raise ConfigError(f"not a regular expression: {error}", where=str(rule)) from error
    parts = {
        name: part if regex or part is None else _replacement(rule, pattern, part)
        for name, part in target.groupdict().items()
    }
    _check_groups(rule, pattern, parts)
    return _Compiled(rule, pattern, parts["path"] or "", parts["port"], parts["phase"],
                     parts["call"], whole=not regex)  # fmt: skip


def _template(source: str) -> str:
    """The regular expression for a template; a placeholder used twice must stand for the same."""
    seen: set[str] = set()
    pieces = PLACEHOLDER.split(source)
    for index in range(1, len(pieces), 2):
        name = pieces[index]
        inside = ".+" if name == "rest" else r"[^.]+"
        pieces[index] = f"(?P={name})" if name in seen else f"(?P<{name}>{inside})"
        seen.add(name)
    pieces[::2] = [re.escape(piece) for piece in pieces[::2]]
    return "".join(pieces)


def _replacement(rule: Rename, pattern: re.Pattern[str], part: str) -> str:
    unknown = [name for name in PLACEHOLDER.findall(part) if name not in pattern.groupindex]
    if unknown:
        raise ConfigError(f"the source has no {{{unknown[0]}}}", where=str(rule))
    return PLACEHOLDER.sub(r"\\g<\1>", part.replace("\\", r"\\"))


def _check_groups(rule: Rename, pattern: re.Pattern[str], parts: dict[str, str | None]) -> None:
    """Fail now for a group that the pattern lacks, and not at the first path that matches."""
    try:
        for part in parts.values():
            pattern.sub(part or "", "")
    except (re.error, IndexError) as error:
        raise ConfigError(
            f"the target does not fit the source: {error}", where=str(rule)
        ) from error


def _port(rule: Rename, port: str | None) -> tuple[Role | None, str]:
    if not port:
        return None, ""
    role, _, slot = port.partition(".")
    if role not in {str(known) for known in Role}:
        raise ConfigError(
            f"{role!r} is no role", where=str(rule), hint=f"one of {', '.join(map(str, Role))}"
        )
    return Role(role), slot


def _call(rule: Rename, path: str, call: str | None) -> int | None:
    if not call:
        return None
    if not call.isdecimal():
        raise ConfigError(f"{call!r}, from {path!r}, is no call number", where=str(rule))
    return int(call)


@dataclass(frozen=True, slots=True)
class LayoutRule:
    """A declared order of axes of the candidate's tensors.

    Attributes:
        pattern: glob over paths, as they are after renaming.
        permutation: what `numpy.transpose` must be given to bring the candidate's tensor into the
            reference's order of axes; the rule is for tensors of that rank.

    Raises:
        ConfigError: `permutation` is none.
    """

    pattern: str
    permutation: tuple[int, ...]

    def __post_init__(self) -> None:
        if sorted(self.permutation) != list(range(len(self.permutation))):
            raise ConfigError(
                f"{self.permutation} is no permutation of axes",
                where=f"layout rule for {self.pattern!r}",
                hint=f"use each of 0 to {max(len(self.permutation) - 1, 0)} once",
            )

    def matches(self, path: str, rank: int) -> bool:
        """Whether the rule is for a tensor with this path and number of axes."""
        return rank == len(self.permutation) and fnmatchcase(path, self.pattern)
