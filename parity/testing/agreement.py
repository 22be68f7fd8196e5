"""A property test: two implementations of one operation agree on every input."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from parity.diffing import DiffResult, Outcome, diff
from parity.errors import ConfigError, MissingExtraError
from parity.testing.message import explain, message
from parity.testing.sides import named
from parity.tolerance import Tolerance

__all__ = ["DisagreementError", "NothingComparedError", "differential"]

FEW = 24


class DisagreementError(AssertionError):
    """Two implementations disagree on an input, which the message shows."""


class NothingComparedError(AssertionError):
    """No input was drawn on which the two could have disagreed."""


def differential(
    reference: Callable[..., Any],
    candidate: Callable[..., Any],
    *,
    tolerance: Tolerance | str = "fp32",
    max_examples: int = 200,
    **strategies: Any,
) -> Callable[[Callable[..., Any]], Callable[..., None]]:
    """Let a test draw inputs, and fail on the smallest on which two implementations disagree.

    The decorated function is called with the drawn inputs. It may refuse them with
    `hypothesis.assume`, and may return the arguments that both implementations are called with
    (a tuple); where it returns None, these are the drawn inputs, in its parameters' order. Both
    get copies. An input that the reference refuses with an exception is left out; one that only
    the candidate refuses is a disagreement.

    Args:
        reference: the trusted implementation: arrays in; an array, a sequence or a mapping out.
        candidate: the port of it, with the same parameters.
        tolerance: rules to judge by, or the name of a preset.
        max_examples: how many inputs are drawn.
        strategies: by name of the decorated function's parameter; `parity.strategies.tensors()`
            for those that are not named.

    Raises:
        MissingExtraError: hypothesis is not installed.
    """
    try:
        import hypothesis  # noqa: PLC0415 - an optional dependency
    except ImportError:
        raise MissingExtraError.of("testing", needed_for="parity.differential") from None
    from parity.strategies import tensors  # noqa: PLC0415

    def decorate(test: Callable[..., Any]) -> Callable[..., None]:
        names = list(inspect.signature(test).parameters)
        # The test of a class: what it is called on is no input.
        bound = names[:1] == ["self"]
        names = names[bound:]
        if unknown := sorted(set(strategies) - set(names)):
            raise ConfigError(
                f"{test.__name__} has no parameter {unknown[0]!r}",
                hint=f"parameters: {', '.join(names)}",
            )
        drawn = {name: strategies.get(name, tensors()) for name in names}
        pair = _Pair(reference, candidate, tolerance)

        # All phases but that which explains: it names lines of parity.
        phases = [p for p in hypothesis.Phase if p is not hypothesis.Phase.explain]

        @hypothesis.settings(
            max_examples=max_examples, deadline=None, report_multiple_bugs=False, phases=phases
        )
        @hypothesis.given(st_fixed(drawn))
        def search(inputs: Mapping[str, Any]) -> None:
            __tracebackhide__ = True
            chosen = test(*owner, **inputs)
            arguments = tuple(inputs.values()) if chosen is None else _as_tuple(chosen)
            pair.compare(arguments, inputs)

        owner: list[Any] = []

        @functools.wraps(test)
        def run(*given: Any) -> None:
            __tracebackhide__ = True
            owner[:] = given
            pair.telling, pair.refusal = 0, ""
            try:
                search()
            except (hypothesis.errors.Unsatisfiable, hypothesis.errors.FailedHealthCheck):
                if pair.telling or not pair.refusal:
                    raise
            if not pair.telling:
                last = f"; the reference refused, at last with {pair.refusal}"
                raise NothingComparedError(
                    f"{pair.names}: on no drawn input did both give numbers that could differ"
                    f"{last if pair.refusal else ''}"
                )

        # pytest would take the wrapped function's parameters for fixtures.
        own = inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)
        run.__signature__ = inspect.Signature([own] if bound else [])  # type: ignore[attr-defined]
        del run.__wrapped__
        return run

    return decorate


def st_fixed(drawn: Mapping[str, Any]) -> Any:
    """A strategy for all inputs by name."""
    from hypothesis import strategies as st  # noqa: PLC0415

    return st.fixed_dictionaries(dict(drawn))


def _as_tuple(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,)


class _Pair:
    """The two implementations, how often a comparison could have failed, and the last refusal."""

    def __init__(
        self,
        reference: Callable[..., Any],
        candidate: Callable[..., Any],
        tolerance: Tolerance | str,
    ) -> None:
        self._reference, self._candidate, self._tolerance = reference, candidate, tolerance
        self.names = f"{_name(reference)} and {_name(candidate)}"
        self.telling = 0
        self.refusal = ""

    def compare(self, arguments: tuple[Any, ...], inputs: Mapping[str, Any]) -> None:
        """Raise if the two disagree on these arguments."""
        __tracebackhide__ = True
        import hypothesis  # noqa: PLC0415

        try:
            ours = named(self._reference(*map(_copy, arguments)))
        except Exception as error:
            self.refusal = f"{type(error).__name__}: {error}"
            hypothesis.reject()
        shown = _shown(inputs)
        try:
            theirs = named(self._candidate(*map(_copy, arguments)))
        except Exception as error:
            text = f"{self.names} disagree: the candidate raises {type(error).__name__}: {error}"
            raise DisagreementError(f"{text}\n{shown}") from error
        result = diff(ours, theirs, tolerance=self._tolerance)
        if result.outcome is Outcome.BROKEN:
            found = message(explain(result, ours, theirs), title=self.names)
            raise DisagreementError(f"{found}\n{shown}")
        self._refuse_shapes(result, shown)
        self.telling += result.outcome is Outcome.HOLDS

    def _refuse_shapes(self, result: DiffResult, shown: str) -> None:
        __tracebackhide__ = True
        for row in result:
            if row.reference and row.candidate and row.reference.shape != row.candidate.shape:
                raise DisagreementError(
                    f"{self.names} disagree: the reference returns {row.reference}, "
                    f"the candidate {row.candidate}\n{shown}"
                )


def _copy(value: Any) -> Any:
    return value.copy(order="K") if isinstance(value, np.ndarray) else value


def _name(function: Callable[..., Any]) -> str:
    return str(getattr(function, "__name__", None) or type(function).__name__)


def _shown(inputs: Mapping[str, Any]) -> str:
    """The inputs, in full where they are small."""
    lines = ["  smallest input found on which they disagree:"]
    for name, value in inputs.items():
        kind = f"{value.dtype}{list(value.shape)}" if isinstance(value, np.ndarray) else ""
        small = not isinstance(value, np.ndarray) or value.size <= FEW
        lines.append(f"    {name} = {' '.join(filter(None, (kind, _values(value, small=small))))}")
    return "\n".join(lines)


def _values(value: Any, *, small: bool) -> str:
    if not isinstance(value, np.ndarray):
        return repr(value)
    if small:
        return str(value.tolist())
    flat = value.reshape(-1)[:8].tolist()
    return f"[{', '.join(f'{number:.6g}' for number in flat)}, ...]"
