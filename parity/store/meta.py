"""What a capture says about the run it came from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

__all__ = ["CaptureMeta"]


@dataclass(frozen=True, slots=True)
class CaptureMeta:
    """Facts of one run, as far as the writer knew them.

    Attributes:
        implementation: who produced the tensors (`pocket-tts 4.0.1`, `my-port`).
        framework: `torch`, `mlx`, `coreml`, ...
        versions: package name to version.
        hardware: processor or accelerator, in words.
        threads: number of compute threads, 0 where unknown.
        precision: of the computation (`float32`).
        case_name: the case that was run.
        case_digest: `Case.digest()` of it.
        weights_digest: of the parameters that were used.
        code_revision: of the implementation (a git commit).
        started: start of the run, ISO 8601.
        ended: end of the run, ISO 8601; empty while it runs.
        extra: further facts, JSON values.
    """

    implementation: str = ""
    framework: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    hardware: str = ""
    threads: int = 0
    precision: str = ""
    case_name: str = ""
    case_digest: str = ""
    weights_digest: str = ""
    code_revision: str = ""
    started: str = ""
    ended: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """The facts by name, as JSON values."""
        return asdict(self)


TEXT_FIELDS = tuple(f.name for f in fields(CaptureMeta) if f.type == "str")
JSON_FIELDS = ("versions", "extra")
