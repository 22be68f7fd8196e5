"""The story's fourteen faults at once, on Pocket TTS: which of them one run names.

`python -m benchmarks.faults.story` takes the shrunken model with every module dumped (half a
minute); `--taps blocks` block outputs alone; `--size full --seconds 1200` the full-size model;
`--port candle` the Rust port, through the C ABI (after `make native`), with the same faults in it.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from benchmarks.faults.pairs.pocket_tts import pair
from benchmarks.faults.planted import Pair
from fixtures.pocket_tts.native import native_port
from parity.backends import Backend
from parity.capture.isolated import capture_here
from parity.diagnose import Diagnosis, diagnose
from parity.localize import Reference
from parity.store import open_capture
from parity.tensors import TapPlan
from parity_torch.backend import TorchBackend

FOURTEEN = tuple(f"story{number:02d}" for number in range(1, 15))
# What the Rust port calls them, in their order.
IN_RUST = (
    "character_tokens", "rope_halves", "rms_norm", "sin_cos", "flow_gelu", "adaln_order",
    "one_time", "seanet_gelu", "voice_mean", "text_first", "no_final_norm", "tanh_output",
    "alpha_only", "denormalise_in_loop",
)  # fmt: skip


def main() -> None:
    options = _options()
    started = time.monotonic()
    found = diagnosis(
        options.faults or FOURTEEN,
        size=options.size,
        port=options.port,
        taps=options.taps,
        seconds=options.seconds,
        progress=lambda what: print(
            f"  {time.monotonic() - started:5.0f} s  {what}", file=sys.stderr
        ),
    )
    _print(found)


def diagnosis(
    faults: Sequence[str] = FOURTEEN,
    *,
    size: Literal["tiny", "full"] = "tiny",
    port: str = "torch",
    taps: str = "modules",
    seconds: float = 600.0,
    progress: Callable[[str], None] | None = None,
) -> Diagnosis:
    """Capture both sides, the candidate with faults of the story in it, and diagnose."""
    subject = pair(size)
    backend = TorchBackend(program=subject.reference())
    include = ("*",) if taps == "modules" else (*subject.blocks, subject.output)
    with TemporaryDirectory(prefix="parity-story-") as folder:
        ours, theirs = Path(folder) / "reference.h5", Path(folder) / "candidate.h5"
        capture_here(backend, subject.cases[0], TapPlan(), ours)
        with open_capture(ours) as capture:
            case = subject.cases[0].with_noise(capture.noise)
        candidate = _torch(subject, faults) if port == "torch" else _candle(size, faults)
        # A port with faults may speak for longer than the reference.
        longer = case if port == "torch" else case.with_noise((case.noise or ()) * 16)
        capture_here(candidate, longer, TapPlan(include=include), theirs)
        reference = Reference.of_backend(backend, case, capture=ours)
        return diagnose(
            reference, theirs, output=subject.output, seconds=seconds, progress=progress
        )


def _torch(subject: Pair, faults: Sequence[str]) -> Backend:
    return TorchBackend(program=subject.port(frozenset(faults), "float32", ""))


def _candle(size: Literal["tiny", "full"], faults: Sequence[str]) -> Backend:
    names = dict(zip(FOURTEEN, IN_RUST, strict=True))
    return native_port(size, faults=",".join(names[fault] for fault in faults))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", choices=("tiny", "full"), default="tiny")
    parser.add_argument("--taps", choices=("modules", "blocks"), default="modules")
    parser.add_argument("--port", choices=("torch", "candle"), default="torch")
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("faults", nargs="*", help="instead of the fourteen")
    return parser.parse_args()


def _print(found: Diagnosis) -> None:
    for finding in found.findings:
        site = finding.site
        print(
            f"{finding.rank:2} {finding.grade:13} {finding.cause:24} {site.path or site.tap}  "
            f"({len(finding.sites)} sites): {finding.candidate}; reference: {finding.reference}"
        )
    for left in found.unexplained:
        print(f"   not explained: {left.tap} ({left.error:.1e}), nearest {left.nearest or 'none'}")
    print(
        f"{found.verdict}, {found.seconds:.0f} s, {found.compared:,} tensors compared; output off "
        f"by {found.output_error:.1e}, with the findings put in by {found.output_left:.1e}"
    )


if __name__ == "__main__":
    main()
