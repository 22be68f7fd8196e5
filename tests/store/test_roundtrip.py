from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import ml_dtypes
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from parity.store import CaptureMeta, CaptureWriter, open_capture, verify
from parity.store import series as series_module
from parity.store.dtypes import element_type, supported_types
from parity.tensors import Case, NoiseDraw, TapRecord, TensorStatistics, Tier

Array = np.ndarray[Any, np.dtype[Any]]


def bits(array: Array) -> bytes:
    return array.tobytes()


@st.composite
def arrays(draw: st.DrawFn) -> Array:
    """Any type, up to four axes, any bits: NaNs with payload, -0.0 and infinities among them."""
    dtype = element_type(draw(st.sampled_from(supported_types())))
    shape = tuple(draw(st.lists(st.integers(0, 4), max_size=4)))
    size = math.prod(shape) * dtype.itemsize
    content = draw(st.binary(min_size=size, max_size=size))
    return np.frombuffer(bytearray(content), np.uint8).view(dtype).reshape(shape)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(tensors=st.lists(arrays(), max_size=12), buffer_bytes=st.sampled_from([0, 64, 1 << 20]))
def test_every_tensor_comes_back_bit_by_bit(
    tensors: list[Array],
    buffer_bytes: int,
    tmp_path: Path,
    make_record: Callable[..., TapRecord],
) -> None:
    path = tmp_path / "any.h5"
    with CaptureWriter(path, buffer_bytes=buffer_bytes) as writer:
        for order, tensor in enumerate(tensors):
            writer.append(make_record(tensor, order, f"tap{order % 3}"), tensor)
            writer.append_noise(NoiseDraw(tensor, f"kind{order % 2}"))
    with open_capture(path) as capture:
        assert verify(capture) == ()
        for order, tensor in enumerate(tensors):
            for found in (capture.read(order), capture.noise[order].values):
                assert found.dtype == tensor.dtype
                assert found.shape == tensor.shape
                assert bits(found) == bits(tensor)


@pytest.mark.parametrize("dtype", supported_types())
def test_special_values_survive(
    dtype: str, writer: CaptureWriter, make_record: Callable[..., TapRecord]
) -> None:
    patterns = np.arange(256, dtype=np.uint8)
    tensor = np.repeat(patterns, element_type(dtype).itemsize).view(element_type(dtype))
    writer.append(make_record(tensor, 0), tensor)
    writer.close()
    found = open_capture(writer.path).read(0)
    assert found.dtype == tensor.dtype
    assert bits(found) == bits(tensor)


def test_narrow_types_are_named_in_the_file(
    writer: CaptureWriter, make_record: Callable[..., TapRecord]
) -> None:
    tensor = np.array([1.5, -0.0, math.nan], ml_dtypes.bfloat16)
    writer.append(make_record(tensor, 0), tensor)
    writer.close()
    with h5py.File(writer.path) as h5:
        stored = h5["tensors/net.norm/output"]
        assert stored.dtype == np.uint16
        assert stored.attrs["dtype"] == "bfloat16"
        assert bits(stored[0]) == bits(tensor)


@pytest.mark.parametrize(
    "tensor",
    [
        pytest.param(np.arange(24).reshape(4, 6)[:, ::2], id="strided"),
        pytest.param(np.arange(24, dtype=np.float32).reshape(4, 6).T, id="transposed"),
        pytest.param(np.broadcast_to(np.float32(3), (300, 300)), id="broadcast and large"),
        pytest.param(np.zeros((1,) * 40, np.int8), id="forty axes"),
        pytest.param(np.ones((2,) * 5 + (1,) * 40 + (3000,), np.int8), id="many axes and large"),
    ],
)
def test_any_layout_is_stored_in_c_order(
    tensor: Array, writer: CaptureWriter, make_record: Callable[..., TapRecord]
) -> None:
    writer.append(make_record(tensor, 0), tensor)
    writer.close()
    np.testing.assert_array_equal(open_capture(writer.path).read(0), tensor)


def test_the_other_byte_order_is_turned_round(
    writer: CaptureWriter, make_record: Callable[..., TapRecord]
) -> None:
    tensor = np.array([1.0, 2.0], ">f4")
    writer.append(make_record(tensor, 0), tensor)
    writer.close()
    found = open_capture(writer.path).read(0)
    assert found.dtype == np.dtype("<f4")
    np.testing.assert_array_equal(found, tensor)


def test_the_array_may_be_reused_after_the_call(
    writer: CaptureWriter, make_record: Callable[..., TapRecord]
) -> None:
    for size in (3, 100_000):
        reused = np.empty(size, np.float32)
        for order in range(3):
            reused[:] = order
            writer.append(make_record(reused, order + size, "tap", slot=str(size)), reused)
    writer.close()
    with open_capture(writer.path) as capture:
        assert [tensor[-1] for tensor in capture["tap"]["output.3"]] == [0, 1, 2]
        assert [tensor[-1] for tensor in capture["tap"]["output.100000"]] == [0, 1, 2]


def test_a_tensor_too_large_for_a_chunk_lies_in_a_dataset_of_its_own(
    writer: CaptureWriter,
    make_record: Callable[..., TapRecord],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(series_module, "GIANT_BYTES", 100_000)
    for order in range(3):
        tensor = np.full((200, 200), order, np.float32)
        writer.append(make_record(tensor, order), tensor)
    writer.close()
    with open_capture(writer.path) as capture:
        assert verify(capture) == ()
        assert [tensor[0, 0] for tensor in capture["net.norm"].output] == [0, 1, 2]
    with h5py.File(writer.path) as h5:
        assert list(h5["tensors/net.norm"]) == ["output", "output~2", "output~3"]
        assert h5["tensors/net.norm/output~3"][0, 0, 0] == 2


def test_a_record_comes_back_whole(
    writer: CaptureWriter, make_record: Callable[..., TapRecord], statistics: TensorStatistics
) -> None:
    tensor = np.zeros((2, 3), np.float32)
    records = [
        make_record(
            tensor, order, "décoder/0 %.~", slot="1.key", phase="generate", call=order, step=order,
            source="mlp.py:95", producers=(0, 4)[:order], duration_s=0.25, time_s=0.5, thread=3,
            tier=tier, statistics=statistics,
        )
        for order, tier in enumerate(Tier)
    ]  # fmt: skip
    for record in records:
        writer.append(record, tensor)
    writer.close()
    assert list(open_capture(writer.path).records) == records


def test_records_come_in_execution_order(
    writer: CaptureWriter, make_record: Callable[..., TapRecord]
) -> None:
    for order in (2, 0, 1):
        tensor = np.array(order)
        writer.append(make_record(tensor, order), tensor)
    writer.close()
    with open_capture(writer.path) as capture:
        assert [record.order for record in capture] == [0, 1, 2]
        assert [int(capture.view(position)) for position in range(3)] == [0, 1, 2]


def test_facts_case_and_environment_come_back(path: Path) -> None:
    meta = CaptureMeta(
        implementation="port", framework="mlx", versions={"mlx": "0.29"}, hardware="M3",
        threads=4, precision="float16", case_name="short", case_digest="ab", weights_digest="cd",
        code_revision="ef", started="2026-01-02T03:04:05Z", extra={"nested": [1, {"a": None}]},
    )  # fmt: skip
    case = Case(
        "short",
        {"text": "Grüße \N{GRINNING FACE}", "temperature": 0.7},
        {
            "voice/0": np.arange(6, dtype=ml_dtypes.bfloat16).reshape(2, 3),
            "empty": np.zeros((0, 4), np.float32),
            "scalar": np.array(True),
            "complex": np.array([1 + 2j]),
        },
        seed=5,
    )
    with CaptureWriter(path, meta=meta) as writer:
        writer.set_case(case)
        writer.set_environment({"OMP_NUM_THREADS": "1"})
        writer.update_meta(ended="2026-01-02T03:05:06Z", threads=5)
    with open_capture(path) as capture:
        assert capture.meta == CaptureMeta(
            **{**meta.as_dict(), "ended": "2026-01-02T03:05:06Z", "threads": 5}
        )
        assert capture.environment == {"OMP_NUM_THREADS": "1"}
        assert capture.case is not None
        assert capture.case.digest() == case.digest()
        assert capture.complete


def test_the_tape_comes_back_in_draw_order(writer: CaptureWriter) -> None:
    tape = [
        NoiseDraw(
            np.full(4 + order % 2, order, np.float32), ("normal", "uniform")[order % 2],
            f"flow.py:{order}", "generate", {"std": 0.5, "order": order},
        )
        for order in range(7)
    ]  # fmt: skip
    for draw in tape:
        writer.append_noise(draw)
    writer.close()
    found = open_capture(writer.path).noise
    for draw, back in zip(tape, found, strict=True):
        np.testing.assert_array_equal(back.values, draw.values)
        assert (back.distribution, back.site, back.phase, back.parameters) == (
            draw.distribution, draw.site, draw.phase, draw.parameters,
        )  # fmt: skip
