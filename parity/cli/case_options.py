"""The options of `parity capture` that say what is run."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import click
import numpy as np

from parity.errors import InputError
from parity.tensors import Case, NoiseDraw

__all__ = ["assignments", "case_of", "case_options"]

Command = TypeVar("Command", bound=Callable[..., Any])

_KEYS = ("name", "inputs", "arrays", "seed")
_OPTIONS = (
    click.option(
        "--case", "case_file", metavar="FILE", type=click.Path(path_type=Path),
        help="A .toml or .json file with the keys name, inputs, arrays, seed.",
    ),
    click.option(
        "--input", "inputs", multiple=True, metavar="NAME=VALUE", help="One input of the case."
    ),
    click.option(
        "--array", "arrays", multiple=True, metavar="NAME=FILE", help="One .npy array of the case."
    ),
    click.option("--seed", type=int, help="Of the run's random generators."),
    click.option(
        "--noise", metavar="FILE", type=click.Path(path_type=Path),
        help="Replay the random draws that this capture holds.",
    ),
)  # fmt: skip


def case_options(command: Command) -> Command:
    """Add the options to a command; it gets them as keywords, and hands them to `case_of`."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def case_of(given: dict[str, Any]) -> Case:
    """The case that the options describe; takes them out of `given`.

    Raises:
        InputError: a file or a value cannot be used.
    """
    file, inputs, arrays = given.pop("case_file"), given.pop("inputs"), given.pop("arrays")
    seed, noise = given.pop("seed"), given.pop("noise")
    case = _read(file) if file is not None else Case("case")
    files = {name: _array(Path(path)) for name, path in _pairs("--array", arrays).items()}
    return replace(
        case,
        inputs={**case.inputs, **assignments("--input", inputs)},
        arrays={**case.arrays, **files},
        seed=case.seed if seed is None else seed,
        noise=case.noise if noise is None else _tape(noise),
    )


def assignments(option: str, texts: tuple[str, ...]) -> dict[str, Any]:
    """`NAME=VALUE` each; a value is read as JSON where it is JSON, else as the text it is.

    Raises:
        InputError: there is no `=`.
    """
    return {name: _value(text) for name, text in _pairs(option, texts).items()}


def _pairs(option: str, texts: tuple[str, ...]) -> dict[str, str]:
    pairs = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not (name and equals):
            raise InputError(
                f"not NAME=VALUE: {text!r}", where=option, hint=f"write {option} {name or 'x'}=1"
            )
        pairs[name] = value
    return pairs


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _read(path: Path) -> Case:
    document = _document(path)
    unknown = sorted(set(document) - set(_KEYS))
    if unknown:
        raise InputError(
            f"unknown key {unknown[0]!r}", where=str(path), hint=f"there are: {', '.join(_KEYS)}"
        )
    inputs, seed = document.get("inputs", {}), document.get("seed", 0)
    if not isinstance(inputs, dict) or type(seed) is not int:
        raise InputError("`inputs` must be a table and `seed` a whole number", where=str(path))
    return Case(
        name=str(document.get("name", path.stem)),
        inputs=inputs,
        arrays=_arrays(document.get("arrays", {}), path.parent),
        seed=seed,
    )


def _document(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
        document = tomllib.loads(text) if path.suffix == ".toml" else json.loads(text)
    except (OSError, ValueError) as error:
        raise InputError(
            f"cannot be read as a case: {error}", where=str(path), hint="use .toml or .json"
        ) from error
    if not isinstance(document, dict):
        raise InputError("a case is an object with the key `name`", where=str(path))
    return document


def _arrays(given: object, folder: Path) -> Mapping[str, np.ndarray[Any, np.dtype[Any]]]:
    """Arrays from a table of .npy files, or from one .npz file, relative to the case's folder."""
    if isinstance(given, dict):
        return {name: _array(folder / str(path)) for name, path in given.items()}
    path = folder / str(given)
    found = _loaded(path)
    if isinstance(found, np.ndarray):
        raise InputError(
            "holds one array", where=str(path), hint=f'write arrays = {{name = "{given}"}}'
        )
    with found as archive:
        return {name: archive[name] for name in archive.files}


def _array(path: Path) -> np.ndarray[Any, np.dtype[Any]]:
    found = _loaded(path)
    if not isinstance(found, np.ndarray):
        found.close()
        raise InputError(
            "holds several arrays", where=str(path), hint="name a .npy file, which holds one"
        )
    return found


def _loaded(path: Path) -> Any:
    try:
        return np.load(path, allow_pickle=False)
    except OSError as error:
        what = f"cannot be read: {error.strerror or error}"
        raise InputError(what, where=str(path), hint="check the path") from error
    except (ValueError, EOFError) as error:
        # numpy takes what it does not know for a pickle, and advises to load it all the same.
        raise InputError(
            "is no file of numbers that numpy wrote", where=str(path),
            hint="write it with numpy.save(file, array)",
        ) from error  # fmt: skip


def _tape(path: Path) -> tuple[NoiseDraw, ...]:
    from parity.store import open_capture  # noqa: PLC0415 - keeps --help quick

    with open_capture(path) as capture:
        tape = tuple(capture.noise)
    if not tape:
        raise InputError("holds no random draws to replay", where=str(path), hint="leave --noise")
    return tape
