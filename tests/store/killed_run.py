"""Records without end, in a process that a test kills. Arguments: file, seed, seconds per flush."""

from __future__ import annotations

import sys
from itertools import count

import numpy as np
import xxhash

from parity.store import CaptureMeta, CaptureWriter
from parity.tensors import NoiseDraw, Role, TapKey, TapRecord, TensorSpec

SHAPES = ((), (3,), (7, 11), (0, 4), (64, 17), (130, 256))
DTYPES = (np.float32, np.int64, np.uint8)


def main(path: str, seed: str, flush_seconds: str) -> None:
    random = np.random.default_rng(int(seed))
    writer = CaptureWriter(
        path, meta=CaptureMeta(implementation="killed"), flush_seconds=float(flush_seconds),
        buffer_bytes=1 << 16,
    )  # fmt: skip
    sys.stdout.write("started\n")
    sys.stdout.flush()
    for order in count():
        # New taps keep coming, so that HDF5 rewrites its groups and tables all the time.
        tap = int(random.integers(0, 5 + order // 10))
        shape, dtype = SHAPES[tap % len(SHAPES)], DTYPES[tap % len(DTYPES)]
        array = random.integers(0, 200, shape).astype(dtype)
        spec = TensorSpec(array.dtype.name, array.shape)
        key = TapKey(f"block.{tap}.a_rather_long_name_{'x' * (tap % 50)}", Role.OUTPUT, call=order)
        digest = xxhash.xxh3_128_hexdigest(array.tobytes())
        producers = tuple(range(max(0, order - 3), order))
        writer.append(
            TapRecord(key, spec, order, source=f"f.py:{tap}", producers=producers, digest=digest),
            array,
        )
        if order % 7 == 0:
            writer.append_noise(NoiseDraw(np.full(3, order, np.float32), "normal", f"g.py:{tap}"))
        if order % 50 == 0:
            writer.update_meta(extra={"order": order})
            writer.set_environment({"order": order, "padding": "y" * (order % 3000)})


if __name__ == "__main__":
    main(*sys.argv[1:])
