"""Takes back that a run came to its end."""

from __future__ import annotations

import os

import h5py
import numpy as np

from parity.errors import CaptureFileError
from parity.store.capture import open_capture

__all__ = ["mark_incomplete"]


def mark_incomplete(path: str | os.PathLike[str]) -> None:
    """Mark a capture whose process failed after the file was finished, as incomplete as its run.

    Raises:
        CaptureFileError: the file is no capture, or cannot be written.
    """
    with open_capture(path) as capture:
        if not capture.complete:
            return
    try:
        with h5py.File(path, "r+") as h5:
            h5.attrs["complete"] = np.bool_(False)
    except OSError as error:
        raise CaptureFileError(
            f"cannot be marked incomplete: {error}",
            where=str(path),
            hint="remove it: the run that wrote it failed at its very end",
        ) from error
