"""Capture files: written while a model runs, read lazily. The only importer of h5py."""

from parity.store.block import RecordBlock
from parity.store.capture import Capture, open_capture
from parity.store.columns import Columns, SeriesInfo
from parity.store.ending import mark_incomplete
from parity.store.floors import RecordFloors, write_floors
from parity.store.listing import PortSummary, port_summaries
from parity.store.meta import CaptureMeta
from parity.store.tap_view import SeriesView, TapView
from parity.store.verify import verify
from parity.store.writer import CaptureWriter

__all__ = [
    "Capture",
    "CaptureMeta",
    "CaptureWriter",
    "Columns",
    "PortSummary",
    "RecordBlock",
    "RecordFloors",
    "SeriesInfo",
    "SeriesView",
    "TapView",
    "mark_incomplete",
    "open_capture",
    "port_summaries",
    "verify",
    "write_floors",
]
