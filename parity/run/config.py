"""`parity.toml`: what is compared with what, and how strictly."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path
from typing import Any

import msgspec

from parity.errors import ConfigError
from parity.run.config_errors import in_words
from parity.run.gate_config import GateConfig

__all__ = ["Config", "Implementation", "InlineCase", "Selection", "ToleranceConfig", "load_config"]

DEFAULT_FILE = "parity.toml"


class _Table(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of the file: unknown keys are errors, since a misspelt tolerance is a wrong one."""


class Implementation(_Table, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The reference or a candidate: which backend runs it, with which options.

    Attributes:
        backend: name of a registered backend (`parity backends` lists them).
        options: handed to the backend as they are.
        isolate: run in a child process, so that a crash is a result and not the end.
        timeout_s: seconds after which an isolated run counts as hanging; 0 for never.
        memory_limit_mb: most private memory that an isolated run may have; 0 for no limit.
        renames: ordered rules `candidate -> reference` over tap paths; the first match wins.
        layouts: axis order by tap pattern, for a candidate that keeps its tensors transposed.
        align: `exact` names, or `auto` to match by order, shape and content.
        depends: further files or folders, relative to the configuration, that a stored capture
            of this implementation depends on (weights, a built library).
    """

    backend: str = "torch"
    options: dict[str, Any] = {}
    isolate: bool = True
    timeout_s: float = 0.0
    memory_limit_mb: int = 0
    renames: tuple[str, ...] = ()
    layouts: dict[str, tuple[int, ...]] = {}
    align: str = "exact"
    depends: tuple[str, ...] = ()


class ReferenceConfig(Implementation, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The reference.

    Attributes:
        golden: folder of committed captures, one a case, relative to the configuration. Where it
            is named, the reference is read from there and not run; empty to run it.
    """

    golden: str = ""


class Selection(_Table, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which taps and cases take part.

    Attributes:
        cases: glob patterns over case names.
        include: glob patterns over tap paths, of which one must match.
        exclude: glob patterns over tap paths, of which none may match.
        roles: roles of tensors: input, output, param, state, tap; empty for all.
        phases: phases; empty for all.
        calls: first and stop of the calls; empty for all.
        steps: first and stop of the steps; empty for all.
    """

    cases: tuple[str, ...] = ("*",)
    include: tuple[str, ...] = ("*",)
    exclude: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    phases: tuple[str, ...] = ()
    calls: tuple[int, int] | None = None
    steps: tuple[int, int] | None = None


class InlineCase(_Table, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A case written in the file.

    Attributes:
        name: unique.
        inputs: plain values.
        arrays: a .npz file of input tensors, relative to the configuration.
        seed: of the random generator.
    """

    name: str
    inputs: dict[str, Any] = {}
    arrays: str = ""
    seed: int = 0


class Audio(_Table, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a subject that speaks has its sound, so that it is listened to and timed.

    Attributes:
        waveform: the tap that holds the whole waveform; its last axis is time.
        sample_rate: of the waveform, in hertz.
        chunk: the tap whose first call yields the first sound; empty where nobody times it.
    """

    waveform: str
    sample_rate: int
    chunk: str = ""


class Subject(_Table, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is ported.

    Attributes:
        name: used in file names and reports.
        python_path: folders, relative to the configuration, from which its code is imported.
        cases: `module:function` that returns the cases, as `parity.Case` values.
        case_options: keyword arguments of that function.
        output: the tap that is the model's output; by default the last of floating point.
        audio: where its sound is, if it makes any.
    """

    name: str
    python_path: tuple[str, ...] = ()
    cases: str = ""
    case_options: dict[str, Any] = {}
    output: str = ""
    audio: Audio | None = None


class RuleConfig(_Table, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A rule for the taps that match a glob: the bounds of a `parity.Rule`, by name."""

    tap: str
    bounds: dict[str, Any] = {}


class ToleranceConfig(_Table, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much difference is accepted.

    Attributes:
        preset: the rules to start from.
        rules: further rules, which go first; the first match wins.
        allow_missing: glob patterns over taps that a candidate need not have, or over their
            ports (`lstm:output.1`).
        calibrate: measure the noise floors on the reference, once a capture, and judge by them.
    """

    preset: str = "fp32"
    rules: tuple[RuleConfig, ...] = ()
    allow_missing: tuple[str, ...] = ()
    calibrate: bool = False


class ReportConfig(_Table, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which reports are written where, relative to the configuration."""

    folder: str = "reports"
    formats: tuple[str, ...] = ("html", "json")


class DiagnoseConfig(_Table, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whether `parity run` says why a candidate differs, and how long it may look for causes."""

    enabled: bool = True
    seconds: float = 600.0


class ListenConfig(_Table, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is listened to, of a subject with `audio`; the limits are those of `parity.audio`.

    Attributes:
        enabled: whether `parity run` listens at all.
        frame: samples of a decoder's frame, where chunk boundaries lie; 0 where there are none.
        seeded: whether candidates replay the reference's random draws.
        recogniser: asked whether the text is understood; empty for none.
        normaliser: which words count as equal.
        text: the input of a case that holds its text.
        preset: limits of signal health, `full` or `story`.
        limits: changes of the limits of health, by name: `{ rms = { high = 0.5 } }`.
        waveform: changes of the limits of the waveform.
    """

    enabled: bool = True
    frame: int = 0
    seeded: bool = True
    recogniser: str = ""
    normaliser: str = "basic"
    text: str = "text"
    preset: str = "full"
    limits: dict[str, dict[str, float]] = {}
    waveform: dict[str, dict[str, float]] = {}


class StoreConfig(_Table, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where captures are kept, relative to the configuration, and whether they are reused."""

    folder: str = ".parity"
    reuse: bool = True


class _File(_Table, frozen=True, kw_only=True, forbid_unknown_fields=True):
    subject: Subject
    reference: ReferenceConfig
    candidates: dict[str, Implementation] = {}
    cases: tuple[InlineCase, ...] = ()
    select: Selection = Selection()
    tolerance: ToleranceConfig = ToleranceConfig()
    diagnose: DiagnoseConfig = DiagnoseConfig()
    listen: ListenConfig = ListenConfig()
    report: ReportConfig = ReportConfig()
    store: StoreConfig = StoreConfig()
    gate: GateConfig = GateConfig()


class Config(_File, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A configuration file, read and checked.

    Attributes:
        path: the file it was read from.
    """

    path: Path

    @property
    def root(self) -> Path:
        """The folder that relative paths in the file start from."""
        return self.path.parent

    def resolve(self, relative: str) -> Path:
        """`relative` against the configuration's folder."""
        return (self.root / relative).resolve()


def load_config(path: str | Path | None = None) -> Config:
    """Read a configuration; by default the nearest `parity.toml` from here upwards.

    Also puts the subject's `python_path` on `sys.path`, so that its modules can be imported.

    Raises:
        ConfigError: no such file, not TOML, or a key or value that is not understood.
    """
    file = Path(path) if path is not None else _nearest(Path.cwd())
    try:
        document = tomllib.loads(file.read_text(encoding="utf-8"))
        parsed = msgspec.convert(document, _File)
    except FileNotFoundError:
        raise ConfigError(
            "no such configuration file", where=str(file), hint="parity run --config FILE"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot be read: {error}", where=str(file)) from None
    except tomllib.TOMLDecodeError as error:
        hint = "https://toml.io shows how it is written"
        raise ConfigError(f"is not TOML: {error}", where=str(file), hint=hint) from None
    except msgspec.ValidationError as error:
        what, key, hint = in_words(error, _File)
        raise ConfigError(what, where=f"{file}: {key}" if key else str(file), hint=hint) from None
    fields = {name: getattr(parsed, name) for name in _File.__struct_fields__}
    config = Config(path=file.resolve(), **fields)
    _check(config)
    _check_gate(config)
    _extend_python_path(config)
    return config


def _nearest(start: Path) -> Path:
    for folder in (start, *start.parents):
        if (folder / DEFAULT_FILE).is_file():
            return folder / DEFAULT_FILE
    raise ConfigError(
        f"no {DEFAULT_FILE} here or in a folder above",
        where=str(start),
        hint="--config FILE names one; docs/configuration.md says how to write one",
    )


def _check(config: Config) -> None:
    where = str(config.path)
    if not config.candidates:
        raise ConfigError("names no candidate", where=where, hint="add a [candidates.NAME] table")
    if not config.cases and not config.subject.cases:
        raise ConfigError(
            "names no case", where=where, hint="add [[cases]], or subject.cases = 'module:function'"
        )
    for name, candidate in config.candidates.items():
        if candidate.align not in {"exact", "auto"}:
            raise ConfigError(
                f"there is no alignment {candidate.align!r}",
                where=f"{where}: candidates.{name}",
                hint="align = 'exact' goes by name, 'auto' by order, shape and content",
            )


def _check_gate(config: Config) -> None:
    where = f"{config.path}: gate"
    for name in ("min_coverage", "min_parameters"):
        share = getattr(config.gate, name)
        if not 0 <= share <= 1:
            raise ConfigError(
                f"{name} is {share:g}; it is a share", where=where, hint="a number from 0 to 1"
            )
    for table in ("expected", "skip"):
        if any(not entry.reason.strip() for entry in getattr(config.gate, table)):
            raise ConfigError(
                "an entry has an empty reason", where=f"{where}.{table}",
                hint="say why, for whoever reads the report",
            )  # fmt: skip


def _extend_python_path(config: Config) -> None:
    for folder in (*config.subject.python_path, "."):
        text = str(config.resolve(folder))
        if not Path(text).is_dir():
            raise ConfigError(
                f"no such folder: {text}",
                where=f"{config.path}: subject.python_path",
                hint="paths start from the folder of the configuration",
            )
        if text not in sys.path:
            sys.path.insert(0, text)
