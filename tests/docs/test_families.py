"""The page of convention families names what the code can say, and nothing else."""

import re
from pathlib import Path

import pytest
from tests_identifiers import UnresolvedError, emitted

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "families.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| `([a-z]+\.[a-z_]+)` \| (.*) \|$", re.MULTILINE)
ROWS = [(name, [cell.strip() for cell in rest.split(" |")]) for name, rest in ROW.findall(PAGE)]


@pytest.fixture(scope="module")
def said() -> dict[str, bool]:
    """What the code can say, each with whether a number is solved for."""
    found = emitted(ROOT / "parity" / "diagnose")
    assert len(found) > 100
    return {name: one.solved for name, one in found.items()}


def test_every_name_that_the_code_can_say_stands_on_the_page_once(said: dict[str, bool]) -> None:
    names = [name for name, _ in ROWS]
    assert sorted(names) == sorted(said)


def test_the_page_says_where_a_number_is_solved_for(said: dict[str, bool]) -> None:
    assert {name for name, cells in ROWS if cells[1] == "solved"} == {n for n in said if said[n]}
    assert {cells[1] for _, cells in ROWS} == {"solved", ""}


def test_names_in_sentences_and_cross_references_exist(said: dict[str, bool]) -> None:
    families = {name.partition(".")[0] for name in said}
    mentioned = re.findall(r"`([a-z]+)\.([a-z_]+)`", PAGE)
    assert not {f"{f}.{p}" for f, p in mentioned if f in families} - set(said)


def test_every_family_is_introduced(said: dict[str, bool]) -> None:
    introduced = re.findall(r"^\*\*`([a-z]+)`\*\* - ", PAGE, re.MULTILINE)
    assert sorted(introduced) == sorted({name.partition(".")[0] for name in said})


# -- How names are read off the code ---------------------------------------------------------------


def _emitted(tmp_path: Path, source: str) -> set[str]:
    (tmp_path / "one.py").write_text(source)
    return set(emitted(tmp_path, "made.up"))


def test_names_are_followed_through_loops_arguments_and_results(tmp_path: Path) -> None:
    source = """
NAME = "a"
class Maker:
    def say(self, parameter, family=NAME):
        return Hypothesis(family, parameter, "x", "y")
def pick(flag):
    return ("b", "two") if flag else (NAME, "three")
def propose(view):
    options = [("four", 1)]
    options += [("five", 2)]
    for parameter, _ in options:
        yield Hypothesis(NAME, parameter, "x", "y")
    family, parameter = pick(view)
    yield Hypothesis(family, parameter, "x", "y")
    yield Maker().say("one")
    yield Maker().say("six", "c")
"""
    expected = {"a.one", "a.three", "a.four", "a.five", "b.two", "c.six"}
    assert _emitted(tmp_path, source) == expected


def test_a_name_that_cannot_be_followed_is_an_error(tmp_path: Path) -> None:
    source = "def propose(view):\n    yield Hypothesis('a', view.made_up(), 'x', 'y')\n"
    with pytest.raises(UnresolvedError, match="made_up"):
        _emitted(tmp_path, source)


def test_a_function_that_nobody_calls_is_an_error(tmp_path: Path) -> None:
    source = "def say(parameter):\n    return Hypothesis('a', parameter, 'x', 'y')\n"
    with pytest.raises(UnresolvedError, match="nothing leads here"):
        _emitted(tmp_path, source)
