"""Whether the tensors of a capture are those that were recorded."""

from __future__ import annotations

import xxhash

from parity.store.capture import Capture
from parity.tensors import TapKey

__all__ = ["verify"]


def verify(capture: Capture) -> tuple[TapKey, ...]:
    """The records whose tensor does not have the digest that was recorded with it.

    Records without a digest or without their tensor cannot be checked and are not in the answer.
    """
    columns = capture.columns
    digests = columns.table["digest"].tolist()
    return tuple(
        capture.records[position].key
        for position, digest in enumerate(digests)
        if digest and columns.offsets[position] >= 0 and _digest(capture, position) != digest
    )


def _digest(capture: Capture, position: int) -> bytes:
    data, offsets, nbytes = capture.slab()
    start = int(offsets[position])
    tensor = data[start : start + int(nbytes[position])]
    return xxhash.xxh3_128_hexdigest(tensor.data).encode()
