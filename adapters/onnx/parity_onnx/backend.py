"""Runs ONNX models, and records their intermediate values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

import onnxruntime

from parity.backends import Capabilities, CaptureSink, resolve
from parity.errors import ConfigError
from parity.tensors import Case, Role, TapPlan
from parity_onnx.choosing import chosen_names
from parity_onnx.exposing import expose
from parity_onnx.metadata import scopes_of
from parity_onnx.model import Runtime, open_model
from parity_onnx.names import ROOT, Named, under
from parity_onnx.recording import Driver, Lost, Recording

__all__ = ["OnnxBackend"]


class OnnxBackend:
    """An ONNX model in ONNX Runtime."""

    name = "onnx"

    def __init__(
        self,
        *,
        model: str | Path,
        names: str | Mapping[str, str] = "auto",
        prefix: str = "",
        taps: str = "modules",
        providers: str | Sequence[str] = "CPUExecutionProvider",
        optimization: str = "all",
        batch: int | str = 40,
        threads: int | str = 1,
        driver: str | Driver = "",
        python_path: str | Path | Sequence[str | Path] = (),
    ) -> None:
        """Take the options; what each means stands in `parity_onnx.ADAPTER.options`.

        Raises:
            InputError: there is no such model.
            ConfigError: an option cannot be used.
            BackendError: ONNX Runtime does not load the model, or the driver cannot be found.
        """
        listed = providers.split(",") if isinstance(providers, str) else tuple(providers)
        self._runtime = Runtime(tuple(listed), optimization, _count("threads", threads))
        self._batch = _count("batch", batch)
        self._prefix = prefix
        self._model = open_model(Path(model))
        self._names = chosen_names(self._model, names)
        self._named = tuple(self._all_named(_choice("taps", taps, ("modules", "all")) == "all"))
        folders = (python_path,) if isinstance(python_path, str | Path) else tuple(python_path)
        self._driver = _driver(driver, folders)
        self._untouched = self._model.session(self._runtime)

    def capabilities(self) -> Capabilities:
        """It records; where it runs is the providers' affair."""
        return Capabilities(devices=self._untouched.providers)

    def capture(self, case: Case, plan: TapPlan, sink: CaptureSink) -> None:
        """Run `case` and record what `plan` wants.

        The model runs untouched first. Then it runs with more outputs, `batch` at a time; the
        model's own outputs are recorded from the untouched run, and compared with the others.

        Raises:
            InputError: the case does not fit the model.
            BackendError: the model or the driver fails.
        """
        self._describe(sink)
        lost = Lost()
        wanted = self._wanted(plan, lost)
        recording = Recording(
            self._model, self._untouched, self._named, case, driver=self._driver, lost=lost
        )
        values = [one.value for one in wanted]
        for part in expose(self._model, self._runtime, values, self._batch):
            recording.take(part, [one for one in wanted if one.value in part.values], sink)
        remarks = [words for words in (self._names.remark, recording.remarks) if words]
        said = {"remarks": "; ".join(remarks), "skipped": str(lost)}
        sink.describe({name: words for name, words in said.items() if words})

    def _describe(self, sink: CaptureSink) -> None:
        proto, runtime = self._model.proto, self._runtime
        opsets = [one.version for one in proto.opset_import if not one.domain]
        sink.describe({"framework": "onnx", "framework_version": onnxruntime.__version__})
        sink.describe({
            "implementation": self._model.path.name,
            "producer": f"{proto.producer_name} {proto.producer_version}".strip(),
            "opset": max(opsets, default=0),
            "device": ", ".join(self._untouched.providers),
            "optimization": runtime.optimization,
            "threads": runtime.threads,
            "names": self._names.origin,
        })  # fmt: skip

    def _all_named(self, others: bool) -> Iterator[Named]:
        """Values by the paths that they are recorded under; every value where `others` is true."""
        named = list(self._names.named)
        if not any(one.path == ROOT for one in named):
            outputs = enumerate(self._model.outputs)
            named += [Named(value, ROOT, str(i) if i else "") for i, value in outputs]
        for one in named:
            yield replace(one, path=under(self._prefix, one.path))
        if not others:
            return
        known = {one.value for one in named}
        for node in self._model.proto.graph.node:
            inside = under(self._prefix, (scopes_of(node) or ("",))[-1])
            for value in node.output:
                if value and value not in known:
                    yield Named(value, f"{inside}::{value}")

    def _wanted(self, plan: TapPlan, lost: Lost) -> list[Named]:
        """What to record, in execution order; notes what there is no value for."""
        model = self._model
        for missing in self._names.unnamed:
            path = under(self._prefix, missing.path)
            if plan.wants_path(path, Role.OUTPUT):
                lost.add(path, missing.reason)
        place = {value: i for i, value in enumerate((*model.inputs, *model.values))}
        wanted = []
        for one in self._named:
            if not plan.wants_path(one.path, Role.OUTPUT):
                continue
            if one.value in place:
                wanted.append(one)
            elif one.value in model.inner:
                lost.add(one.path, "made in the body of a loop or branch")
            else:
                lost.add(one.path, f"the model has no value {one.value!r}")
        return sorted(wanted, key=lambda one: place[one.value])


def _driver(given: str | Driver, folders: Sequence[str | Path]) -> Driver | None:
    found = resolve(given, python_path=folders) if isinstance(given, str) and given else given
    if found and not callable(found):
        raise ConfigError("is not a function", where=f"driver = {given}")
    return cast(Driver, found) if found else None


def _choice(option: str, given: str, known: Sequence[str]) -> str:
    if given not in known:
        raise ConfigError(f"there is no choice {given!r}", where=option, hint=" or ".join(known))
    return given


def _count(option: str, given: int | str) -> int:
    try:
        count = int(given)
    except ValueError as error:
        raise ConfigError(f"not a whole number: {given!r}", where=option) from error
    if count < 1:
        raise ConfigError(f"needs at least 1, got {count}", where=option)
    return count
