"""The Python examples of the documents run, and their links lead somewhere.

Those that are written as interactive sessions are run by the tests of their subject.
"""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?:|#)([^)#]+)")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_python_of_a_page_runs(
    page: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    capture_of: Callable[..., Path],
) -> None:
    blocks = [
        block
        for block in BLOCK.findall(page.read_text(encoding="utf-8"))
        if not block.startswith(">>>")
    ]
    monkeypatch.chdir(tmp_path)
    if page.name == "capture-file.md":
        capture_of("reference.h5", [("net.norm", np.ones(3) * i) for i in range(200)])
    names: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, page.name, "exec"), names)
    printed = capsys.readouterr().out
    if page.name == "README.md":
        assert printed.startswith("Parity does not hold")
        assert printed.endswith("\n1\n")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_links_of_a_page_lead_somewhere(page: Path) -> None:
    targets = LINK.findall(page.read_text(encoding="utf-8"))
    missing = [target for target in targets if not (page.parent / target).exists()]
    assert not missing
