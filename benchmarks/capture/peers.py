"""Other people's tools, each as its documentation shows it, for the outputs of all modules."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from benchmarks.capture.ways import Run, Way

__all__ = ["PEERS"]


def msprobe(model: nn.Module, run: Run, path: Path) -> None:
    """mindstudio-probe at level L0: inputs and outputs of modules, with statistics, a file each."""
    from msprobe.pytorch import PrecisionDebugger  # noqa: PLC0415

    debugger = PrecisionDebugger(task="tensor", level="L0", dump_path=str(path))
    debugger.start(model=model)
    run()
    debugger.stop()
    debugger.step()


class _Whole(nn.Module):
    """A run as one module, which is what torchlens and nnsight trace."""

    def __init__(self, model: nn.Module, run: Run) -> None:
        super().__init__()
        self.model = model
        self.run = run

    def forward(self, start: torch.Tensor) -> torch.Tensor:
        return self.run() + 0 * start


def torchlens(model: nn.Module, run: Run, path: Path) -> None:  # noqa: ARG001
    """A trace with all activations, in memory."""
    import torchlens as lens  # noqa: PLC0415

    lens.trace(_Whole(model, run), torch.zeros(1)).cleanup()


def nnsight(model: nn.Module, run: Run, path: Path) -> None:
    """Saved outputs of all leaves, one trace around the run, then torch.save."""
    from nnsight import NNsight  # noqa: PLC0415

    whole = NNsight(_Whole(model, run))
    leaves = [name for name, part in model.named_modules() if not list(part.children())]
    saved = []
    with whole.trace(torch.zeros(1)) as tracer, tracer.iter[:]:
        for name in leaves:
            saved.append(whole.model.get(name).output.save())  # noqa: PERF401
    torch.save(saved, path)


PEERS: dict[str, Way] = {"msprobe, level L0": msprobe, "torchlens": torchlens, "nnsight": nnsight}
