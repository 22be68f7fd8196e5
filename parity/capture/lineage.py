"""Which recorded tensors a tensor came from, by the memory it lies in."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch.multiprocessing.reductions import StorageWeakRef

__all__ = ["Lineage"]

PURGE_EVERY = 4096


class Lineage:
    """The records behind the memory of live tensors.

    A view shares its base's records. The weak reference keeps the address of a storage from
    being used again while we hold it, so that an entry never speaks of another tensor.
    """

    def __init__(self) -> None:
        self._entries: dict[int, tuple[StorageWeakRef, tuple[int, ...]]] = {}
        self._purge_at = PURGE_EVERY

    def of(self, tensors: Iterable[object]) -> tuple[int, ...]:
        """The records that fed `tensors`, without repetition, in execution order."""
        found = [entry[1] for tensor in tensors if (entry := self._get(tensor)) is not None]
        if len(found) == 1:
            return found[0]
        return tuple(sorted({order for orders in found for order in orders}))

    def set(self, tensor: object, orders: tuple[int, ...]) -> None:
        """From now on, what lies in the memory of `tensor` came from the records `orders`."""
        storage = _storage(tensor)
        if storage is None:
            return
        known = self._entries.get(storage._cdata)
        reference = known[0] if known is not None else StorageWeakRef(storage)  # type: ignore[no-untyped-call]
        self._entries[storage._cdata] = (reference, orders)
        if len(self._entries) > self._purge_at:
            self._purge()

    def _get(self, tensor: object) -> tuple[StorageWeakRef, tuple[int, ...]] | None:
        storage = _storage(tensor)
        return None if storage is None else self._entries.get(storage._cdata)

    def _purge(self) -> None:
        for address, (reference, _) in tuple(self._entries.items()):
            if reference.expired():  # type: ignore[no-untyped-call]
                del self._entries[address]
        self._purge_at = max(PURGE_EVERY, 2 * len(self._entries))


def _storage(tensor: object) -> torch.UntypedStorage | None:
    if not isinstance(tensor, torch.Tensor):
        return None
    try:
        return tensor.untyped_storage()
    except (NotImplementedError, RuntimeError):  # sparse and other tensors without one memory
        return None
