"""Whether a run is the one that a capture holds."""

from __future__ import annotations

import torch

from parity.capture.arrays import to_numpy
from parity.errors import InputError
from parity.localize.candidate import to_torch
from parity.localize.local_errors import relative_error
from parity.localize.tape import Tap, Tape
from parity.metrics import digest
from parity.store import Capture
from parity.tensors import Role, TapRecord, Tier
from parity.tolerance import dtype_floor

__all__ = ["Reproduction"]

# The tensors of so few elements can cancel: they tell nothing.
_FEW = 16
_RUN_ROLES = (Role.INPUT, Role.OUTPUT, Role.TAP)


class Reproduction:
    """Compares a run with a capture, tap by tap.

    The same bits are expected; on another machine, up to what rounding explains.

    Args:
        capture: what was recorded.
        tape: the run.

    Raises:
        InputError: the run has other taps.
    """

    def __init__(self, capture: Capture, tape: Tape) -> None:
        self._capture = capture
        self._records = {record.key: record for record in capture.records}
        ours = [
            record for record in capture.records
            if record.key.role in _RUN_ROLES and "::" not in record.key.path
        ]  # fmt: skip
        missing = [record for record in ours if record.key not in tape.tap_of]
        if ours and len(missing) > len(ours) // 2:
            raise self._other(f"has no {missing[0].key}, nor {len(missing) - 1:,} more of its taps")

    def check(self, tap: Tap, tensor: torch.Tensor) -> None:
        """Compare one tensor with its record, if there is one.

        Raises:
            InputError: they are not the same.
        """
        record = self._records.get(tap.key)
        if record is None:
            return
        array = to_numpy(tensor)
        if array.shape != record.spec.shape or array.dtype.name != record.spec.dtype:
            made = f"{array.dtype.name}{list(array.shape)}"
            raise self._other(f"has {made} at {tap.key} and not {record.spec}")
        if not record.digest or digest(array) == record.digest:
            return
        self._check_values(tap, tensor, record)

    def _check_values(self, tap: Tap, tensor: torch.Tensor, record: TapRecord) -> None:
        if record.tier is not Tier.TENSOR:
            raise self._other(
                f"has other bits at {tap.key}, and no tensor was kept to see how far off they are"
            )
        kept = to_torch(self._capture.view(record))
        error = relative_error(kept, tensor)[0]
        floor = 2 * dtype_floor(record.spec.dtype)
        if not error <= floor and (tensor.numel() > _FEW or not tensor.is_floating_point()):
            raise self._other(f"is off by {error:.1e} at {tap.key}")

    def _other(self, how: str) -> InputError:
        return InputError(
            f"the program does not reproduce the capture: its run {how}",
            where=str(self._capture.path),
            hint="give the program and options that the capture was made with, or record it again",
        )
