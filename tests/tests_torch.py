"""A small torch reference, ports of it with one fault each, and their configuration."""

from pathlib import Path

MODEL = '''
"""Three layers, and ports of them."""
import numpy as np
import torch
from torch import nn

from parity.tensors import Case


class Layer(nn.Module):
    def __init__(self, activation):
        super().__init__()
        self.up, self.act, self.down = nn.Linear(8, 16), activation, nn.Linear(16, 8)

    def forward(self, x):
        return x + self.down(self.act(self.up(x)))


class Program:
    """What the torch backend runs; `fault` makes it a port."""

    name = "small"

    def __init__(self, fault="", name="net"):
        wrong = nn.GELU if fault == "gelu" else nn.ELU
        self.net = nn.Sequential(Layer(wrong()), Layer(wrong()), Layer(nn.ELU()))
        if fault == "odd":
            self.net[1].act = Odd()
        self.modules = {name: self.net}

    def run(self, case):
        return {"logits": self.net(torch.tensor(case.arrays["x"]))}


class Odd(nn.Module):
    """Explained by no convention."""

    def forward(self, x):
        return nn.functional.elu(x) + 0.3 * torch.cos(7 * x).cumsum(-1) * torch.arange(16.0)


class Stumbling(Program):
    """Runs once, and not when it is listened to operation by operation."""

    runs = 0

    def run(self, case):
        Stumbling.runs += 1
        if Stumbling.runs > 1:
            raise ValueError("the second run is not like the first")
        return super().run(case)


def cases():
    drawn = np.random.default_rng(0)
    return [Case("short", arrays={"x": drawn.standard_normal((2, 5, 8)).astype("float32")})]
'''

CONFIG = """
[subject]
name = "small"
output = "logits"
cases = "small_model:cases"

[reference]
options = { program = "small_model:Program" }
isolate = false

[candidates.clean]
options = { program = "small_model:Program" }
isolate = false

[candidates.gelu]
options = { program = "small_model:Program", fault = "gelu" }
isolate = false

[candidates.odd]
options = { program = "small_model:Program", fault = "odd" }
isolate = false

[report]
formats = ["json", "markdown", "html", "junit"]
"""


def write_project(folder: Path, config: str = CONFIG) -> Path:
    """Write the model and the configuration into `folder`; gives the configuration's path."""
    (folder / "small_model.py").write_text(MODEL)
    (folder / "parity.toml").write_text(config)
    return folder / "parity.toml"
