"""PocketSphinx: the recogniser that works offline, since its package carries a model.

It runs in a process of its own: it takes minutes over garbage, and is then stopped.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from importlib.metadata import version
from importlib.util import find_spec
from typing import IO, Any

import numpy as np

from parity.audio.recognisers import RATE, Speech16k
from parity.errors import BackendError, MissingExtraError

__all__ = ["Sphinx"]

# Clean speech takes a tenth to half of its own duration.
PATIENCE_S, PATIENCE_TIMES = 10.0, 4.0
# Processor time is what counts; the clock, on a busy machine, is only a last resort.
CLOCK_TIMES = 60.0
LOADING_S = 900.0


class Sphinx:
    """PocketSphinx with its English model.

    Args:
        pronunciations: phones of the CMU set by word, for names that its dictionary lacks
            (`{"kyutai": "K Y UW T AY"}`). Acronyms, written in capitals, are spelled by itself.
        patience: how much longer than usual it may take; in tests of the time-out, 0.
    """

    name = "pocketsphinx"

    def __init__(
        self, pronunciations: dict[str, str] | None = None, *, patience: float = 1.0
    ) -> None:
        if find_spec("pocketsphinx") is None:
            raise MissingExtraError.of("tts", needed_for="the recogniser pocketsphinx")
        self.version = f"{version('pocketsphinx')}, en-us"
        self._pronunciations = dict(pronunciations or {})
        self._patience = patience
        self._texts: tuple[str, ...] = ()
        self._process: subprocess.Popen[bytes] | None = None

    def prepare(self, texts: Sequence[str]) -> tuple[str, ...]:
        """Add the words of all texts at once, so that no result depends on their order."""
        self.close()
        self._texts = tuple(sorted(set(texts)))
        process = self._started()
        answer = self._ask(process, clock_s=LOADING_S)
        return tuple(answer["unknown"])

    def transcribe(self, samples: Speech16k) -> str:
        """What is said in `[samples]`.

        Raises:
            TimeoutError: it took too long.
        """
        if self._process is None:
            self.prepare(self._texts)
        assert self._process is not None  # noqa: S101 - prepared
        data = (np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes()
        pipe = _pipe(self._process.stdin)
        patience = (PATIENCE_S + PATIENCE_TIMES * samples.size / RATE) * self._patience
        try:
            limit = round(1e6 * patience).to_bytes(8, "little")
            pipe.write(len(data).to_bytes(8, "little") + limit + data)
            pipe.flush()
        except OSError:
            self.close()
            raise BackendError("pocketsphinx's process has died") from None
        return str(self._ask(self._process, clock_s=1 + CLOCK_TIMES * patience)["text"])

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            for pipe in (self._process.stdin, self._process.stdout):
                _pipe(pipe).close()
            self._process = None

    def __del__(self) -> None:
        if getattr(self, "_process", None) is not None:
            self.close()

    def _started(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "parity.audio.sphinx_worker"]
        process = subprocess.Popen(  # noqa: S603 - ourselves
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        order = {"texts": self._texts, "pronunciations": self._pronunciations}
        pipe = _pipe(process.stdin)
        pipe.write(json.dumps(order).encode() + b"\n")
        pipe.flush()
        self._process = process
        return process

    def _ask(self, process: subprocess.Popen[bytes], *, clock_s: float) -> dict[str, Any]:
        timer = threading.Timer(clock_s, process.kill)
        timer.start()
        try:
            line = _pipe(process.stdout).readline()
        finally:
            timer.cancel()
        if line:
            found: dict[str, Any] = json.loads(line)
            return found
        late = process.wait() in (-signal.SIGVTALRM, -signal.SIGKILL)
        self.close()
        if late:
            raise TimeoutError("gave up: it takes too long, as garbage does")
        raise BackendError("pocketsphinx's process has died")


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    assert pipe is not None  # noqa: S101 - opened with the process
    return pipe
