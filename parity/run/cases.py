"""The cases of a configuration: written in it, or returned by a function of the subject's."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np

from parity.backends import resolve
from parity.errors import ConfigError
from parity.run.config import Config, InlineCase
from parity.tensors import Case

__all__ = ["load_cases"]

_HINT = "name a function that returns a list of parity.Case"


def load_cases(config: Config, names: Iterable[str] = ()) -> tuple[Case, ...]:
    """The configuration's cases that match its selection, or `names` where some are given.

    Raises:
        ConfigError: a case cannot be made, two share a name, or nothing matches.
    """
    cases = [_inline(config, case) for case in config.cases]
    if config.subject.cases:
        cases += _called(config)
    known = [case.name for case in cases]
    if len(set(known)) < len(known):
        twice = next(name for name in known if known.count(name) > 1)
        raise ConfigError(
            f"two cases are named {twice!r}", where=str(config.path), hint="rename one of them"
        )
    patterns = tuple(names) or config.select.cases
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in known):
            raise _no_match(config, pattern, known)
    return tuple(c for c in cases if any(fnmatchcase(c.name, pattern) for pattern in patterns))


def _no_match(config: Config, pattern: str, known: list[str]) -> ConfigError:
    near = get_close_matches(pattern, known, n=3, cutoff=0.4) or known[:5]
    return ConfigError(
        f"no case matches {pattern!r}", where=str(config.path), hint=f"cases: {', '.join(near)}"
    )


def _inline(config: Config, case: InlineCase) -> Case:
    arrays = _load_arrays(config.resolve(case.arrays)) if case.arrays else {}
    return Case(name=case.name, inputs=case.inputs, arrays=arrays, seed=case.seed)


def _load_arrays(path: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"cannot read input arrays: {error}", where=str(path), hint="np.savez(path, name=array)"
        ) from None


def _called(config: Config) -> list[Case]:
    target = config.subject.cases
    function = resolve(target)
    if not callable(function):
        raise ConfigError("is not a function", where=f"subject.cases = {target}", hint=_HINT)
    try:
        cases = list(function(**config.subject.case_options))
    except TypeError as error:
        raise ConfigError(
            f"cannot be called: {error}",
            where=f"subject.cases = {target}",
            hint="subject.case_options are its keyword arguments",
        ) from error
    if not all(isinstance(case, Case) for case in cases):
        raise ConfigError(
            "must return parity.Case values", where=f"subject.cases = {target}", hint=_HINT
        )
    return cases
