"""A small subject without torch: a backend in one file, and the configuration that runs it."""

import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

BACKEND = '''
"""A model of three layers, and ports of it with one fault each."""
import os
import numpy as np
from parity.backends import Capabilities
from parity.tensors import Case, NoiseDraw, Role

class Toy:
    def __init__(self, *, fault="", noisy=True):
        self.name, self.fault, self.noisy = "toy", fault, noisy

    def __del__(self):
        if self.fault == "crashes late":
            os.abort()

    def capabilities(self):
        return Capabilities()

    def capture(self, case, plan, sink):
        if self.fault == "raises":
            raise ValueError("no such layer")
        rng = np.random.default_rng(case.seed)
        noise = case.noise[0].values if case.noise else np.random.default_rng().standard_normal(8)
        sink.noise(NoiseDraw(noise, "normal", phase="run"))
        x = noise + case.inputs.get("shift", 0.0)
        for i in range(3):
            if self.fault == "crashes" and i == 2:
                os.abort()
            x = np.tanh(x * (i + 1))
            if self.fault == "scale" and i == 1:
                x = x * 1.01
            sink.record(f"layer{i}", x, role=Role.OUTPUT, phase="run", duration_s=0.001)

def cases(count=2):
    return [Case(f"case{i}", {"shift": 0.1 * i}, seed=i) for i in range(count)]
'''

CONFIG = """
[subject]
name = "toy"
cases = "toy_subject:cases"

[reference]
backend = "toy_subject:Toy"
isolate = false

[candidates.clean]
backend = "toy_subject:Toy"
isolate = false

[candidates.scaled]
backend = "toy_subject:Toy"
options = { fault = "scale" }
isolate = false

[report]
formats = ["json", "markdown"]
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Writes the subject and its configuration into a folder, and goes there."""

    def make(config: str = CONFIG) -> Path:
        (tmp_path / "toy_subject.py").write_text(textwrap.dedent(BACKEND))
        (tmp_path / "parity.toml").write_text(config)
        monkeypatch.chdir(tmp_path)
        monkeypatch.syspath_prepend(str(tmp_path))
        # Each test has a subject of its own under the same name.
        monkeypatch.delitem(__import__("sys").modules, "toy_subject", raising=False)
        return tmp_path / "parity.toml"

    return make
