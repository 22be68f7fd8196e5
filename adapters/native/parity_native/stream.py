"""Reads a socket whose other end may be held open by somebody who never writes."""

from __future__ import annotations

import socket
from collections.abc import Callable

__all__ = ["Stream"]

_POLL_S = 0.1  # how often somebody who waits asks whether the writer is alive
_PART = 1 << 16  # bytes that are read at once


class Stream:
    """Reads a connection until it is closed, or until nobody is alive who would write.

    The second is not the first where the writer forked: its copy holds the other end open.

    Args:
        connection: of which nobody else reads.
        alive: whether the writer may still be there.
    """

    def __init__(self, connection: socket.socket, alive: Callable[[], bool]) -> None:
        connection.settimeout(_POLL_S)
        self._connection = connection
        self._alive = alive
        self._waiting = bytearray()

    def read(self, count: int) -> bytes:
        """So many bytes; fewer when no more will come."""
        while (missing := count - len(self._waiting)) > 0:
            part = self._receive(max(missing, _PART))
            if not part:
                break
            self._waiting += part
        taken = bytes(memoryview(self._waiting)[:count])
        del self._waiting[:count]
        return taken

    def close(self) -> None:
        """Read no more."""
        self._connection.close()

    def _receive(self, most: int) -> bytes:
        while True:
            # Asked before waiting: what a writer had sent when it died is there by then.
            alive = self._alive()
            try:
                return self._connection.recv(most)
            except TimeoutError:
                if not alive:
                    return b""
            except ConnectionResetError:
                return b""
