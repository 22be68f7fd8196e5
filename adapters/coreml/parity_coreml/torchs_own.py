"""What torch's own operation was given, as arguments that a program's could have had."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from parity_coreml.exported import Exported

__all__ = ["Own", "own_of"]


@dataclass(frozen=True, slots=True, eq=False)
class Own:
    """The constants of one operation of torch.

    Attributes:
        numbers: single ones, and what a converter may make of them: the reciprocal of a divisor.
        lists: of whole numbers, such as strides, also with each twice, as paddings are written.
        tensors: by what they are called in the module.
    """

    numbers: tuple[float, ...] = ()
    lists: tuple[tuple[int, ...], ...] = ()
    tensors: Mapping[str, np.ndarray[Any, np.dtype[Any]]] | None = None

    def others(self, has: Any) -> Iterator[tuple[Any, str]]:
        """What an argument could be instead of `has`, and the tensor's name if it is one."""
        array = np.asarray(has)
        if array.dtype.kind == "f":
            yield from self._floats(array)
        elif array.dtype.kind in "iu" and array.ndim < 2:
            yield from ((each, "") for each in self._whole(array))

    def _floats(self, array: np.ndarray[Any, np.dtype[Any]]) -> Iterator[tuple[Any, str]]:
        # What the program has cannot be the reason.
        if array.size == 1:
            yield from ((each, "") for each in self.numbers if not _same(each, array))
        for name, tensor in (self.tensors or {}).items():
            fits = _in_shape(tensor, array.shape)
            if fits is not None and not _same(fits, array):
                yield (float(fits.reshape(())), "") if array.ndim == 0 else (fits, name)

    def _whole(self, array: np.ndarray[Any, np.dtype[Any]]) -> Iterator[Any]:
        has = array.tolist()
        if array.ndim == 0:
            yield from (int(each) for each in self.numbers if each.is_integer() and each != has)
        else:
            yield from (
                list(each) for each in self.lists if len(each) == len(has) and [*each] != has
            )


def own_of(exported: Exported, name: str, values: Mapping[str, Any]) -> Own:
    """The constants of an operation.

    Args:
        exported: the module.
        name: of the operation in its graph.
        values: of the nodes, as torch computed them.
    """
    given = list(_flat(exported.given(name)))
    numbers = [float(each) for each in given if isinstance(each, int | float)]
    lists = [tuple(each) for each in given if isinstance(each, list)]
    lists += [tuple(number for number in each for _ in range(2)) for each in lists]
    tensors = {
        exported.called(each): values[each].detach().numpy()
        for each in exported.constants_of(name)
        if isinstance(values.get(each), torch.Tensor)
    }
    numbers += [1 / each for each in numbers if each not in (0.0, 1.0)]
    return Own(tuple(dict.fromkeys(numbers)), tuple(dict.fromkeys(lists)), tensors)


def _flat(given: Any) -> Iterator[Any]:
    """Numbers by themselves, and lists of whole numbers; truth and words are no quantities."""
    for each in given:
        if isinstance(each, list | tuple):
            if each and all(isinstance(one, int) and not isinstance(one, bool) for one in each):
                yield list(each)
        elif isinstance(each, int | float) and not isinstance(each, bool):
            yield each


def _same(value: Any, array: np.ndarray[Any, np.dtype[Any]]) -> bool:
    with np.errstate(over="ignore"):
        return bool((np.asarray(value).astype(array.dtype) == array).all())


def _in_shape(
    tensor: np.ndarray[Any, np.dtype[Any]], shape: tuple[int, ...]
) -> np.ndarray[Any, np.dtype[Any]] | None:
    """The tensor in that shape: as it is, transposed, or with other axes of length one."""
    if tensor.dtype.kind != "f":
        return None
    if tensor.shape == shape:
        return tensor
    if tensor.ndim == 2 and tensor.shape[::-1] == shape:
        return np.ascontiguousarray(tensor.T)
    long = [size for size in tensor.shape if size > 1]
    return tensor.reshape(shape) if long == [size for size in shape if size > 1] else None
