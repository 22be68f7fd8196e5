"""A stored capture is stale as soon as something that it was made from has changed."""

import sys
from importlib import import_module, invalidate_caches
from pathlib import Path

import pytest

from parity.capture.dependencies import digest_paths, loaded, unchanged


@pytest.fixture
def module_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = tmp_path / "a_port_of_somebody.py"
    file.write_text("value = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    invalidate_caches()
    import_module(file.stem)
    monkeypatch.delitem(sys.modules, file.stem, raising=False)
    sys.modules[file.stem] = import_module(file.stem)
    return file


def test_nothing_changed(module_file: Path) -> None:
    recorded = loaded()
    assert str(module_file) in recorded["sources"]
    assert unchanged(recorded)


def test_a_changed_source_is_noticed(module_file: Path) -> None:
    recorded = loaded()
    module_file.write_text("value = 2\n")
    assert not unchanged(recorded)


def test_a_removed_source_is_noticed(module_file: Path) -> None:
    recorded = loaded()
    module_file.unlink()
    assert not unchanged(recorded)


def test_another_version_of_a_distribution_is_noticed() -> None:
    recorded = loaded()
    assert recorded["distributions"]["xxhash"]
    recorded["distributions"]["xxhash"] = "0.1"
    assert not unchanged(recorded)


@pytest.mark.parametrize("recorded", [{}, {"sources": 3, "distributions": {}}])
def test_what_was_not_recorded_is_not_taken_on_trust(recorded: dict[str, object]) -> None:
    assert not unchanged(recorded)


def test_the_digest_of_a_folder_follows_names_and_contents(tmp_path: Path) -> None:
    folder = tmp_path / "weights"
    folder.mkdir()
    (folder / "a").write_text("x")
    before = digest_paths([folder])
    assert digest_paths([folder]) == before
    (folder / "a").write_text("y")
    changed = digest_paths([folder])
    (folder / "a").rename(folder / "b")
    assert len({before, changed, digest_paths([folder]), digest_paths([tmp_path / "none"])}) == 4
