"""`parity.toml` is read strictly: what is not understood is an error that names its place."""

from pathlib import Path

import pytest

from parity.errors import ConfigError
from parity.run.config import load_config

GOOD = """
[subject]
name = "toy"
cases = "toy:cases"

[reference]
options = { program = "toy:Program" }

[candidates.port]
options = { program = "toy:Port" }
"""


def write(folder: Path, text: str) -> Path:
    file = folder / "parity.toml"
    file.write_text(text)
    return file


def test_defaults_fill_what_is_left_out(tmp_path: Path) -> None:
    config = load_config(write(tmp_path, GOOD))
    assert config.candidates["port"].backend == "torch"
    assert config.tolerance.preset == "fp32"
    assert config.resolve("reports") == tmp_path / "reports"


def test_the_nearest_file_upwards_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, GOOD)
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    monkeypatch.chdir(inner)
    assert load_config().root == tmp_path


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("[subject]", "[subject]\ntolerence = 1"), r"subject: there is no key 'tolerence'"),
        (("[candidates.port]", "[candidates.port]\nisolate = 3"), r"should be true or false"),
        (
            ("[candidates.port]", "[candidates.port]\nalign = 'guess'"),
            r"there is no alignment 'guess'",
        ),
        (('cases = "toy:cases"', ""), r"names no case"),
        (("[subject]", "[subject"), r"is not TOML"),
    ],
)
def test_what_is_not_understood_is_named(
    tmp_path: Path, change: tuple[str, str], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        load_config(write(tmp_path, GOOD.replace(*change)))


def test_no_candidate_is_an_error(tmp_path: Path) -> None:
    text = GOOD[: GOOD.index("[candidates.port]")]
    with pytest.raises(ConfigError, match="names no candidate"):
        load_config(write(tmp_path, text))


def test_a_missing_file_says_how_to_name_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="parity run --config FILE"):
        load_config(tmp_path / "none.toml")
