"""The pytest plugin: options, the `parity` fixture, and tests from a `parity.toml`.

pytest loads this module in every session of an environment that has parity installed. So it loads
nothing but pytest, and does nothing until a test, an option or a setting asks for it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from parity.testing.fixture import ParityFixture

__all__ = ["parity"]

MARKER = (
    "parity(case=..., tolerance=..., renames=..., layouts=..., mode=..., allow_missing=..., "
    "output=...): options of the test's `parity` fixture; `case` is what --parity-case selects"
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options and settings, all named `parity`."""
    group = parser.getgroup("parity", "parity: a port compared with its reference")
    group.addoption(
        "--parity", action="store_true",
        help="Collect tests from every parity.toml that is met, not only from those named.",
    )  # fmt: skip
    group.addoption(
        "--parity-create", action="store_true",
        help="Create golden captures that are not there; a test that creates one fails.",
    )  # fmt: skip
    group.addoption(
        "--parity-update", action="store_true",
        help="Replace the golden captures of the tests that run; these tests fail.",
    )  # fmt: skip
    group.addoption(
        "--parity-report", metavar="FOLDER", help="Write an HTML page a comparison into FOLDER."
    )
    group.addoption(
        "--parity-case", action="append", default=[], metavar="GLOB",
        help="Only cases that match, and no test marked with another case. Can be repeated.",
    )  # fmt: skip
    group.addoption(
        "--parity-items", choices=("tap", "case"),
        help="One test a tap, or one a case and candidate, from a parity.toml.",
    )  # fmt: skip
    group.addoption(
        "--parity-diagnose", action="store_true",
        help="Say why, where a candidate of a parity.toml differs; takes a while.",
    )  # fmt: skip
    parser.addini("parity_collect", "Collect tests from every parity.toml.", "bool", False)
    parser.addini("parity_items", "`tap` (the default) or `case`.", "string", "tap")
    parser.addini("parity_golden", "Folder of golden captures, beside each test.", "string",
                  "golden")  # fmt: skip
    parser.addini("parity_tolerance", "Preset that the fixture judges by.", "string", "fp32")


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker; listen for golden files only where some may be written."""
    config.addinivalue_line("markers", MARKER)
    if config.option.parity_create or config.option.parity_update:
        from parity.testing.written import WrittenGoldens  # noqa: PLC0415 - only when asked for

        config.pluginmanager.register(WrittenGoldens(), "parity-written")


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Tests from a .toml file named on the command line, or a `parity.toml` met, by setting."""
    if file_path.suffix != ".toml":
        return None
    config = parent.config
    wanted = config.option.parity or config.getini("parity_collect")
    met = wanted and file_path.name == "parity.toml"
    if not met and not parent.session.isinitpath(file_path):
        return None
    from parity.testing.items import ParityToml  # noqa: PLC0415 - only when asked for

    return ParityToml.from_parent(parent, path=file_path)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out tests that are marked with another case than the chosen ones."""
    chosen = config.option.parity_case
    if not chosen:
        return
    from parity.testing.marker import selected  # noqa: PLC0415 - only when asked for

    kept = [item for item in items if selected(item, chosen)]
    if gone := [item for item in items if item not in set(kept)]:
        config.hook.pytest_deselected(items=gone)
        items[:] = kept


@pytest.fixture
def parity(request: pytest.FixtureRequest) -> ParityFixture:
    """Compares tensors with a golden capture, or with one another: `parity.check(candidate)`."""
    from parity.testing.fixture import ParityFixture  # noqa: PLC0415 - only when asked for

    return ParityFixture(request)
