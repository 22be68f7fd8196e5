"""What runs a package: the evaluator, Core ML on a Mac or at its cable, or a harness elsewhere."""

from parity_coreml.runners.device import DeviceRunner
from parity_coreml.runners.evaluate import EvaluatorRunner
from parity_coreml.runners.protocol import UNITS, Ran, Runner, Step
from parity_coreml.runners.remote import RemoteRunner
from parity_coreml.runners.results import ResultsRunner

__all__ = [
    "UNITS",
    "DeviceRunner",
    "EvaluatorRunner",
    "Ran",
    "RemoteRunner",
    "ResultsRunner",
    "Runner",
    "Step",
]
