"""The harness in Swift: it parses, it agrees with the format, and it builds where Swift is."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tree_sitter_swift
from tree_sitter import Language, Node, Parser

import parity
from parity.cli.main import main

COREML = Path(__file__).resolve().parents[3] / "adapters" / "coreml"
PACKAGE = COREML / "swift"
SOURCES = sorted(PACKAGE.rglob("*.swift"))
SWIFT = shutil.which("swift")


def parsed(text: str) -> Node:
    return Parser(Language(tree_sitter_swift.language())).parse(text.encode()).root_node


def wrong(node: Node) -> Iterator[str]:
    """Places that the grammar cannot read."""
    if node.type == "ERROR" or node.is_missing:
        yield f"line {node.start_point[0] + 1}: {(node.text or b'').decode()[:80]!r}"
    elif node.has_error:
        for child in node.children:
            yield from wrong(child)


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.name)
def test_every_source_parses(source: Path) -> None:
    assert list(wrong(parsed(source.read_text(encoding="utf-8")))) == []


def test_what_does_not_parse_is_noticed() -> None:
    assert list(wrong(parsed("func f( { let = 3 }")))


@pytest.mark.skipif(SWIFT is None, reason="no Swift toolchain here: https://swift.org/install")
def test_the_package_builds_and_its_tests_pass(tmp_path: Path) -> None:
    copy = shutil.copytree(PACKAGE, tmp_path / "swift")
    done = subprocess.run(
        [str(SWIFT), "test"], check=False, cwd=copy, capture_output=True, text=True, timeout=900
    )
    assert done.returncode == 0, done.stdout + done.stderr


def documented(title: str) -> dict[str, Any]:
    """The example of a JSON file in BUNDLE.md."""
    text = (COREML / "BUNDLE.md").read_text(encoding="utf-8")
    return json.loads(re.search(rf"{title}.*?```json\n(.*?)```", text, re.DOTALL)[1])


def keys(value: Any) -> set[str]:
    """All keys of objects in a JSON value."""
    if isinstance(value, list):
        return set().union(*map(keys, value))
    return set(value).union(*map(keys, value.values())) if isinstance(value, dict) else set()


def spelt(file: str) -> set[str]:
    """Names of the properties and coding keys that a Swift file declares."""
    text = (PACKAGE / "Sources" / "ParityFormat" / file).read_text(encoding="utf-8")
    plain = set(re.findall(r"public (?:let|var) `?(\w+)`?", text))
    renamed = dict(re.findall(r'case (\w+) = "(\w+)"', text))
    return {renamed.get(name, name) for name in plain}


def test_the_swift_types_have_the_documented_keys() -> None:
    # These tell a reader of the bundle something, and the harness nothing.
    bundle = keys(documented("`bundle.json`"))
    assert bundle - spelt("Bundle.swift") == {"function", "precision", "not_exposed", "reason"}
    assert keys(documented("`results.json`")) - spelt("Results.swift") == set()
    assert spelt("Results.swift") <= keys(documented("`results.json`"))


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """A results folder as documented: two steps, a module that runs twice in each, and a value."""
    folder, drawn = tmp_path / "results", np.random.default_rng(0)
    files = {f"taps/net.block.output.call{n}.npy": (2, 3) for n in range(4)}
    files |= {f"values/000001.step{step}.npy": (4,) for step in range(2)}
    files |= {f"again/001/000000.step{step}.npy": (2, 3) for step in range(2)}
    for file, shape in files.items():
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        np.save(folder / file, drawn.standard_normal(shape).astype(np.float16))
    (folder / "results.json").write_text(json.dumps(documented("`results.json`")))
    return folder


Parity = Callable[..., int]


@pytest.fixture
def run() -> Parity:
    def run(*arguments: object) -> int:
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        return int(ended.value.code or 0)

    return run


def test_import_reads_the_taps_of_a_results_folder(
    results: Path, run: Parity, tmp_path: Path
) -> None:
    assert run("import", results / "taps", "-o", tmp_path / "device.h5") == 0
    with parity.open(tmp_path / "device.h5") as capture:
        assert [str(record.key) for record in capture] == [
            f"net.block:output#{call}" for call in range(4)
        ]
        for call in range(4):
            stored = np.load(results / "taps" / f"net.block.output.call{call}.npy")
            np.testing.assert_array_equal(capture["net.block"].output[call], stored)
            assert capture["net.block"].output[call].dtype == np.float16


def test_a_file_that_was_cut_off_is_an_error(results: Path, run: Parity, tmp_path: Path) -> None:
    file = results / "taps" / "net.block.output.call1.npy"
    file.write_bytes(file.read_bytes()[:-3])
    assert run("import", results / "taps", "-o", tmp_path / "device.h5") == 2
