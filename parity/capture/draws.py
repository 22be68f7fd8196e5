"""The functions of torch that draw random numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import _VF, nn

__all__ = ["DRAWS", "DROPOUTS", "Draw"]


@dataclass(frozen=True, slots=True)
class Draw:
    """One function that draws.

    Attributes:
        owner: the class or module that holds it.
        name: its name there.
        distribution: what it draws.
        names: names of its positional arguments, without `self`.
        defaults: of the distribution's parameters; its keys are the parameters to record.
    """

    owner: Any
    name: str
    distribution: str
    names: tuple[str, ...] = ()
    defaults: Mapping[str, float] = field(default_factory=dict)

    @property
    def function(self) -> Callable[..., Any]:
        """The function itself, as it stands now."""
        function: Callable[..., Any] = getattr(self.owner, self.name)
        return function

    def parameters(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, float]:
        """The parameters of a call, as far as they are numbers."""
        if isinstance(self.owner, type):
            args = args[1:]
        given = {**self.defaults, **dict(zip(self.names, args, strict=False)), **kwargs}
        return {
            name: float(given[name])
            for name in self.defaults
            if isinstance(given[name], (int, float))
        }


_NORMAL = {"mean": 0.0, "std": 1.0}
_UNIFORM = {"from": 0.0, "to": 1.0}
_P = {"p": 0.5}


def _new(name: str, distribution: str, *names: str, **defaults: float) -> Draw:
    return Draw(torch, name, distribution, names, defaults)


def _method(name: str, distribution: str, defaults: Mapping[str, float] | None = None) -> Draw:
    return Draw(torch.Tensor, name, distribution, tuple(defaults or ()), defaults or {})


DRAWS = (
    _new("rand", "uniform"),
    _new("rand_like", "uniform"),
    _new("randn", "normal"),
    _new("randn_like", "normal"),
    _new("randint", "randint"),
    _new("randint_like", "randint"),
    _new("randperm", "randperm", "n", n=0.0),
    _new("normal", "normal", "mean", "std", mean=0.0, std=1.0),
    _new("bernoulli", "bernoulli"),
    _new("binomial", "binomial"),
    _new("poisson", "poisson"),
    _new("multinomial", "multinomial"),
    _new("_standard_gamma", "gamma"),
    _new("_sample_dirichlet", "dirichlet"),
    _method("normal_", "normal", _NORMAL),
    _method("uniform_", "uniform", _UNIFORM),
    _method("bernoulli", "bernoulli"),
    _method("bernoulli_", "bernoulli", _P),
    _method("multinomial", "multinomial"),
    _method("exponential_", "exponential", {"lambd": 1.0}),
    _method("cauchy_", "cauchy", {"median": 0.0, "sigma": 1.0}),
    _method("log_normal_", "log_normal", {"mean": 1.0, "std": 2.0}),
    _method("geometric_", "geometric", _P),
    _method("random_", "randint"),
    # Draws uniform numbers and bends them; what a port needs is the result.
    Draw(
        nn.init,
        "trunc_normal_",
        "trunc_normal",
        ("tensor", "mean", "std", "a", "b"),
        {"mean": 0.0, "std": 1.0, "a": -2.0, "b": 2.0},
    ),
)

# They multiply their input by noise that they draw: 0, or 1 / (1 - p).
DROPOUTS = tuple(
    Draw(owner, name, "dropout", ("input", "p", "training"), {"p": 0.5})
    for owner in (torch, _VF)  # `torch.nn.functional` calls the second
    for name in ("dropout", "dropout_", "feature_dropout", "feature_dropout_")
)
