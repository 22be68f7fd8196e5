"""Which recorded tensors a tensor came from, by the memory it lies in."""

from __future__ import annotations

import threading
from collections.abc import Iterable

import torch

__all__ = ["Lineage"]

PURGE_EVERY = 64
# No tensor at all; a sparse tensor, or another without one memory.
_NO_STORAGE = (AttributeError, NotImplementedError, RuntimeError)


class Lineage:
    """The records behind the memory of live tensors; a view shares its base's records.

    A weak reference to a storage keeps its address from being used again while we hold it, so
    that an entry never speaks of another tensor. We hold torch's own reference, an address,
    because the class that torch wraps it in takes four times as long to make.
    """

    def __init__(self) -> None:
        self._fed: dict[int, tuple[int, ...]] = {}
        self._references: dict[int, int] = {}
        self._purge_at = PURGE_EVERY
        self._lock = threading.Lock()

    def of(self, tensors: Iterable[object]) -> tuple[int, ...]:
        """The records that fed `tensors`, without repetition, in execution order."""
        found = [orders for tensor in tensors if (orders := self.of_one(tensor))]
        if len(found) == 1:
            return found[0]
        return tuple(sorted({order for orders in found for order in orders}))

    def of_one(self, tensor: object) -> tuple[int, ...]:
        """The records that fed one tensor."""
        try:
            return self._fed.get(tensor.untyped_storage()._cdata, ())  # type: ignore[attr-defined]
        except _NO_STORAGE:
            return ()

    def set(self, tensor: object, orders: tuple[int, ...]) -> None:
        """From now on, what lies in the memory of `tensor` came from the records `orders`."""
        try:
            storage = tensor.untyped_storage()  # type: ignore[attr-defined]
        except _NO_STORAGE:
            return
        fed, address = self._fed, storage._cdata
        if address not in fed:
            # A model runs in several threads, and two of them must not purge at once.
            with self._lock:
                self._references[address] = storage._weak_ref()
                if len(fed) > self._purge_at:
                    self._purge()
        fed[address] = orders

    def close(self) -> None:
        """Let go of all storages."""
        for reference in self._references.values():
            _free(reference)
        self._references.clear()
        self._fed.clear()

    def _purge(self) -> None:
        for address, reference in tuple(self._references.items()):
            if torch.UntypedStorage._expired(reference):
                del self._references[address]
                self._fed.pop(address, None)
                _free(reference)
        self._purge_at = max(PURGE_EVERY, 2 * len(self._fed))


def _free(reference: int) -> None:
    torch.UntypedStorage._free_weak_ref(reference)  # type: ignore[no-untyped-call]
