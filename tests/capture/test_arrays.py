"""torch tensors keep their bits on the way to numpy."""

import ml_dtypes
import numpy as np
import pytest
import torch

from parity.capture.arrays import to_numpy
from parity.capture.values import UnrecordableError, as_array

SPECIAL = torch.tensor([0.0, -0.0, torch.nan, torch.inf, 1.5])


@pytest.mark.parametrize(
    "name",
    [
        "float64",
        "float32",
        "float16",
        "bfloat16",
        "float8_e4m3fn",
        "float8_e5m2",
        "int64",
        "uint8",
        "bool",
        "complex64",
    ],
)
def test_every_type_keeps_its_bits(name: str) -> None:
    dtype = getattr(torch, name)
    tensor = (SPECIAL if dtype.is_floating_point else SPECIAL.nan_to_num(2, 3)).to(dtype)
    array = to_numpy(tensor)
    assert (array.dtype.name, array.shape) == (name, (5,))
    assert array.tobytes() == tensor.view(torch.uint8).numpy().tobytes()


def test_memory_is_shared_where_it_can_be() -> None:
    tensor = torch.zeros(2)
    array = to_numpy(tensor)
    tensor += 1
    np.testing.assert_array_equal(array, [1, 1])


@pytest.mark.parametrize(
    ("tensor", "expected"),
    [
        (torch.ones(2, requires_grad=True), np.ones(2)),
        (torch.tensor([1 + 2j]).conj(), np.array([1 - 2j])),
        (torch.tensor([1 + 2j]).conj().imag, np.array([-2.0])),
        (torch.zeros(()), np.zeros(())),
        (torch.zeros(0, 3), np.zeros((0, 3))),
        (torch.arange(6).view(2, 3).T, np.arange(6).reshape(2, 3).T),
        (torch.ones(3, dtype=torch.bfloat16, requires_grad=True), np.ones(3, ml_dtypes.bfloat16)),
        (torch.nn.Parameter(torch.ones(1)), np.ones(1)),
    ],
    ids=["grad", "conjugate", "negated", "scalar", "empty", "transposed", "bfloat16", "parameter"],
)
def test_unusual_tensors(tensor: torch.Tensor, expected: np.ndarray) -> None:
    array = to_numpy(tensor)
    assert array.shape == expected.shape
    np.testing.assert_array_equal(array, expected)


def test_a_tensor_made_in_inference_mode() -> None:
    with torch.inference_mode():
        tensor = torch.ones(2)
    np.testing.assert_array_equal(to_numpy(tensor), [1, 1])


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: torch.eye(2).to_sparse(), "sparse_coo layout"),
        (lambda: torch.eye(2).to_sparse_csr(), "sparse_csr layout"),
        (lambda: torch.empty(2, device="meta"), "meta tensor without data"),
        (
            lambda: torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8),
            "quantised as torch.qint8",
        ),
    ],
)
def test_what_holds_no_plain_numbers_is_refused(make, message) -> None:
    with pytest.raises(UnrecordableError, match=message):
        to_numpy(make())


def test_numpy_objects_are_refused() -> None:
    with pytest.raises(UnrecordableError, match="object"):
        as_array(np.array([None]))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_tensors_on_another_device_are_copied() -> None:
    np.testing.assert_array_equal(to_numpy(torch.ones(2, device="cuda")), [1, 1])
