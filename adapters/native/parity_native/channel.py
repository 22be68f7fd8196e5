"""Hands records from one process to another through shared memory.

Names go through a socket, tensors through a ring in memory that both processes map: one copy on
the way in, none on the way out. What was sent is received even if the sender dies the next moment;
and the sender says when that was all, so that a broken connection is not taken for the end.
"""

from __future__ import annotations

import math
import socket
import struct
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import msgspec
import numpy as np

from parity.tensors import NoiseDraw, Role, TapKey
from parity_native.abi import CODES, DTYPES
from parity_native.memory import array_at, mapped, reserve
from parity_native.stream import Stream
from parity_native.views import Array

__all__ = ["RING_BYTES", "ChannelClosedError", "Receiver", "RemoteSink"]

RING_BYTES = 64 << 20
_PAGE = 4096  # the first page holds the counter of what the receiver has done with
_CLOSED = 2**64 - 1
_COUNTER = struct.Struct("<Q")
_LENGTH = struct.Struct("<I")
_PAUSES_S = (20e-6, 1e-3)  # waiting for room: the first pause, and the longest
_SOCKET, _RING = "socket", "ring"
_INLINE = -1


class ChannelClosedError(Exception):
    """The receiver wants no more, or cannot be reached."""


class _Message(msgspec.Struct, array_like=True):
    """A record, a draw, facts, or the end.

    Its tensor lies at `offset` of the ring, in a file of its own where `file` names one, or behind
    the message in the socket.
    """

    kind: str
    path: str = ""
    role: str = ""
    slot: str = ""
    phase: str = ""
    call: int = -1
    step: int = -1
    source: str = ""
    dtype: int = 0
    shape: tuple[int, ...] = ()
    offset: int = 0
    end: int = 0
    file: str = ""
    facts: dict[str, str | int | float | bool] = {}


class RemoteSink:
    """A `CaptureSink` whose records come out of a `Receiver` in another process.

    Args:
        folder: that of the receiver.
        note: told of each record: how many there are, and the name of the last.
    """

    def __init__(self, folder: Path, note: Callable[[int, str], None]) -> None:
        self._folder = folder
        self._note = note
        self._count = 0
        self._ring = mapped(folder / _RING)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.connect(str(folder / _SOCKET))
        self._capacity = len(self._ring) - _PAGE
        self._position = 0  # counts on for ever; modulo the capacity it is the place in the ring
        self._files = 0

    def describe(self, facts: Mapping[str, str | int | float | bool]) -> None:
        """Send facts of the run."""
        self._send(_Message("facts", facts=dict(facts)))

    def record(
        self,
        path: str,
        array: Array,
        *,
        role: Role = Role.TAP,
        slot: str = "",
        phase: str = "",
        call: int | None = None,
        step: int = -1,
        source: str = "",
        producers: tuple[int, ...] = (),  # noqa: ARG002  a library names none
        duration_s: float = math.nan,  # noqa: ARG002
    ) -> int | None:
        """Send one tensor of any shape.

        Raises:
            ChannelClosedError: the receiver wants no more.
        """
        number = -1 if call is None else call
        self._send_array(_Message("record", path, role, slot, phase, number, step, source), array)
        self._count += 1
        self._note(self._count, str(TapKey(path, role, slot, phase, max(number, 0))))
        return None

    def noise(self, draw: NoiseDraw) -> None:
        """Send one random draw."""
        message = _Message("noise", draw.distribution, phase=draw.phase, source=draw.site)
        self._send_array(message, draw.values)

    def close(self) -> None:
        """Say that this was all."""
        self._send(_Message("end"))
        self._socket.close()

    def _send_array(self, message: _Message, array: Array) -> None:
        message.dtype, message.shape = CODES[array.dtype], array.shape
        if self._capacity == 0:
            message.offset = _INLINE
            self._send(message, np.array(array, order="C", copy=None).tobytes())
            return
        if array.nbytes > self._capacity // 4:
            message.file = f"tensor-{self._files}"
            self._files += 1
            reserve(self._folder / message.file, array.nbytes)
            place = mapped(self._folder / message.file)
            array_at(place, 0, array.shape, array.dtype)[...] = array
        elif array.nbytes:
            message.offset = self._room(array.nbytes)
            array_at(self._ring, message.offset, array.shape, array.dtype)[...] = array
        message.end = self._position
        self._send(message)

    def _room(self, size: int) -> int:
        """The offset of `size` bytes of the ring that the receiver is done with."""
        size = -(-size // 16) * 16
        place = self._position % self._capacity
        if place + size > self._capacity:
            self._position += self._capacity - place
        self._position += size
        pause = _PAUSES_S[0]
        while (done := self._done()) + self._capacity < self._position:
            time.sleep(pause)
            pause = min(2 * pause, _PAUSES_S[1])
        if done == _CLOSED:
            raise ChannelClosedError
        return _PAGE + (self._position - size) % self._capacity

    def _done(self) -> int:
        return int(_COUNTER.unpack_from(self._ring)[0])

    def _send(self, message: _Message, tail: bytes = b"") -> None:
        body = msgspec.msgpack.encode(message)
        try:
            self._socket.sendall(_LENGTH.pack(len(body)) + body + tail)
        except OSError as error:
            raise ChannelClosedError from error


class Receiver:
    """Takes what one `RemoteSink` in another process sends.

    Args:
        folder: an empty one, in memory if possible; its path must be short, as sockets demand.
        ring_bytes: size of the ring; 0 sends tensors through the socket instead.
        alive: whether the sender's process may still be there.

    Attributes:
        ended: whether the sender has said that this was all.

    Raises:
        BackendError: there is no room for the ring.
    """

    def __init__(
        self, folder: Path, ring_bytes: int = RING_BYTES, alive: Callable[[], bool] = lambda: True
    ) -> None:
        self._folder = folder
        self._alive = alive
        self.ended = False
        reserve(folder / _RING, _PAGE + ring_bytes)
        self._ring = mapped(folder / _RING)
        self._listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listening.bind(str(folder / _SOCKET))
        self._listening.listen(1)
        self._listening.settimeout(0.05)
        self._stream: Stream | None = None

    def accept(self) -> bool:
        """Wait a moment for the sender; whether it has come."""
        try:
            connection, _ = self._listening.accept()
        except TimeoutError:
            return False
        self._stream = Stream(connection, self._alive)
        # Both sides have them open: without names, nothing is left behind by a process that dies.
        for name in (_RING, _SOCKET):
            (self._folder / name).unlink()
        return True

    def messages(self) -> Iterator[tuple[_Message, Array | None]]:
        """What is sent, until the sender ends or dies. Arrays are good until the next one."""
        assert self._stream is not None  # noqa: S101  `accept` came before
        while len(head := self._stream.read(_LENGTH.size)) == _LENGTH.size:
            body = self._stream.read(_LENGTH.unpack(head)[0])
            if len(body) < _LENGTH.unpack(head)[0]:
                return
            message = msgspec.msgpack.decode(body, type=_Message)
            if message.kind == "end":
                self.ended = True
                return
            yield message, self._array(message)
            if message.end:
                _COUNTER.pack_into(self._ring, 0, message.end)

    def close(self) -> None:
        """Take no more; a sender that goes on is told so."""
        _COUNTER.pack_into(self._ring, 0, _CLOSED)
        if self._stream is not None:
            self._stream.close()
        self._listening.close()

    def _array(self, message: _Message) -> Array | None:
        dtype = DTYPES.get(message.dtype)
        if dtype is None:
            return None
        size = math.prod(message.shape) * dtype.itemsize
        if message.offset == _INLINE:
            assert self._stream is not None  # noqa: S101  the message came out of it
            return np.frombuffer(self._stream.read(size), dtype).reshape(message.shape)
        if message.file:
            path = self._folder / message.file
            array = np.memmap(path, dtype, "r", shape=message.shape)
            path.unlink()
            return array
        if not size:
            return np.empty(message.shape, dtype)
        return array_at(self._ring, message.offset, message.shape, dtype)
