"""Ordered rules over tap paths, the named presets, and how rules are written in text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from difflib import get_close_matches
from fnmatch import fnmatchcase
from functools import cache
from typing import Any

import numpy as np

from parity.errors import ConfigError
from parity.tolerance.rule import Rule

__all__ = ["PRESETS", "Tolerance", "build_rule", "parse_rule", "preset"]

FloatArray = np.ndarray[Any, np.dtype[np.float64]]

# What elements are counted with where a rule does not say; those of numpy's allclose.
RTOL = 1e-5
ATOL = 1e-8


@dataclass(frozen=True, slots=True)
class Tolerance:
    """Rules over tap paths; the first whose glob pattern matches applies.

    Attributes:
        rules: pairs of pattern and rule, in order. Where none matches, `Rule()` applies.
        name: what reports call them.
    """

    rules: tuple[tuple[str, Rule], ...] = ()
    name: str = "custom"

    def rule_for(self, path: str) -> Rule:
        """The rule of one tap."""
        return next((rule for pattern, rule in self.rules if fnmatchcase(path, pattern)), Rule())

    def rules_for(self, paths: Sequence[str]) -> tuple[Rule, ...]:
        """The rules of many taps, looked up once a distinct path."""
        find = cache(self.rule_for)
        return tuple(find(path) for path in paths)

    def element_tolerances(self, paths: Sequence[str]) -> tuple[FloatArray, FloatArray]:
        """`rtol` and `atol` to compute pair statistics with, float64 `(n,)` each."""
        rules = self.rules_for(paths)
        rtol = [0.0 if rule.rtol is None else rule.rtol for rule in rules]
        atol = [0.0 if rule.atol is None else rule.atol for rule in rules]
        unset = np.array([rule.rtol is None and rule.atol is None for rule in rules], bool)
        return np.where(unset, RTOL, rtol), np.where(unset, ATOL, atol)

    def with_rules(self, rules: Iterable[tuple[str, Rule]]) -> Tolerance:
        """The same, with further rules before the present ones."""
        further = tuple(rules)
        if not further:
            return self
        return Tolerance((*further, *self.rules), f"{self.name}, with {len(further)} of your rules")


PRESETS = {
    # Floats against the noise floor, integers and bool exactly.
    "fp32": Tolerance((("*", Rule()),), "fp32"),
    "fp16": Tolerance((("*", Rule(precision="float16", any_dtype=True)),), "fp16"),
    "bf16": Tolerance((("*", Rule(precision="bfloat16", any_dtype=True)),), "bf16"),
    "strict": Tolerance((("*", Rule(exact=True)),), "strict"),
    # The thresholds that a port of Pocket TTS was held to by hand. They forgive much: correlation
    # stays above 0.9999995 when exact GELU becomes tanh GELU.
    "story": Tolerance(
        (
            ("*wav*", Rule(min_pearson=0.95, any_dtype=True)),
            ("*audio*", Rule(min_pearson=0.95, any_dtype=True)),
            ("*decode_from_latent*", Rule(min_pearson=0.95, any_dtype=True)),
            ("*", Rule(min_cosine=0.99, any_dtype=True)),
        ),
        "story",
    ),
}


def preset(name: str) -> Tolerance:
    """A named tolerance: `fp32`, `fp16`, `bf16`, `strict` or `story`.

    Raises:
        ConfigError: there is none of that name.
    """
    if name not in PRESETS:
        raise ConfigError(
            f"there is no tolerance preset {name!r}", hint=_instead(name, list(PRESETS))
        )
    return PRESETS[name]


def build_rule(preset_name: str = "", **bounds: Any) -> Rule:
    """A rule from a preset's rule for `*` (or no bounds at all), changed by `bounds`.

    Raises:
        ConfigError: an unknown preset or bound, or a value that is no bound.
    """
    base = dict(preset(preset_name).rules)["*"] if preset_name else Rule()
    names = [field.name for field in fields(Rule)]
    for name in bounds:
        if name not in names:
            raise ConfigError(f"there is no bound {name!r}", hint=_instead(name, names))
    return replace(base, **bounds)


def parse_rule(text: str) -> tuple[str, Rule]:
    """Read `TAP: BOUND=VALUE, ...`, where a preset's name may stand instead of a bound.

    `mimi.*: max_rel_l2=1e-4, min_cosine=0.999`; `flow_lm.*: fp16`; `*.ids: exact`.

    Raises:
        ConfigError: it is not of that form.
    """
    pattern, colon, body = text.partition(":")
    words = [word.strip() for word in body.split(",") if word.strip()]
    if not pattern.strip() or not colon or not words:
        raise ConfigError(
            f"the rule {text!r} is not of the form 'TAP: BOUND=VALUE, ...'",
            hint="write for instance 'mimi.*: max_rel_l2=1e-4, min_cosine=0.999'",
        )
    base, bounds = "", {}
    for word in words:
        name, equals, value = (part.strip() for part in word.partition("="))
        if not equals and name in PRESETS:
            base = name
        else:
            bounds[name] = _value(name, value) if equals else True
    return pattern.strip(), build_rule(base, **bounds)


def _value(name: str, text: str) -> float | bool | str:
    if text in {"true", "false"}:
        return text == "true"
    try:
        return float(text)
    except ValueError:
        if name == "precision":
            return text
        raise ConfigError(
            f"the bound {name} = {text!r} is not a number", hint=f"write for instance {name}=1e-4"
        ) from None


def _instead(name: str, known: list[str]) -> str:
    close = get_close_matches(name, known, n=1)
    return f"did you mean {close[0]!r}?" if close else f"use one of: {', '.join(known)}"
