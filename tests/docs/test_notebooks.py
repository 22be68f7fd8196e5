"""The notebooks run from top to bottom, show what they speak of, and are kept without results."""

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
# What a reader must find in the results, by notebook.
SHOWN = {
    "01_first_divergence": ["Parity does not hold", "layers.0.linear2", "image/png"],
    "02_why": ["norm.eps", "rope.layout", "activation.function", "origin: enters here"],
    "03_listen": ["hears no difference", "1 of 38 frames are zero", "clipped", "image/png"],
    "04_your_own_model": ["padding.mode", "calibrated (float16)", "Parity holds"],
}


@pytest.fixture(scope="module")
def hooks() -> ModuleType:
    spec = importlib.util.spec_from_file_location("hooks", ROOT / "docs" / "site" / "hooks.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_notebook_is_looked_at() -> None:
    assert [path.stem for path in NOTEBOOKS] == sorted(SHOWN)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
@pytest.mark.filterwarnings("ignore")  # the client's own, about event loops and transports
def test_a_notebook_runs_and_shows_what_it_speaks_of(
    path: Path, hooks: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hooks, "RUN", tmp_path)
    done = nbformat.read(hooks.executed(path) / "notebooks" / path.name, as_version=4)
    outputs = [output for cell in done.cells for output in cell.get("outputs", ())]
    assert not [o["text"] for o in outputs if o.get("name") == "stderr"]
    shown = json.dumps(outputs, ensure_ascii=False)
    assert not [text for text in SHOWN[path.stem] if text not in shown]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_kept_without_results(path: Path) -> None:
    cells = nbformat.read(path, as_version=4).cells
    assert not [cell for cell in cells if cell.get("outputs") or cell.get("execution_count")]
