"""The command line: help that helps, errors that say what to do, exit statuses as promised."""

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from parity.cli.main import COMMANDS, main
from parity.cli.main import parity as group

CaptureOf = Callable[..., Path]


def arrays(scale: float = 1.0) -> dict[str, np.ndarray]:
    drawn = np.random.default_rng(5)
    return {f"layer{i}": drawn.standard_normal(20) * (scale if i else 1.0) for i in range(3)}


@pytest.fixture
def parity(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Runs the command line; gives exit status, standard output and standard error."""

    def call(*arguments: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as stop:
            main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err
        return int(stop.value.code or 0), captured.out, captured.err

    return call


Parity = Callable[..., tuple[int, str, str]]


def test_help_lists_every_command(parity: Parity) -> None:
    status, out, _ = parity("--help")
    assert status == 0
    assert all(f"\n  {name} " in out for name in COMMANDS)
    assert "Exit status: 0 parity holds" in out


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_examples(parity: Parity, name: str) -> None:
    status, out, _ = parity(name, "--help")
    assert status == 0
    assert f"parity {name}" in out


def test_a_misspelt_command_is_guessed(parity: Parity) -> None:
    status, _, err = parity("dif", "a", "b")
    assert status == 2
    assert "Did you mean 'diff'?" in err


@pytest.mark.parametrize(
    ("raised", "said"),
    [
        (PermissionError(13, "Permission denied", "there/x.h5"), "there/x.h5: Permission denied"),
        (ZeroDivisionError("division by zero"), "a defect of parity itself"),
    ],
)
def test_a_crash_does_not_exit_like_a_divergence(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    raised: Exception,
    said: str,
) -> None:
    def crash(**_: object) -> int:
        raise raised

    monkeypatch.setattr(group, "main", crash)
    with pytest.raises(SystemExit) as stop:
        main(["doctor"])
    assert stop.value.code == 2
    err = capsys.readouterr().err
    assert f"error: {said}" in err
    assert ("Traceback" in err) == isinstance(raised, ZeroDivisionError)


def test_equal_captures_exit_with_0(parity: Parity, capture_of: CaptureOf) -> None:
    status, out, _ = parity("diff", capture_of("a.h5", arrays()), capture_of("b.h5", arrays()))
    assert status == 0
    assert "Parity holds: 3 tensors at 3 taps agree." in out


def test_different_captures_exit_with_1(parity: Parity, capture_of: CaptureOf) -> None:
    status, out, _ = parity("diff", capture_of("a.h5", arrays()), capture_of("b.h5", arrays(2.0)))
    assert status == 1
    assert "Parity does not hold: 2 of 3" in out
    assert "layer1" in out


def test_nothing_to_compare_exits_with_3(parity: Parity, capture_of: CaptureOf) -> None:
    renamed = {f"port.{name}": array for name, array in arrays().items()}
    status, out, _ = parity("diff", capture_of("a.h5", arrays()), capture_of("b.h5", renamed))
    assert status == 3
    assert "Nothing can be concluded" in out


def test_options_reach_the_comparison(parity: Parity, capture_of: CaptureOf) -> None:
    pair = capture_of("a.h5", arrays()), capture_of("b.h5", arrays(1.0001))
    assert parity("diff", *pair)[0] == 1
    assert parity("diff", *pair, "--preset", "story")[0] == 0
    assert parity("diff", *pair, "--rule", "layer*: max_rel_l2=1e-3")[0] == 0
    assert parity("diff", *pair, "--include", "layer0")[0] == 0
    renamed = capture_of("c.h5", {f"port.{name}": array for name, array in arrays().items()})
    assert parity("diff", pair[0], renamed, "--rename", "port.{rest} -> {rest}")[0] == 0


def test_json_on_the_standard_output_is_alone_there(parity: Parity, capture_of: CaptureOf) -> None:
    pair = capture_of("a.h5", arrays()), capture_of("b.h5", arrays(2.0))
    status, out, err = parity("diff", *pair, "--json", "-")
    document = json.loads(out)
    assert (status, err) == (1, "")
    assert document["first_divergence"]["tap"] == "layer1"


def test_reports_are_written_beside_the_screen(
    parity: Parity, capture_of: CaptureOf, tmp_path: Path
) -> None:
    pair = capture_of("a.h5", arrays()), capture_of("b.h5", arrays(2.0))
    kinds = ("json", "csv", "html", "junit", "markdown")
    options = [f"--{kind}={tmp_path / kind}" for kind in kinds]
    status, out, _ = parity("diff", *pair, *options)
    assert status == 1
    assert "Parity does not hold" in out
    assert all((tmp_path / kind).stat().st_size > 100 for kind in kinds)


def truncated(path: Path) -> Path:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 3])
    return path


def written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


@pytest.mark.parametrize("name", ["missing", "folder", "text", "truncated", "foreign"])
def test_an_unusable_file_is_an_error_that_names_it(
    parity: Parity, capture_of: CaptureOf, tmp_path: Path, name: str
) -> None:
    bad = {
        "missing": lambda: tmp_path / "missing.h5",
        "folder": lambda: tmp_path,
        "text": lambda: written(tmp_path / "text.h5", "not HDF5"),
        "truncated": lambda: truncated(capture_of("truncated.h5", arrays())),
        "foreign": lambda: foreign(tmp_path / "foreign.h5"),
    }[name]()
    for order in ((bad, capture_of("a.h5", arrays())), (capture_of("a.h5", arrays()), bad)):
        status, out, err = parity("diff", *order)
        assert (status, out) == (2, "")
        assert str(bad) in err
        assert "try:" in err


def foreign(path: Path) -> Path:
    """An HDF5 file that somebody else's program wrote."""
    code = f"import h5py; h5py.File({str(path)!r}, 'w')['x'] = [1.0]"
    subprocess.run([sys.executable, "-c", code], check=True)
    return path


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--preset", "fp23"], "did you mean"),
        (["--rule", "layer1"], "is not of the form"),
        (["--rename", "a b"], "->"),
        (["--json", "/proc/none/x.json"], "cannot be written"),
    ],
)
def test_a_wrong_option_says_what_is_right(
    parity: Parity, capture_of: CaptureOf, options: Sequence[str], words: str
) -> None:
    pair = capture_of("a.h5", arrays()), capture_of("b.h5", arrays())
    status, _, err = parity("diff", *pair, *options)
    assert status == 2
    assert words in err


def loaded_by(code: str) -> set[str]:
    """The names of the modules that are loaded after `code` in a new process."""
    script = f"{code}\nimport sys; print(*sorted(sys.modules), file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    return set(done.stderr.split())


HEAVY = {"torch", "h5py", "pandas", "matplotlib", "coremltools", "numba", "scipy"}


@pytest.mark.parametrize(
    "code",
    [
        "import parity; dir(parity)",
        "import parity; parity.tap('a', 1)",
        "from parity.cli import main\ntry: main(['--help'])\nexcept SystemExit: pass",
    ],
)
def test_nothing_heavy_is_loaded_before_it_is_needed(code: str) -> None:
    assert not loaded_by(code) & HEAVY


def test_every_public_name_exists() -> None:
    import parity

    assert all(getattr(parity, name) is not None for name in parity.__all__)
    with pytest.raises(AttributeError, match="no attribute 'dif'"):
        _ = parity.dif  # type: ignore[attr-defined]
