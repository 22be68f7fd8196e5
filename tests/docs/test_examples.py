"""The examples of the documents run, their commands exist, and their links lead somewhere.

Blocks marked `python` run, and so do commands in blocks marked `shell`, in the order of the page.
Those that are written as interactive sessions are run by the tests of their subject.
"""

import re
import shlex
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import numpy as np
import pytest

from fixtures.speech import path as spoken
from parity.cli.main import main, parity

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```(python|shell)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PLAIN = re.compile(r"^```(?:shell)?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
STATUS = re.compile(r"# exit status (\d)$")
LINK = re.compile(r"\]\((?!https?:|#)([^)#]+)")

# Pages whose examples need what not every environment has.
EXTRAS = {"mlx": "mlx.core", "onnx": "onnxruntime"}

every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


@every_page
def test_the_examples_of_a_page_run(
    page: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    capture_of: Callable[..., Path],
) -> None:
    if page.stem in EXTRAS:
        pytest.importorskip(EXTRAS[page.stem], reason=f"pip install 'parity[{page.stem}]'")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    before = set(sys.modules)
    if page.name == "capture-file.md":
        capture_of("reference.h5", [("net.norm", np.ones(3) * i) for i in range(200)])
    if page.name == "listening.md":
        said = spoken("question").read_bytes()
        (tmp_path / "reference.wav").write_bytes(said)
        (tmp_path / "port.wav").write_bytes(said)
    names: dict[str, object] = {}
    try:
        for language, block in BLOCK.findall(page.read_text(encoding="utf-8")):
            if language == "shell":
                run_commands(block)
            elif not block.startswith(">>>"):
                exec(compile(block, page.name, "exec"), names)
    finally:
        for name in {"my_model", "subject"} - before:
            sys.modules.pop(name, None)
    printed = capsys.readouterr().out
    if page.name == "README.md":
        assert printed.startswith("Parity does not hold")
        assert printed.endswith("\n1\n")


def run_commands(block: str) -> None:
    """Run the `parity` commands of a block; each ends with 0 or the status in its comment."""
    for line in block.strip().splitlines():
        said = STATUS.search(line)
        program, *arguments = shlex.split(line, comments=True)
        assert program == "parity", line
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        assert ended.value.code == (int(said[1]) if said else 0), line


def test_a_command_with_another_status_is_noticed(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="no-such-file"):
        run_commands(f"parity show {tmp_path}/no-such-file.h5\n")


@every_page
def test_the_commands_of_a_page_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    lines = [line for block in PLAIN.findall(text) for line in block.splitlines()]
    called = [line for line in lines if line.startswith("parity ")]
    assert not [wrong for line in called for wrong in unknown_words(line)]


def unknown_words(line: str) -> Iterator[str]:
    """Commands and options in a line that `parity` does not have."""
    _, name, *words = shlex.split(line, comments=True)
    context = click.Context(parity)
    command = parity.get_command(context, name)
    if command is None:
        yield name
        return
    if isinstance(command, click.Group) and words and not words[0].startswith("-"):
        name, *words = words
        command = command.get_command(context, name)
        if command is None:
            yield name
            return
    options = {one for parameter in command.params for one in parameter.opts}
    options |= {one for parameter in command.params for one in parameter.secondary_opts}
    given = {word.partition("=")[0] for word in words if word.startswith("-") and word != "-"}
    yield from given - options


def test_a_word_that_does_not_exist_is_noticed() -> None:
    assert list(unknown_words("parity compare a b")) == ["compare"]
    assert list(unknown_words("parity diff a b --htlm x --json -")) == ["--htlm"]
    assert list(unknown_words("parity backends chek a")) == ["chek"]
    assert list(unknown_words("parity backends check a --arry x=x.npy")) == ["--arry"]


@every_page
def test_the_links_of_a_page_lead_somewhere(page: Path) -> None:
    targets = LINK.findall(page.read_text(encoding="utf-8"))
    missing = [target for target in targets if not reachable(page, target)]
    assert not missing


def reachable(page: Path, target: str) -> bool:
    """Whether a link leads to a file; the site has the notebooks beside its pages."""
    beside = page.parent if target.startswith("..") or page.parent != ROOT / "docs" else ROOT
    return (page.parent / target).exists() or (
        target.startswith("notebooks/") and (beside / target).exists()
    )
