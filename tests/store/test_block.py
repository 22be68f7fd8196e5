from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from parity.errors import InputError
from parity.store import CaptureWriter, RecordBlock, open_capture, verify
from parity.tensors import Role, TapKey, TapRecord, TensorSpec, TensorStatistics, Tier

SIZES = ((3,), (), (0, 4), (200, 300))


def records_of(stack: np.ndarray, digest_of: Callable[..., TapRecord]) -> list[TapRecord]:
    return [
        TapRecord(
            TapKey("net.norm", Role.OUTPUT, "1", ("prompt", "generate")[row % 2], row),
            TensorSpec(stack.dtype.name, stack.shape[1:]),
            order=row,
            step=row - 1,
            source=f"f.py:{row % 3}",
            producers=tuple(range(row % 4)),
            duration_s=row / 8,
            time_s=row / 16,
            thread=row % 2,
            statistics=TensorStatistics(tensor.size, 0.5, row, -1, 2, 3, row, 0, 1),
            digest=digest_of(tensor, row).digest,
        )
        for row, tensor in enumerate(stack)
    ]


def block_of(records: list[TapRecord], stack: np.ndarray, tier: Tier = Tier.TENSOR) -> RecordBlock:
    names = TensorStatistics._fields
    columns = zip(*(record.statistics or () for record in records), strict=True)
    return RecordBlock(
        path="net.norm",
        role=Role.OUTPUT,
        slot="1",
        spec=records[0].spec,
        tier=tier,
        data=stack,
        columns={
            "call": [record.key.call for record in records],
            **{
                name: [getattr(record, name) for record in records]
                for name in ("order", "step", "thread", "duration_s", "time_s")
            },
        },
        phases=[record.key.phase for record in records],
        sources=[record.source for record in records],
        producers=[record.producers for record in records],
        statistics={name: np.array(c) for name, c in zip(names, columns, strict=True)},
        digests=[record.digest for record in records],
    )


@pytest.mark.parametrize("shape", SIZES)
@pytest.mark.parametrize("flush_seconds", [0.0, 1e9])
def test_a_block_is_the_same_as_its_records(
    path: Path, make_record: Callable[..., TapRecord], shape: tuple[int, ...], flush_seconds: float
) -> None:
    stack = np.random.default_rng(0).normal(size=(30, *shape))
    records = records_of(stack, make_record)
    with CaptureWriter(path, flush_seconds=flush_seconds) as writer:
        writer.append_block(block_of(records[:11], stack[:11]))
        writer.append(records[11], stack[11])
        writer.append_block(block_of(records[12:], stack[12:]))
    with open_capture(path) as capture:
        assert list(capture.records) == records
        assert verify(capture) == ()
        np.testing.assert_array_equal(capture["net.norm"]["output.1"][:], stack)


def test_a_block_of_a_lower_tier_keeps_no_tensor(
    path: Path, make_record: Callable[..., TapRecord]
) -> None:
    stack = np.ones((5, 7))
    records = records_of(stack, make_record)
    with CaptureWriter(path) as writer:
        writer.append_block(block_of(records, stack, Tier.DIGEST))
    with open_capture(path) as capture:
        assert capture.columns.kept.sum() == 0
        assert [record.tier for record in capture] == [Tier.DIGEST] * 5


@pytest.mark.parametrize("wrong", [np.ones((5, 8)), np.ones((5, 7), np.float32)])
def test_a_block_must_agree_with_its_specification(
    path: Path, make_record: Callable[..., TapRecord], wrong: np.ndarray
) -> None:
    records = records_of(np.ones((5, 7)), make_record)
    writer = CaptureWriter(path)
    with pytest.raises(InputError, match="recorded as"):
        writer.append_block(block_of(records, wrong))
    writer.close()
