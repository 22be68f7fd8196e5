"""What a MIL program computes, operation by operation, with torch: on any system.

Not a Core ML runtime: it follows what the program says, so that a fault of the conversion can be
told from a fault of a device.
"""

from parity_coreml.mil.evaluator import Evaluation, Evaluator
from parity_coreml.mil.handlers import HANDLERS
from parity_coreml.mil.precision import Declared, Everywhere, Mixed, Precision

__all__ = [
    "HANDLERS",
    "Declared",
    "Evaluation",
    "Evaluator",
    "Everywhere",
    "Mixed",
    "Precision",
]
