"""Golden text of messages: read as a set, and changed on purpose."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

HERE = Path(__file__).parent
RULE = "=" * 100


@pytest.fixture
def reviewed() -> Callable[[str, Mapping[str, str]], None]:
    """Holds messages, by what provokes them, against a file beside the tests.

    With `UPDATE_MESSAGES=1` in the environment the file is written anew, and the test fails.
    """

    def check(name: str, messages: Mapping[str, str]) -> None:
        file = HERE / name
        text = "\n".join(f"{RULE}\n{what}\n{RULE}\n{said}\n" for what, said in messages.items())
        if os.environ.get("UPDATE_MESSAGES"):
            file.write_text(text, encoding="utf-8")
            pytest.fail(f"{name} was written; read it, commit it, and run again")
        assert text == file.read_text(encoding="utf-8")

    return check
