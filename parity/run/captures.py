"""The stages that make captures: of the reference, then of a candidate on the same noise."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from parity.backends import Progress, load
from parity.capture.isolated import capture_here, capture_isolated
from parity.errors import InputError, ParityError
from parity.run.config import Config, Implementation
from parity.run.result import CaptureState
from parity.run.reuse import can_reuse, capture_key, remember
from parity.tensors import Case, Role, TapPlan

__all__ = ["make_capture", "plan_of", "slug"]


def plan_of(config: Config) -> TapPlan:
    """The selection of a configuration, as backends take it."""
    select = config.select
    return TapPlan(
        include=select.include,
        exclude=select.exclude,
        roles=frozenset(Role(role) for role in select.roles) or None,
        phases=frozenset(select.phases) or None,
        calls=select.calls,
        steps=select.steps,
    )


def make_capture(
    config: Config,
    name: str,
    implementation: Implementation,
    case: Case,
    *,
    fresh: bool = False,
    on_progress: Callable[[Progress], None] | None = None,
) -> CaptureState:
    """Capture `case`, unless an earlier capture of it is still good.

    A run that fails is a state with a problem, not an exception: what it had recorded is kept.

    Args:
        config: the configuration.
        name: of the implementation, for the file's name.
        implementation: what to run.
        case: on which input; a candidate's carries the reference's noise tape.
        fresh: capture again in any case.
        on_progress: called now and then with the last record.

    Raises:
        InputError: the folder of captures cannot be written.
    """
    path = _path(config, case.name, name)
    depends = [config.resolve(entry) for entry in implementation.depends]
    depends += _named_files(config, implementation, case)
    key = capture_key(implementation, case, plan_of(config), depends)
    if config.store.reuse and not fresh and can_reuse(path, key):
        return CaptureState(path, reused=True)
    # What an earlier run left must not be taken for this one's, should this one not begin at all.
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for ending in ("", ".journal", ".key"):
            path.with_name(f"{path.name}{ending}").unlink(missing_ok=True)
    except OSError as error:
        raise InputError.unwritable(path, error) from None
    started = time.monotonic()
    problem = _run(config, implementation, case, path, on_progress=on_progress)
    if not problem:
        remember(path, key)
    return CaptureState(path, seconds=time.monotonic() - started, problem=problem)


def _named_files(config: Config, implementation: Implementation, case: Case) -> list[Path]:
    """What options name that exists as a file or folder: dumps, weights, a built library."""
    # As the backend `files` does: one folder a case.
    texts = filter(None, _texts(implementation.options))
    named = [text.replace("{case}", case.name) for text in texts]
    places = [place / text for text in named for place in (Path.cwd(), config.root)]
    return [place for place in dict.fromkeys(places) if _exists(place) and place != config.root]


def _texts(options: Any) -> Iterator[str]:
    """Every text in options, however deep."""
    if isinstance(options, str):
        yield options
    elif isinstance(options, Mapping):
        for value in options.values():
            yield from _texts(value)
    elif isinstance(options, list | tuple):
        for value in options:
            yield from _texts(value)


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):
        # Too long, or with characters that no name has: an option that is no path.
        return False


def _run(
    config: Config,
    implementation: Implementation,
    case: Case,
    path: Path,
    *,
    on_progress: Callable[[Progress], None] | None,
) -> str:
    """Run and record; what went wrong, in words, or nothing."""
    plan = plan_of(config)
    folders = [config.resolve(folder) for folder in (*config.subject.python_path, ".")]
    options = implementation.options
    try:
        if not implementation.isolate:
            backend = load(implementation.backend, options, python_path=folders)
            capture_here(backend, case, plan, path, on_progress=on_progress)
            return ""
        outcome = capture_isolated(
            implementation.backend,
            options,
            case,
            plan,
            path,
            python_path=folders,
            timeout_s=implementation.timeout_s or None,
            memory_limit_bytes=implementation.memory_limit_mb * 2**20 or None,
            on_progress=on_progress,
        )
    except ParityError as error:
        return str(error)
    return str(outcome.error) if outcome.error is not None else ""


def _path(config: Config, case: str, implementation: str) -> Path:
    """Where a capture lies. Names come from users: they are reduced to what any disk can hold."""
    folder = config.resolve(config.store.folder)
    return folder / slug(config.subject.name) / slug(case) / f"{slug(implementation)}.h5"


def slug(name: str) -> str:
    """`name` as a part of a file's name: plain characters, and no two names the same."""
    plain = re.sub(r"[^A-Za-z0-9_.-]+", "-", name).strip(".-")[:60]
    return plain if plain == name else f"{plain}-{sha256(name.encode()).hexdigest()[:8]}"
