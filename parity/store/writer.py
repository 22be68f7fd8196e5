"""Writing a capture while the run goes on."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import h5py
import numpy as np

from parity.errors import CaptureFileError, InputError
from parity.store.block import RecordBlock
from parity.store.case_file import to_json, write_case
from parity.store.index_writer import IndexWriter
from parity.store.journaled import JournaledFile
from parity.store.layout import journal_path
from parity.store.meta import CaptureMeta
from parity.store.series_set import SeriesSet
from parity.store.skeleton import create_skeleton, write_json, write_meta
from parity.tensors import Case, NoiseDraw, TapKey, TapRecord, TensorSpec, Tier

__all__ = ["CaptureWriter"]

Array = np.ndarray[Any, np.dtype[Any]]


class CaptureWriter:
    """Writes one capture file; a context manager, safe to use from several threads.

    The file comes into being under its name at once, replacing an older one in one step, and always
    holds a whole state: that of the last flush. A process that is killed leaves that state, marked
    `complete=false`, and perhaps a `.journal` file beside it, which belongs to it. A loss of power
    may cost more than that.

    Args:
        path: the file to write; its folder must exist.
        meta: what is known of the run; `update_meta` adds to it later.
        buffer_bytes: memory for small tensors that wait to be written together.
        flush_seconds: how much of the run a kill may cost, checked at each `append`.
        flush_bytes: the same in bytes written.

    Raises:
        CaptureFileError: here and in every method, when the file cannot be written.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        meta: CaptureMeta | None = None,
        buffer_bytes: int = 32 * 2**20,
        flush_seconds: float = 1.0,
        flush_bytes: int = 256 * 2**20,
    ) -> None:
        self.path = Path(path)
        self._meta = meta or CaptureMeta()
        self._flush_seconds = flush_seconds
        self._flush_bytes = flush_bytes
        self._lock = threading.RLock()
        self._closed = False
        self._broken: CaptureFileError | None = None
        self._case: Case | None = None
        self._environment: str | None = None
        self._modules: str | None = None
        self._meta_changed = False
        try:
            self._begin(buffer_bytes)
        except OSError as error:
            raise self._failure(error) from error

    def _begin(self, buffer_bytes: int) -> None:
        temporary = self.path.with_name(f".{self.path.name}.{os.getpid()}.partial")
        self._file = JournaledFile(temporary)
        try:
            self._h5 = _create_h5(self._file)
            self._run_id, self._id_offset = create_skeleton(self._h5, self._meta)
            self._series = SeriesSet(self._h5, self._file, buffer_bytes)
            self._index = IndexWriter(self._h5)
            self._flush(patience_s=0.0)
            self._file.begin_journal(journal_path(str(self.path)))
            temporary.replace(self.path)
        except BaseException:
            self._file.close()
            temporary.unlink(missing_ok=True)
            raise

    def append(self, record: TapRecord, array: Array | None = None) -> None:
        """Append one record, and its tensor where its tier says so.

        Args:
            record: complete with statistics and digest, as far as wanted.
            array: of the record's type and shape; may be reused by the caller afterwards.

        Raises:
            InputError: when record and array disagree, or cannot be stored.
        """
        with self._lock:
            self._check_usable()
            key = record.key
            try:
                series = self._series.get(key.path, key.role, key.slot, record.spec)
                row = -1
                if record.tier is Tier.TENSOR:
                    row = self._series.store(series, _given(array, key), where=key)
                self._index.add(record, series, row)
                self._flush_when_due()
            except (OSError, RuntimeError) as error:
                raise self._failure(error) from error

    def append_block(self, block: RecordBlock) -> None:
        """Append many records of one tap; as `append` of each, at a fraction of the cost.

        Raises:
            InputError: when specification and tensors disagree, or cannot be stored.
        """
        with self._lock:
            self._check_usable()
            try:
                series = self._series.get(block.path, block.role, block.slot, block.spec)
                row = None
                if block.tier is Tier.TENSOR and len(block):
                    row = self._series.store_rows(series, block.data, where=block.path)
                self._index.add_block(block, series, row)
                self._flush_when_due()
            except (OSError, RuntimeError) as error:
                raise self._failure(error) from error

    def append_noise(self, draw: NoiseDraw) -> None:
        """Append one random draw; the order of the calls is the draw order."""
        with self._lock:
            self._check_usable()
            spec = TensorSpec(draw.values.dtype.name, draw.values.shape)
            try:
                series = self._series.get("", "noise", draw.distribution, spec)
                row = self._series.store(series, draw.values, where=f"draw at {draw.site}")
                self._index.add_draw(draw, series, row)
                self._flush_when_due()
            except (OSError, RuntimeError) as error:
                raise self._failure(error) from error

    def set_environment(self, environment: Mapping[str, Any]) -> None:
        """State the environment of the run, JSON values."""
        text = to_json(environment, where="environment")
        with self._lock:
            self._environment = text

    def set_modules(self, text: str) -> None:
        """State the modules of the implementation: JSON, parameter elements by path."""
        with self._lock:
            self._modules = text

    def set_case(self, case: Case) -> None:
        """State the case that was run; its noise is left out, `append_noise` records it."""
        to_json(case.inputs, where=f"case {case.name}")
        with self._lock:
            self._case = case

    def update_meta(self, **facts: Any) -> None:
        """Replace fields of the `CaptureMeta`."""
        with self._lock:
            self._meta = replace(self._meta, **facts)
            self._meta_changed = True

    def flush(self) -> None:
        """Make everything appended so far permanent and visible to readers."""
        with self._lock:
            self._check_usable()
            try:
                self._flush(patience_s=0.05)
            except (OSError, RuntimeError) as error:
                raise self._failure(error) from error

    def _flush_when_due(self) -> None:
        if (
            time.monotonic() - self._flushed_at >= self._flush_seconds
            or self._file.written - self._flushed_bytes >= self._flush_bytes
        ):
            self._flush(patience_s=0.05)

    def _flush(self, *, patience_s: float) -> None:
        self._write_out()
        self._h5.flush()
        self._file.commit(self._run_id, self._id_offset, patience_s=patience_s)
        self._flushed_at = time.monotonic()
        self._flushed_bytes = self._file.written

    def _write_out(self) -> None:
        # The index last: a row must not be there before its tensor.
        self._series.flush()
        self._index.flush()
        if self._case is not None:
            write_case(self._h5, self._case)
        if self._environment is not None:
            write_json(self._h5, "environment", self._environment)
        if self._modules is not None:
            write_json(self._h5, "modules", self._modules)
        if self._meta_changed:
            write_meta(self._h5, self._meta)
        self._case = self._environment = self._modules = None
        self._meta_changed = False

    def close(self, *, complete: bool = True) -> None:
        """Write what is left and close the file; a second call does nothing.

        Args:
            complete: whether the run came to its end.

        Raises:
            CaptureFileError: when the file cannot be written, or another process took its name.
        """
        with self._lock:
            if self._closed:
                return
            self._closed = True
            try:
                self._finish(complete=complete)
            except (OSError, RuntimeError) as error:
                raise self._failure(error) from error
            finally:
                self._discard()

    def _discard(self) -> None:
        """Close everything; what is not committed by now is lost."""
        self._file.close()
        # After a write that failed HDF5 may say so again.
        with suppress(OSError, RuntimeError):
            self._h5.close()

    def _finish(self, *, complete: bool) -> None:
        if self._broken is not None:
            return
        self._write_out()
        self._h5.attrs["complete"] = np.bool_(complete)
        self._h5.close()
        self._file.commit(self._run_id, self._id_offset, patience_s=10.0, insist=True)
        if not self._file.is_at(self.path):
            raise CaptureFileError(
                "was replaced or removed while it was being written",
                where=str(self.path),
                hint="let each run write a file of its own",
            )
        Path(journal_path(str(self.path))).unlink(missing_ok=True)

    def _check_usable(self) -> None:
        if self._broken is not None:
            raise self._broken
        if self._closed:
            raise CaptureFileError(
                "the capture is closed", where=str(self.path), hint="record within its `with` block"
            )

    def _failure(self, error: Exception) -> CaptureFileError:
        """The error to raise now, and for whatever is tried on this file afterwards."""
        self._broken = CaptureFileError(
            f"cannot be written: {error}",
            where=str(self.path),
            hint="check that the folder exists, may be written, and that the disk has room",
        )
        return self._broken

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close(complete=kind is None)


def _create_h5(file: JournaledFile) -> h5py.File:
    # The newest format without the mark that a killed writer would leave behind, and that keeps
    # everybody else from opening the file.
    return h5py.File(
        file, "w", libver=("v108", "v108"), alignment_threshold=1024, alignment_interval=64
    )


def _given(array: Array | None, key: TapKey) -> Array:
    if array is None:
        raise InputError(
            "a record of tier `tensor` came without its tensor",
            where=str(key),
            hint="pass the array, or record it with tier `digest` or `stats`",
        )
    return array
