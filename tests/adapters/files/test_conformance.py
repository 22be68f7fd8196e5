from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from parity.backends.conformance import BackendConformance, Subject
from parity.tensors import Case, TensorSpec
from parity_files.backend import FilesBackend


class TestFilesBackend(BackendConformance):
    @pytest.fixture(autouse=True)
    def _folder(self, dump: Callable[..., Path]) -> None:
        names = ("encoder.input", "encoder.output", "mixer.step0", "mixer.step1", "cache")
        self.folder = str(dump(*(f"short/{name}" for name in names)))

    def subject(self) -> Subject:
        return Subject(
            make=lambda: FilesBackend(f"{self.folder}/{{case}}"),
            case=Case("short"),
            expected={"encoder:output": TensorSpec("float32", (2, 3))},
            bad_case=Case("long"),
        )
