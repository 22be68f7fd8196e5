"""Other people's tools, each as its documentation shows it, for the outputs of all modules."""

from __future__ import annotations

from contextlib import suppress
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


def torchlens(model: nn.Module, run: Run, path: Path) -> None:  # noqa: ARG001
    """A trace with all activations, in memory, for each call."""
    import torchlens as lens  # noqa: PLC0415

    def call(*args: object) -> torch.Tensor:
        lens.trace(model, args).cleanup()
        return torch.empty(0)  # its results stay inside

    run(call)


def nnsight(model: nn.Module, run: Run, path: Path) -> None:
    """Saved outputs of all leaves, a trace for each call, then torch.save."""
    from nnsight import NNsight  # noqa: PLC0415

    traced, kept, leaves = NNsight(model), [], _in_order(model, run)

    def call(*args: object) -> torch.Tensor:
        with traced.trace(*args):
            saved = [].save()
            for name in leaves:
                saved.append(traced.get(name).output)
            y = traced.output.save()
        kept.append(saved)
        return y

    run(call)
    torch.save(kept, path)


def _in_order(model: nn.Module, run: Run) -> list[str]:
    """Names of the leaves in the order of their calls, in which nnsight wants to be asked."""
    order: dict[str, None] = {}
    handles = [
        part.register_forward_hook(lambda *_, name=name: order.setdefault(name))
        for name, part in model.named_modules()
        if not list(part.children())
    ]

    class _OnceError(Exception):
        pass

    def once(*args: object) -> torch.Tensor:
        model(*args)
        raise _OnceError

    with suppress(_OnceError):
        run(once)
    for handle in handles:
        handle.remove()
    return list(order)


PEERS: dict[str, Way] = {"msprobe, level L0": msprobe, "torchlens": torchlens, "nnsight": nnsight}
