from __future__ import annotations

import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from parity.backends import Adapter, available, find, load, registry
from parity.errors import BackendError, ConfigError, MissingExtraError

PORT = '''
"""A port."""
from parity.backends import Adapter, Capabilities


class Port:
    """Runs the port."""

    name = "port"

    def __init__(self, size="tiny", depth=2):
        self.size = size

    def capabilities(self):
        return Capabilities()

    def capture(self, case, plan, sink):
        pass


class Stumbling(Port):
    def __init__(self):
        len(3)


def make(size):
    return Port(size)


def make_nothing():
    return 3


NUMBER = 3
READY = Port()
ADAPTER = Adapter("port", "a port", "registry_port:Port", options={"size": "of the model"})
OPEN = Adapter("open", "an open port", "registry_port:Port", open_options=True)
LACKING = Adapter(
    "lacking", "", "registry_port:Port", requires=("no_such_package",), install="pip install it"
)
BARE = Adapter("bare", "a port", "registry_port:Port", requires=("no_such_package",))
'''


@pytest.fixture
def port(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "registry_port.py").write_text(PORT)
    (tmp_path / "registry_broken.py").write_text("1 / 0")
    (tmp_path / "registry_lacking.py").write_text("import no_such_package")
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("registry_port", "registry_broken", "registry_lacking"):
        sys.modules.pop(name, None)
    return "registry_port"


@pytest.fixture
def registered(port: str, monkeypatch: pytest.MonkeyPatch) -> str:
    targets = {
        "port": f"{port}:ADAPTER",
        "plain": f"{port}:Port",
        "lacking": f"{port}:LACKING",
        "bare": f"{port}:BARE",
        "broken": "registry_broken:ADAPTER",
        "gone": "registry_gone:ADAPTER",
    }
    points = [EntryPoint(name, value, "parity.backends") for name, value in targets.items()]
    monkeypatch.setattr(registry, "entry_points", lambda **_: points)
    return port


def test_the_adapters_in_the_tree_are_registered() -> None:
    infos = {info.name: info for info in available()}
    assert {"torch", "files"} <= set(infos)
    assert infos["files"].ready
    assert infos["files"].distribution == "parity"
    assert infos["files"].reason == ""


def test_listing_and_opening_files_loads_no_framework() -> None:
    code = (
        "import sys; from parity.backends import available, load; "
        "available(); load('files', {'folder': '.'}); "
        "print(*(m for m in ('torch', 'h5py', 'pandas', 'matplotlib') if m in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_available_lists_what_lacks_something_with_reason_and_remedy(registered: str) -> None:
    infos = {info.name: info for info in available()}
    assert list(infos) == ["bare", "broken", "gone", "lacking", "plain", "port"]
    assert infos["port"].ready
    assert infos["port"].options == {"size": "of the model"}
    assert infos["plain"].ready
    assert infos["plain"].summary == "Runs the port."
    assert not infos["lacking"].ready
    assert infos["lacking"].reason == "not installed: no_such_package"
    assert infos["lacking"].install == "pip install it"
    assert not infos["broken"].ready
    assert infos["broken"].reason == (
        "importing 'registry_broken' failed: ZeroDivisionError: division by zero"
    )
    assert infos["gone"].reason == "no module named 'registry_gone'"


def test_loads_by_name_with_options(registered: str) -> None:
    assert load("port", {"size": "full"}).size == "full"  # type: ignore[attr-defined]
    assert load("plain").size == "tiny"  # type: ignore[attr-defined]


@pytest.mark.parametrize("target", ["ADAPTER", "Port", "make", "OPEN"])
def test_loads_by_target(port: str, target: str) -> None:
    assert load(f"{port}:{target}", {"size": "full"}).size == "full"  # type: ignore[attr-defined]


def test_loads_an_object_that_is_a_backend(port: str) -> None:
    assert load(f"{port}:READY").name == "port"
    with pytest.raises(ConfigError, match="is an object and takes no options; got size"):
        load(f"{port}:READY", {"size": 1})


def test_finds_targets_in_folders_of_ones_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "ports").mkdir()
    (tmp_path / "ports" / "registry_elsewhere.py").write_text("VALUE = 5")
    assert find("registry_elsewhere:VALUE", python_path=[tmp_path / "ports"]) == 5


def test_open_options_are_passed_on(port: str) -> None:
    assert load(f"{port}:OPEN", {"depth": 3})
    with pytest.raises(ConfigError, match=r"has no option 'dept'; it has: size"):
        load(f"{port}:ADAPTER", {"dept": 3})


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("pors", r"no backend is named 'pors'; there are: bare, .*(?s:.*)did you mean 'port'\?"),
        ("zzzz", r"no backend is named 'zzzz'(?s:.*)`parity backends` lists them"),
        (
            "registry_port:Prt",
            r"'registry_port' has no attribute 'Prt'(?s:.*)did you mean 'Port'\?",
        ),
        ("registry_port:Port.nope", r"'Port' has no attribute 'nope'"),
        ("registry_prt:Port", r"no module named 'registry_prt'(?s:.*)python_path"),
        ("registry_broken:Port", "importing 'registry_broken' failed: ZeroDivisionError"),
        ("registry_port:", "is not of the form module:attribute"),
        (":Port", "is not of the form module:attribute"),
        ("registry_port:NUMBER", "int has no methods `capture` and `capabilities`"),
        ("registry_port:make_nothing", "int has no methods `capture` and `capabilities`"),
        ("gone", "no module named 'registry_gone'"),
    ],
)
def test_what_cannot_be_loaded(registered: str, name: str, message: str) -> None:
    with pytest.raises(BackendError, match=message):
        load(name)


def test_a_missing_requirement_names_the_command(registered: str) -> None:
    with pytest.raises(MissingExtraError, match=r"needs no_such_package(?s:.*)pip install it"):
        load("lacking")
    with pytest.raises(MissingExtraError, match="try: install no_such_package"):
        load("bare")


def test_a_module_that_needs_another_says_which(port: str) -> None:
    with pytest.raises(MissingExtraError, match="needs 'no_such_package', which is not installed"):
        load("registry_lacking:Port")


def test_options_that_a_factory_does_not_take(port: str) -> None:
    with pytest.raises(ConfigError, match=r"does not take these options: .*'sze'"):
        load(f"{port}:Port", {"sze": 1})
    with pytest.raises(ConfigError, match=r"does not take these options: .*'size'"):
        load(f"{port}:make")


def test_a_type_error_inside_a_factory_is_not_taken_for_a_wrong_option(port: str) -> None:
    with pytest.raises(TypeError, match="has no len"):
        load(f"{port}:Stumbling")


def test_an_adapter_needs_only_a_name_a_summary_and_a_factory() -> None:
    assert Adapter("a", "b", "c:d").options == {}
