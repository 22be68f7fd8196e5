"""The figures of the explanation pages, drawn from a small decoder and ports of it.

    python docs/site/figures.py [FOLDER]

Writes SVG files into docs/images, or into FOLDER.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import matplotlib as mpl
import torch
from matplotlib.figure import Figure
from torch import nn
from torch.nn import functional

import parity
from parity.localize.noise_floors import Floors
from parity.notebook.plots import DiagnosisPlots, FloorPlots, LocalizationPlots
from parity.notebook.plots.canvas import BAD

IMAGES = Path(__file__).resolve().parents[1] / "images"
Tensor = torch.Tensor


class Layer(nn.Module):
    """Attention and a feed-forward part."""

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.gelu = "tanh"
        self.norm1, self.norm2 = nn.LayerNorm(width, eps), nn.LayerNorm(width, eps)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """`x` is [batch, time, width]."""
        parts = self.qkv(self.norm1(x)).chunk(3, -1)
        q, k, v = (part.unflatten(-1, (4, -1)).transpose(1, 2) for part in parts)
        mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(mixed.transpose(1, 2).flatten(2))
        return x + self.down(functional.gelu(self.up(self.norm2(x)), approximate=self.gelu))


def decoder(eps: float = 1e-5) -> nn.Module:
    """Four layers with seeded weights, a norm and a linear layer."""
    torch.manual_seed(0)
    layers = [Layer(64, eps) for _ in range(4)]
    return nn.Sequential(*layers, nn.LayerNorm(64, eps), nn.Linear(64, 100)).eval()


def reordered() -> nn.Module:
    """The decoder with the columns of every linear layer summed in the other order."""
    model = decoder()
    for layer in model.modules():
        if isinstance(layer, nn.Linear):
            backwards = torch.flip(layer.weight.data, [1])
            layer.register_forward_pre_hook(lambda _, args: torch.flip(args[0], [-1]))
            layer.weight.data = backwards
    return model


def faulty() -> nn.Module:
    """The decoder with the exact GELU in one layer, and another epsilon in a norm of the last."""
    model = decoder()
    model[1].gelu = "none"
    model[3].norm1.eps = 1e-3
    return model


def main(folder: Path = IMAGES) -> None:
    """Draw all figures into `folder`."""
    x = torch.randn(1, 24, 64, generator=torch.Generator().manual_seed(1))
    with TemporaryDirectory() as scratch, torch.no_grad():
        reference = Path(scratch) / "reference.h5"
        model = decoder()
        with parity.record(reference, model):
            model(x)
        again = parity.Reference.of_module(model, x, capture=reference)
        floors = parity.calibrate(again, precision=["float64", "float32", "float16", "bfloat16"])
        with _figure(folder / "floors.svg") as figure:
            FloorPlots(floors)(figure.subplots())
        _two_ports(folder, Path(scratch), reference, floors, x)
        port = Path(scratch) / "port.h5"
        wrong = faulty()
        with parity.record(port, wrong, inputs=False, params=False):
            wrong(x)
        _found(folder, again, port)


def _two_ports(folder: Path, scratch: Path, reference: Path, floors: Floors, x: Tensor) -> None:
    with _figure(folder / "drift-floor.svg") as figure:
        axes = figure.subplots()
        ports = {"another eps": decoder(1.5e-5), "sums in another order": reordered()}
        for (name, port), colour in zip(ports.items(), ("#c0392b", "#2b7a78"), strict=True):
            path = scratch / "port.h5"
            with parity.record(path, port, inputs=False, params=False):
                port(x)
            frame = parity.diff(reference, path).to_frame().query("port == 'output'")
            axes.plot(frame["rel_l2"].to_numpy(), "o", markersize=4, color=colour, label=name)
        known = [floors.of(key) for key in floors.keys if key.port == "output"]
        axes.step(range(len(known)), known, where="mid", color="black", lw=1, label="noise floor")
        axes.set(yscale="log", xlabel="tap, in execution order", ylabel="relative error")
        axes.legend(frameon=False, ncols=3, fontsize="small", loc="upper left")
        axes.margins(y=0.3)


def _found(folder: Path, again: parity.Reference, port: Path) -> None:
    """Where two faults show, where they enter, and that the changed reference has them."""
    places = parity.localize(again, port, output="5")
    why = parity.diagnose(again, port, output="5")
    with _figure(folder / "diagnosis.svg", height=6.4) as figure:
        above, middle, below = figure.subplots(3, 1, height_ratios=[3, 3, 2])
        LocalizationPlots(places)(above)
        LocalizationPlots(places).local(middle)
        last = places.origins[-1]
        above.annotate(
            last.key.path, (places.taps.index(last), last.error), xytext=(-4, 12),
            textcoords="offset points", color=BAD, fontsize="small",
        )  # fmt: skip
        known = [(i, tap.floor) for i, tap in enumerate(places.taps) if tap.floor > 0]
        middle.plot(*zip(*known, strict=True), "k_", label="noise floor there")
        middle.legend(loc="upper left", fontsize="small", ncols=4, frameon=False)
        DiagnosisPlots(why).proof(below)
        above.set_title("1. Against the reference's own run", loc="left", fontsize="medium")
        middle.set_title(
            "2. Against the reference on the port's own tensors", loc="left", fontsize="medium"
        )
        below.set_title("3. With a cause put into the reference", loc="left", fontsize="medium")
        below.legend(
            frameon=False, fontsize="small", ncols=3, loc="lower right", bbox_to_anchor=(1, 1)
        )
        above.set_xlabel("")


@contextmanager
def _figure(path: Path, *, height: float = 3.2) -> Iterator[Figure]:
    figure = Figure(figsize=(8.5, height), layout="constrained")
    yield figure
    with mpl.rc_context({"svg.hashsalt": "parity", "svg.fonttype": "none"}):
        figure.savefig(path, format="svg", metadata={"Date": None})


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:2]))
