"""Ways to get the outputs of all leaf modules out of a running model."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
import safetensors.torch
import torch
from torch import nn

import parity
from parity.tensors import Role, TapPlan

__all__ = ["OURS", "WAYS", "Way"]

Run = Callable[..., torch.Tensor]  # without arguments, runs the model itself
Way = Callable[[nn.Module, Run, Path], None]
Take = Callable[[str, int, torch.Tensor], None]

OURS = "parity"
OUTPUTS = TapPlan(roles=frozenset({Role.OUTPUT}))


def leaf_outputs(model: nn.Module, run: Run, path: Path) -> None:
    """Ours: outputs of all leaves, with statistics, digests, producers, times and noise tape."""
    with parity.record(path, model, plan=OUTPUTS, leaves=True, inputs=False, params=False):
        run()


def everything(model: nn.Module, run: Run, path: Path) -> None:
    """Ours: inputs and outputs of all modules, functional operations, digests of parameters."""
    with parity.record(path, model, operations=True):
        run()


def statistics_only(model: nn.Module, run: Run, path: Path) -> None:
    """Ours: statistics of all leaves' outputs, no tensors."""
    plan = TapPlan(roles=OUTPUTS.roles, tier=parity.Tier.STATS)
    with parity.record(path, model, plan=plan, leaves=True, inputs=False, params=False):
        run()


def bare(model: nn.Module, run: Run, path: Path) -> None:  # noqa: ARG001
    """The model alone."""
    run()


def to_memory(model: nn.Module, run: Run, path: Path) -> None:  # noqa: ARG001
    """Hooks that clone into a list."""
    kept = []
    with _hooks(model, lambda name, call, y: kept.append((name, call, y.clone()))):
        run()


def raw(model: nn.Module, run: Run, path: Path) -> None:
    """Hooks that append bytes to one file: no names, no index."""
    with path.open("wb") as file, _hooks(model, lambda _n, _c, y: _write(file, y)):
        run()


def npy_each(model: nn.Module, run: Run, path: Path) -> None:
    """Hooks that call np.save."""
    path.mkdir()
    with _hooks(model, lambda n, c, y: np.save(path / f"{n}.{c}.npy", y.numpy())):
        run()


def npy_at_the_end(model: nn.Module, run: Run, path: Path) -> None:
    """Hooks that clone into a dictionary, one .npy a name at the end: the story's way."""
    path.mkdir()
    kept: dict[str, list[np.ndarray]] = {}
    with _hooks(model, lambda n, _c, y: kept.setdefault(n, []).append(y.clone().numpy())):
        run()
    for name, calls in kept.items():
        np.save(path / f"{name}.npy", np.stack(calls))


def safetensors_at_the_end(model: nn.Module, run: Run, path: Path) -> None:
    """Hooks that clone into a dictionary, one safetensors file at the end."""
    kept: dict[str, torch.Tensor] = {}
    with _hooks(model, lambda n, c, y: kept.update({f"{n}.{c}": y.clone()})):
        run()
    safetensors.torch.save_file(kept, path)


def hdf5_each(model: nn.Module, run: Run, path: Path) -> None:
    """Hooks that create one HDF5 dataset a call."""
    with h5py.File(path, "w") as file:
        create = file.create_dataset
        with _hooks(model, lambda n, c, y: create(f"{n}/{c}", data=y.numpy())):
            run()


@contextmanager
def _hooks(model: nn.Module, take: Take) -> Iterator[None]:
    handles = []
    for name, module in model.named_modules():
        if next(module.children(), None) is None:
            handles.append(module.register_forward_hook(_hook(name, take)))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _hook(name: str, take: Take) -> Callable[..., None]:
    calls = 0

    def hook(_module: nn.Module, _args: object, output: torch.Tensor) -> None:
        nonlocal calls
        take(name, calls, output)
        calls += 1

    return hook


def _write(file: object, output: torch.Tensor) -> None:
    file.write(np.ascontiguousarray(output.numpy()).data)


WAYS: dict[str, Way] = {
    OURS: leaf_outputs,
    "parity, statistics only": statistics_only,
    "parity, everything": everything,
    "copy to memory": to_memory,
    "bytes to one file": raw,
    "np.save in hooks": npy_each,
    "the story: np.save at the end": npy_at_the_end,
    "safetensors at the end": safetensors_at_the_end,
    "an HDF5 dataset a call": hdf5_each,
}
