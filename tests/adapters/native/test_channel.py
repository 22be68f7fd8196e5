"""Records on their way between processes: nothing is lost unnoticed, nothing is left behind."""

from __future__ import annotations

import os
import resource
import socket
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from parity.errors import BackendError
from parity_native import apart
from parity_native.channel import Receiver, RemoteSink
from parity_native.memory import reserve
from parity_native.stream import Stream


@pytest.fixture
def folder() -> Iterator[Path]:
    # Not tmp_path: the name of a socket is at most some hundred bytes long.
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def connected(folder: Path) -> tuple[Receiver, RemoteSink]:
    receiver = Receiver(folder, 1 << 16)
    sinks: list[RemoteSink] = []
    thread = threading.Thread(target=lambda: sinks.append(RemoteSink(folder, lambda *_: None)))
    thread.start()
    while not receiver.accept():
        pass
    thread.join()
    return receiver, sinks[0]


@pytest.mark.parametrize("count", [3, 40_000])
def test_what_is_sent_arrives_and_leaves_no_file(count, folder):
    receiver, sink = connected(folder)
    sent = np.arange(count, dtype=np.float32)
    sink.record("a", sent[::-1], call=0)
    sink.close()
    (received,) = [array.copy() for _, array in receiver.messages() if array is not None]
    np.testing.assert_array_equal(received, sent[::-1])
    assert receiver.ended
    assert list(folder.iterdir()) == []
    receiver.close()


def test_a_sender_that_goes_without_a_word_has_not_ended(folder):
    receiver, sink = connected(folder)
    sink.record("a", np.ones(3), call=0)
    sink._socket.close()
    assert [message.path for message, _ in receiver.messages()] == ["a"]
    assert not receiver.ended
    receiver.close()


def test_a_copy_that_holds_the_connection_open_is_not_waited_for():
    near, far = socket.socketpair()
    far.sendall(b"all")
    with far:
        stream = Stream(near, alive=lambda: False)
        assert stream.read(2) == b"al"
        assert stream.read(2) == b"l"
        stream.close()


def test_no_room_is_said_before_it_is_written_to(folder):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, hard))
    try:
        with pytest.raises(BackendError, match=r"no room for 2 MiB .*(?s:.*)--shm-size"):
            reserve(folder / "large", 2 << 20)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_small_folder_in_memory_is_passed_over(monkeypatch):
    monkeypatch.setattr(apart, "_MEMORY_BYTES", 1 << 60)
    with apart._folder() as place:
        assert place.parent == Path(os.path.realpath(tempfile.gettempdir()))
