"""A port of Pocket TTS against the real package, case by case: the tables in the docs.

    python -m benchmarks.pocket_tts                      # PyTorch; alba: short, medium and long
    python -m benchmarks.pocket_tts --port candle        # Rust; eight voices
    python -m benchmarks.pocket_tts --case '*-short'
    python -m benchmarks.pocket_tts --size tiny --print

A row replaces that of the same case and port. Captures are deleted as soon as they are
compared: those of the long text take gigabytes.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd
from msgspec.structs import replace

from fixtures.pocket_tts.voices import VOICES
from parity.diffing import DiffResult
from parity.report.words import headline
from parity.run import Config, load_config, run

FOLDER = Path(__file__).resolve().parents[1]
PAGES = {"torch": FOLDER / "docs" / "pocket_tts.md", "candle": FOLDER / "docs" / "native.md"}
CONFIGS = {
    ("torch", "full"): "parity.toml",
    ("torch", "tiny"): "tiny.toml",
    ("candle", "full"): "native.toml",
    ("candle", "tiny"): "native-tiny.toml",
}
BEGIN, END = "<!-- table: begin -->", "<!-- table: end -->"
CASES = {
    "torch": ("alba-short", "alba-medium", "alba-long"),
    "candle": tuple(f"{v}-{p}" for v in VOICES for p in ("short", "medium", "long")),
}

# Columns of the table: the largest relative error of a tap, over all its calls, by part.
PARTS = {
    "FlowLM": r"flow_lm(?!\.flow_net)",
    "flow net": r"flow_lm\.flow_net",
    "Mimi": r"mimi",
}
HEAD = ("case", "frames", "port", "taps", "tensors", *PARTS, "worst single tensor",
        "latents 1 − r", "waveform 1 − r", "parity")  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the cases and write the table."""
    options = _options(arguments)
    name = CONFIGS[options.port, options.size]
    config = load_config(FOLDER / "fixtures" / "pocket_tts" / name)
    # The numbers are all that is wanted here.
    config = replace(
        config,
        diagnose=replace(config.diagnose, enabled=False),
        listen=replace(config.listen, enabled=False),
        report=replace(config.report, formats=()),
    )
    for case in options.case or CASES[options.port]:
        rows = list(_rows(config, case))
        if options.print:
            print(_table(rows))
        else:
            _insert(rows, PAGES[options.port])


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pocket_tts", description=__doc__)
    parser.add_argument("--case", action="append", help="a glob over case names; can be repeated")
    parser.add_argument("--port", choices=tuple(PAGES), default="torch")
    parser.add_argument("--size", choices=("full", "tiny"), default="full")
    parser.add_argument("--print", action="store_true", help="print it; leave the page as it is")
    return parser.parse_args(arguments)


def _rows(config: Config, case: str) -> Iterator[list[str]]:
    comparisons = run(config, cases=[case]).comparisons
    for comparison in comparisons:
        diff = comparison.diff
        assert diff is not None, comparison.capture.problem
        print(f"{comparison.case} {comparison.candidate}: {headline(diff)}", flush=True)
        yield _row(comparison.case, comparison.candidate, diff)
    for comparison in comparisons:
        comparison.reference.path.unlink(missing_ok=True)
        comparison.capture.path.unlink(missing_ok=True)


def _row(case: str, candidate: str, diff: DiffResult) -> list[str]:
    latents, waveform, worst = diff["latents"][0], diff["waveform"][0], diff.worst(1)[0]
    frames = latents.reference.shape[0] if latents.reference else 0
    taps = _errors_of_taps(diff)
    return [
        case, str(frames), candidate, f"{len(taps)}", f"{diff.compared:,}",
        *(f"{taps[taps.index.str.match(pattern)].max():.1e}" for pattern in PARTS.values()),
        f"{worst.metrics['rel_l2']:.1e} ({worst.key.path})",
        f"{latents.metrics['one_minus_pearson']:.1e}",
        f"{waveform.metrics['one_minus_pearson']:.1e}",
        str(diff.outcome),
    ]  # fmt: skip


def _errors_of_taps(diff: DiffResult) -> pd.Series[float]:
    """Relative L2 error of each tap over all its calls: the norms' root mean squares, divided."""
    frame = diff.to_frame()
    frame = frame[frame["reference_norm"].notna()]
    squares = pd.DataFrame({
        "path": frame["path"],
        "reference": frame["reference_norm"] ** 2,
        "error": (frame["rmse"] ** 2) * frame["compared"],
    }).groupby("path").sum()  # fmt: skip
    found = (squares["error"] / squares["reference"]) ** 0.5
    return found[squares["reference"] > 0]


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _table(rows: Sequence[Sequence[str]]) -> str:
    return "\n".join(_line(row) for row in (HEAD, ["---"] * len(HEAD), *rows))


def _insert(rows: Sequence[Sequence[str]], page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    old, _, after = rest.partition(END)
    page.write_text(
        f"{before}{BEGIN}\n\n{_table(_merged(rows, old))}\n\n{END}{after}", encoding="utf-8"
    )


def _merged(rows: Sequence[Sequence[str]], table: str) -> list[Sequence[str]]:
    """The rows of a table, those of the same case and port replaced."""
    lines = [line.strip("| ").split(" | ") for line in table.strip().splitlines()[2:]]
    fresh = {(row[0], row[2]): row for row in rows}
    kept = [fresh.pop((line[0], line[2]), line) for line in lines]
    return [*kept, *fresh.values()]


if __name__ == "__main__":
    main()
