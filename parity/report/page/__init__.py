"""The interactive page: one file that needs no network and runs only what its policy names."""

from parity.report.page.document import page
from parity.report.page.evidence import Evidence, Sound, TensorPair
from parity.report.page.gather import gather

__all__ = ["Evidence", "Sound", "TensorPair", "gather", "page"]
