"""A full-size report with faults in it, as docs/report.md shows it.

    python -m benchmarks.report_story                           # three faults, full size
    python -m benchmarks.report_story --size tiny story02 story12
    python -m benchmarks.report_story --seconds 60 --folder reports

`python -m benchmarks.report_pictures` opens it, times it and takes its pictures.

The port of Pocket TTS runs with faults of the story planted in it (`benchmarks.faults`), and
`parity run` says what it makes of that. The page lies in the folder `reports`.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.faults.pairs.pocket_tts import pair
from fixtures.pocket_tts.locations import check_size
from parity.report.words import headline
from parity.run import Config, Implementation, load_config, run
from parity.run.config import DiagnoseConfig, ReportConfig

__all__ = ["faulty_port", "main"]

ROOT = Path(__file__).resolve().parents[1]
# A GELU for a SiLU in every flow step, a norm that only scales, and a GELU for an ELU in the codec.
FAULTS = ("story05", "story08", "story13")


def faulty_port(size: str = "full", faults: Sequence[str] = FAULTS) -> Any:
    """The port with `faults`, for the torch backend."""
    return pair(check_size(size)).port(frozenset(faults), "float32", "")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run it on one sentence, and write the page."""
    options = _options(arguments)
    result = run(_config(options), cases=[options.case])
    for comparison in result.comparisons:
        assert comparison.diff is not None, comparison.capture.problem
        print(headline(comparison.diff))
        print(comparison.diagnosis or comparison.undiagnosed)
        print(*comparison.reports.values())


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.report_story",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--size", choices=("full", "tiny"), default="full")
    parser.add_argument("--case", default="alba-hello")
    parser.add_argument("--seconds", type=float, default=300.0, help="for the diagnosis")
    parser.add_argument("--folder", default=str(ROOT / "reports"))
    parser.add_argument("faults", nargs="*", default=list(FAULTS), help="instead of the three")
    return parser.parse_args(arguments)


def _config(options: argparse.Namespace) -> Config:
    name = "parity.toml" if options.size == "full" else "tiny.toml"
    config = load_config(ROOT / "fixtures" / "pocket_tts" / name)
    port = Implementation(
        options={
            "program": "benchmarks.report_story:faulty_port",
            "size": options.size,
            "faults": options.faults,
        }
    )
    return msgspec.structs.replace(
        config,
        candidates={"faulty": port},
        report=ReportConfig(folder=str(Path(options.folder).resolve()), formats=("html",)),
        diagnose=DiagnoseConfig(seconds=options.seconds),
    )


if __name__ == "__main__":
    main()
