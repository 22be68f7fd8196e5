"""The story's fourteen faults at once, on Pocket TTS: which of them one run names.

`python -m benchmarks.faults.story` takes the shrunken model with every module dumped (half a
minute); `--taps blocks` block outputs alone; `--size full --seconds 1200` the full-size model.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.faults.pairs.pocket_tts import pair
from parity.capture.isolated import capture_here
from parity.diagnose import Diagnosis, diagnose
from parity.localize import Reference
from parity.store import open_capture
from parity.tensors import TapPlan
from parity_torch.backend import TorchBackend

FOURTEEN = tuple(f"story{number:02d}" for number in range(1, 15))


def main() -> None:
    options = _options()
    subject = pair(options.size)
    backend = TorchBackend(program=subject.reference())
    with TemporaryDirectory(prefix="parity-story-") as folder:
        ours, theirs = Path(folder) / "reference.h5", Path(folder) / "candidate.h5"
        capture_here(backend, subject.cases[0], TapPlan(), ours)
        with open_capture(ours) as capture:
            case = subject.cases[0].with_noise(capture.noise)
        port = subject.port(frozenset(options.faults or FOURTEEN), "float32", "")
        include = ("*",) if options.taps == "modules" else (*subject.blocks, subject.output)
        capture_here(TorchBackend(program=port), case, TapPlan(include=include), theirs)
        started = time.monotonic()
        found = diagnose(
            Reference.of_backend(backend, case, capture=ours),
            theirs,
            output=subject.output,
            seconds=options.seconds,
            progress=lambda what: print(
                f"  {time.monotonic() - started:5.0f} s  {what}", file=sys.stderr
            ),
        )
    _print(found)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", choices=("tiny", "full"), default="tiny")
    parser.add_argument("--taps", choices=("modules", "blocks"), default="modules")
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
