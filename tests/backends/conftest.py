"""Jobs for `run_isolated`, in a module that a child process can import."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

JOBS = """
import ctypes
import os
import subprocess
import sys
import time

from parity.errors import InputError


def add(page, left, right):
    page.note(2, "sum")
    return left + right


def chatter(page):
    print("to output", flush=True)
    print("to error", file=sys.stderr)
    return None


def environment(page):
    return [os.getcwd(), sys.executable, sys.path]


def segfault(page):
    page.note(3, "decoder:output#2")
    ctypes.string_at(0)


def abort(page):
    page.note(1, "encoder:output#0")
    os.abort()


def exits(page):
    os._exit(3)


def leaves_quietly(page):
    os._exit(0)


def hang(page):
    page.note(1, "encoder:output#0")
    spin_forever()


def spin_forever():
    while True:
        pass


def sleep_in_native_code(page):
    ctypes.CDLL(None).sleep(3600)


def raises(page):
    page.note(4, "mixer:output#0")
    raise ValueError("kernel size 3 is odd")


def raises_ours(page):
    raise InputError("no voice", where="case.json", hint="name one")


def allocate(page):
    page.note(1, "encoder:output#0")
    kept = []
    while True:
        kept.append(bytearray(8 << 20))


def cpp_allocation(page):
    os.write(2, b"terminate called after throwing an instance of 'std::bad_alloc'")
    os.abort()


def kill_itself(page):
    os.kill(os.getpid(), 9)


def flood(page):
    for _ in range(3000):
        os.write(1, b"x" * 1023 + b"\\n")
    print("the end")


def leave_a_grandchild(page, path):
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"])
    with open(path, "w") as file:
        file.write(str(child.pid))


def wait_for_parent(page, path):
    with open(path, "w") as file:
        file.write(str(os.getpid()))
    time.sleep(3600)


def note_slowly(page):
    for number in range(1, 6):
        page.note(number, f"tap{number}")
        time.sleep(0.15)


def forgotten_thread(page):
    import threading
    threading.Thread(target=time.sleep, args=(3600,)).start()
    return "done"
"""


@pytest.fixture
def jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Name of an importable module of jobs."""
    (tmp_path / "isolation_jobs.py").write_text(JOBS)
    monkeypatch.syspath_prepend(tmp_path)
    sys.modules.pop("isolation_jobs", None)
    return "isolation_jobs"
