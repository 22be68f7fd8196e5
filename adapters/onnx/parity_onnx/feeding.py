"""From a case's arrays to what a model takes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from parity.errors import InputError
from parity.tensors import Case
from parity_onnx.model import Array, Model

__all__ = ["Feeder"]


class Feeder:
    """Gives a model's inputs the types that it declares.

    Attributes:
        casts: what had to be cast, in words.
    """

    def __init__(self, model: Model) -> None:
        self._model = model
        self.casts: dict[str, str] = {}

    def from_case(self, case: Case) -> Mapping[str, Array]:
        """By name; or by position, where arrays are named 0, 1, ... or are as many as inputs are.

        Raises:
            InputError: the case's arrays are not the model's inputs.
        """
        inputs, arrays = list(self._model.inputs), case.arrays
        if set(arrays) == set(inputs):
            return arrays
        if len(arrays) == len(inputs) and all(name.isdecimal() for name in arrays):
            return dict(zip(inputs, (arrays[n] for n in sorted(arrays, key=int)), strict=True))
        if len(arrays) == len(inputs) == 1:
            return {inputs[0]: next(iter(arrays.values()))}
        raise InputError(
            f"the model takes {', '.join(inputs) or 'nothing'}; the case has "
            f"{', '.join(arrays) or 'no arrays'}",
            where=f"case {case.name}",
            hint="name the case's arrays after the model's inputs, or 0, 1, ... by position; or "
            "name a `driver` that feeds it",
        )

    def feeds(self, given: Mapping[str, Array]) -> dict[str, Array]:
        """`given`, of any shapes, in the types that the model declares.

        Raises:
            InputError: something is missing, or of another kind of number.
        """
        missing = [name for name in self._model.inputs if name not in given]
        if missing:
            raise InputError(
                f"the model's input {missing[0]!r} is not given", where=self._model.path.name
            )
        return {name: self._cast(name, np.asarray(given[name])) for name in self._model.inputs}

    def _cast(self, name: str, array: Array) -> Array:
        wanted = self._model.inputs[name]
        if array.dtype == wanted:
            return array
        if not np.can_cast(array.dtype, wanted, casting="same_kind"):
            raise InputError(
                f"the input {name!r} is {array.dtype.name}, and the model takes {wanted.name}",
                where=self._model.path.name,
            )
        self.casts[name] = f"{name} is cast from {array.dtype.name} to {wanted.name}"
        return array.astype(wanted)
