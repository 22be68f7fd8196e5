"""An ONNX model: its graph, and sessions of ONNX Runtime that give out more of its values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.inliner
import onnxruntime as ort

from parity.errors import BackendError, ConfigError, InputError

__all__ = ["Array", "Model", "Runtime", "Session", "open_model", "structure"]

Array = np.ndarray[Any, np.dtype[Any]]

_LEVELS = {
    "all": ort.GraphOptimizationLevel.ORT_ENABLE_ALL,
    "extended": ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
    "basic": ort.GraphOptimizationLevel.ORT_ENABLE_BASIC,
    "none": ort.GraphOptimizationLevel.ORT_DISABLE_ALL,
}
# Where ONNX Runtime looks for external data of a model that it is given as bytes.
_DATA_FOLDER = "session.model_external_initializers_file_folder_path"
_ONLY_ERRORS = 3


@dataclass(frozen=True, slots=True)
class Runtime:
    """How a model is run.

    Attributes:
        providers: execution providers, the most wanted first.
        optimization: of the graph: `all`, `extended`, `basic` or `none`.
        threads: compute threads.
    """

    providers: tuple[str, ...] = ("CPUExecutionProvider",)
    optimization: str = "all"
    threads: int = 1

    def __post_init__(self) -> None:
        known = ort.get_available_providers()
        for provider in self.providers:
            if provider not in known:
                raise ConfigError(
                    f"ONNX Runtime has no execution provider {provider!r} here",
                    where="providers",
                    hint=f"one of {', '.join(known)}",
                )
        if self.optimization not in _LEVELS:
            raise ConfigError(
                f"there is no optimization {self.optimization!r}",
                where="optimization",
                hint=f"one of {', '.join(_LEVELS)}",
            )

    def options(self, folder: Path) -> Any:
        """The session's options, with external data from `folder`."""
        options = ort.SessionOptions()
        options.graph_optimization_level = _LEVELS[self.optimization]
        options.intra_op_num_threads = options.inter_op_num_threads = self.threads
        options.log_severity_level = _ONLY_ERRORS
        options.add_session_config_entry(_DATA_FOLDER, str(folder.resolve()))
        return options


class Session:
    """A loaded model, ready to run.

    Attributes:
        outputs: names of what it gives out.
        providers: the execution providers that it got.
    """

    def __init__(self, proto: bytes, runtime: Runtime, path: Path) -> None:
        try:
            self._session = ort.InferenceSession(
                proto, runtime.options(path.parent), providers=list(runtime.providers)
            )
        except Exception as error:  # ONNX Runtime's classes of errors have no common base
            raise BackendError(
                f"ONNX Runtime does not load it: {_first_line(error)}", where=str(path)
            ) from error
        self._path = path
        self.outputs = [one.name for one in self._session.get_outputs()]
        self.providers = tuple(self._session.get_providers())

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Any]:
        """What the model gives out, by name.

        Raises:
            BackendError: it fails.
        """
        try:
            made = self._session.run(self.outputs, dict(feeds))
        except Exception as error:
            raise BackendError(
                f"ONNX Runtime does not run it: {_first_line(error)}", where=str(self._path)
            ) from error
        return dict(zip(self.outputs, made, strict=True))


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """A model without its weights, as far as these lie beside it.

    Attributes:
        path: its file.
        proto: the `onnx.ModelProto`, local functions inlined.
        inputs: element type by name of what a run needs.
        outputs: names of what it gives out.
        values: names of what its nodes make, in execution order; not of bodies inside nodes.
        inner: names of what is made in the bodies of loops and branches.
    """

    path: Path
    proto: Any
    inputs: Mapping[str, np.dtype[Any]]
    outputs: tuple[str, ...]
    values: tuple[str, ...]
    inner: frozenset[str]

    def session(self, runtime: Runtime, more: Sequence[str] = ()) -> Session:
        """Load it, with `more` of its values given out.

        Raises:
            BackendError: ONNX Runtime does not load it.
        """
        copy = onnx.ModelProto()
        copy.CopyFrom(self.proto)
        # Without a type: ONNX Runtime infers it, and knows more types than `onnx` infers.
        copy.graph.output.extend(onnx.ValueInfoProto(name=name) for name in more)
        return Session(copy.SerializeToString(), runtime, self.path)


def open_model(path: Path) -> Model:
    """Read a model.

    Raises:
        InputError: it is not there, is none, or takes what is no tensor.
    """
    try:
        proto = onnx.load(str(path), load_external_data=False)
        if proto.functions:
            proto = onnx.inliner.inline_local_functions(proto)
    except Exception as error:  # protobuf's, which differ by its implementation
        raise InputError(
            f"no ONNX model can be read from it: {_first_line(error)}", where=str(path)
        ) from error
    if not proto.graph.output:
        raise InputError("is no ONNX model: it has no outputs", where=str(path))
    graph = proto.graph
    stored = {one.name for one in graph.initializer}
    return Model(
        path,
        proto,
        {one.name: _dtype(one, path) for one in graph.input if one.name not in stored},
        tuple(one.name for one in graph.output),
        tuple(value for node in graph.node for value in node.output if value),
        frozenset(_inner(graph, top=True)),
    )


def structure(graph: Any) -> str:
    """A digest of what is computed from what by which operations; weights do not count."""
    digest = blake2b(digest_size=16)
    for node in graph.node:
        digest.update(repr((node.op_type, list(node.input), list(node.output))).encode())
    digest.update(repr([one.name for one in (*graph.input, *graph.output)]).encode())
    return digest.hexdigest()


def _dtype(value: Any, path: Path) -> np.dtype[Any]:
    if not value.type.tensor_type.elem_type:
        words = f"its input {value.name!r} is no tensor, and a case holds nothing else"
        raise InputError(words, where=str(path), hint="export the model with tensors as inputs")
    return np.dtype(onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type))


def _inner(graph: Any, *, top: bool) -> list[str]:
    found = [] if top else [value for node in graph.node for value in node.output]
    for node in graph.node:
        for attribute in node.attribute:
            for body in (attribute.g, *attribute.graphs):
                found += _inner(body, top=False)
    return found
