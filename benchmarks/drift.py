"""The picture in the README: a port of Pocket TTS whose GELU is exact where the reference's is not.

    python -m benchmarks.drift

Between versions 3.0 and 3.1 the real package changed from exact to tanh GELU, so this is what a
port made before would show after.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.terminal_theme import DEFAULT_TERMINAL_THEME
from torch.nn import functional

from fixtures.pocket_tts.port import torch_port
from parity.report.words import headline
from parity.run import Config, Implementation, load_config, run
from parity.run.config import ReportConfig
from parity.run.screen import screen
from parity_torch.pocket_tts import transformer

__all__ = ["exact_gelu_port", "main"]

ROOT = Path(__file__).resolve().parents[1]
PICTURE = ROOT / "docs" / "images" / "drift.svg"


def exact_gelu_port(**options: Any) -> object:
    """The port with the other GELU, in this process only."""
    transformer.gelu = functional.gelu
    return torch_port(**options)


def main() -> None:
    """Run it on one sentence, full size, and draw what the terminal shows."""
    result = run(_config(), cases=["alba-hello"])
    console = Console(record=True, width=96, file=io.StringIO())
    console.print(screen(result, rows=8))
    title = "parity run"
    console.save_svg(str(PICTURE), title=title, theme=DEFAULT_TERMINAL_THEME)
    diff = result.comparisons[0].diff
    assert diff is not None, result.comparisons[0].capture.problem
    print(headline(diff))
    print("waveform", diff["waveform"][0].metrics)


def _config() -> Config:
    config = load_config(ROOT / "fixtures" / "pocket_tts" / "parity.toml")
    port = Implementation(options={"program": "benchmarks.drift:exact_gelu_port", "size": "full"})
    candidates = {"exact-gelu": port}
    return msgspec.structs.replace(config, candidates=candidates, report=ReportConfig(formats=()))


if __name__ == "__main__":
    main()
