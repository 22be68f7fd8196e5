"""What runs a package: the evaluator anywhere, Core ML on a Mac, or a harness elsewhere."""

from parity_coreml.runners.device import DeviceRunner
from parity_coreml.runners.evaluate import EvaluatorRunner
from parity_coreml.runners.protocol import UNITS, Ran, Runner, Step
from parity_coreml.runners.results import ResultsRunner

__all__ = [
    "UNITS",
    "DeviceRunner",
    "EvaluatorRunner",
    "Ran",
    "ResultsRunner",
    "Runner",
    "Step",
]
