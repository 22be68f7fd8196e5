"""`python -m benchmarks.diff`: the table of comparison speeds, as Markdown and JSON.

All figures are of one run on one machine, and only their ratios mean anything elsewhere.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.diff.data import Pair, large_pairs, small_pairs, write_captures
from benchmarks.diff.peers import PEERS
from benchmarks.diff.timing import in_rounds
from benchmarks.diff.worker import Worker
from parity.metrics import metrics, pair_statistics_many

__all__ = ["main"]

Row = dict[str, Any]
OURS = "parity diff, from two capture files"
IN_MEMORY = "parity.metrics, in memory"
# Enough of the large pairs for steady throughput, few enough for memory.
IN_MEMORY_BYTES = 1 << 29
# Sizes take turns, so that this many pairs hold one of each.
SHAPES_IN_TURN = 5


def main() -> None:
    arguments = _arguments()
    rounds = arguments.rounds
    with tempfile.TemporaryDirectory(dir=arguments.scratch) as scratch:
        large = measure_large(arguments.gigabytes, Path(scratch) / "large", rounds)
        small = measure_small(arguments.small, Path(scratch) / "small", rounds)
    results = Path(arguments.results)
    results.mkdir(parents=True, exist_ok=True)
    text = _markdown(large, small, arguments)
    (results / "diff.md").write_text(text)
    (results / "diff.json").write_text(json.dumps({"large": large, "small": small}, indent=1))
    print(text)


def measure_large(gigabytes: float, folder: Path, rounds: int) -> list[Row]:
    """Throughput on tensors of megabytes; both sides counted."""
    nbytes = int(gigabytes * 1e9)
    files = write_captures(large_pairs(nbytes), _made(folder))
    pairs = list(large_pairs(min(nbytes, IN_MEMORY_BYTES)))
    return _side_by_side(files, pairs, folder, rounds)


def measure_small(count: int, folder: Path, rounds: int) -> list[Row]:
    """Time for many tensors of at most 1,024 elements."""
    files = write_captures(small_pairs(count), _made(folder))
    return _side_by_side(files, list(small_pairs(count)), folder, rounds)


def _side_by_side(
    files: tuple[Path, Path], pairs: Sequence[Pair], folder: Path, rounds: int
) -> list[Row]:
    with Worker(*files) as worker:
        sides = _sides(pairs)
        pair_statistics_many(*sides)  # loads the compiled kernel where it pays
        ways = {
            OURS: worker.compare,
            IN_MEMORY: lambda: metrics(pair_statistics_many(*sides)),
        }
        size = sum(file.stat().st_size for file in files)
        shown = {
            OURS: ("all metrics, statistics, verdicts", size, worker.found["compared"]),
            IN_MEMORY: ("all metrics", _bytes(pairs), len(pairs)),
        }
        missing = []
        for peer in PEERS:
            part = pairs[: max(SHAPES_IN_TURN, round(peer.share * len(pairs)))]
            try:
                ways[peer.name] = peer.prepare(part, _made(folder / f"peer{len(ways)}"))
            except ImportError as error:
                missing.append({"name": peer.name, "computes": f"not installed here: {error}"})
                continue
            shown[peer.name] = (peer.computes, _bytes(part), len(part))
        seconds = in_rounds(ways, rounds)
        rows = [_row(name, *shown[name], seconds[name]) for name in ways]
        rows[0] |= worker.found
    return rows + missing


def _row(name: str, computes: str, nbytes: int, count: int, seconds: float) -> Row:
    return {
        "name": name,
        "computes": computes,
        "bytes": nbytes,
        "count": count,
        "seconds": seconds,
        "gb_per_s": nbytes / seconds / 1e9,
        "us_per_pair": seconds / count * 1e6,
    }


def _bytes(pairs: Sequence[Pair]) -> int:
    return sum(r.nbytes + c.nbytes for _, r, c in pairs)


def _sides(pairs: Sequence[Pair]) -> tuple[list[Any], list[Any]]:
    return [r for _, r, _ in pairs], [c for _, _, c in pairs]


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _markdown(large: list[Row], small: list[Row], arguments: argparse.Namespace) -> str:
    count = small[0]["count"]
    return "\n".join(
        [
            "# Comparing tensors: speed beside what else there is",
            "",
            f"Measured by `python -m benchmarks.diff --gigabytes {arguments.gigabytes:g} --small "
            f"{arguments.small}`, everything in one run, best of {arguments.rounds} rounds. Times "
            "are wall times; the ratios are what carries over to another machine.",
            "",
            f"## Two captures of {arguments.gigabytes:g} GB, float32, warm",
            "",
            "Both sides are counted. Slow tools got a part of the tensors.",
            "",
            "| way | computes | GB/s | `parity diff` is faster by |",
            "|---|---|---|---|",
            *(_line(row, large[0], "gb_per_s") for row in large),
            "",
            f"{large[0]['compared']} tensors compared; {_mebibytes(large[0]['rss'])} resident at "
            "most, Python, all libraries and mapped file pages included.",
            "",
            f"## {count:,} pairs of 64 to 1,024 elements",
            "",
            "| way | computes | us a pair | `parity diff` is faster by |",
            "|---|---|---|---|",
            *(_line(row, small[0], "us_per_pair") for row in small),
            "",
            f"`parity diff` took {small[0]['seconds']:.2f} s in all, "
            f"{_mebibytes(small[0]['rss'])} resident at most.",
            "",
        ]
    )


def _line(row: Row, ours: Row, column: str) -> str:
    if column not in row:
        return f"| {row['name']} | {row['computes']} | - | - |"
    value = row[column]
    factor = ours[column] / value if column == "gb_per_s" else value / ours[column]
    return f"| {row['name']} | {row['computes']} | {value:.3g} | {factor:.3g} |"


def _mebibytes(nbytes: int) -> str:
    return f"{nbytes / 2**20:.0f} MiB"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.diff", description=__doc__)
    parser.add_argument("--gigabytes", type=float, default=2.0, help="size of each large capture")
    parser.add_argument("--small", type=int, default=20_000, help="number of small pairs")
    parser.add_argument("--rounds", type=int, default=3, help="of which the best counts")
    parser.add_argument("--results", default="benchmarks/results", help="folder for the tables")
    parser.add_argument("--scratch", default=None, help="folder for the captures, several GB")
    return parser.parse_args()


if __name__ == "__main__":
    main()
