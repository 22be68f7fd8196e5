"""The backend `coreml`: Core ML packages, evaluated here or run on a device."""

from parity.backends import Adapter

__all__ = ["ADAPTER"]

ADAPTER = Adapter(
    name="coreml",
    summary="a Core ML package (.mlpackage): its program evaluated anywhere, or run on a device",
    factory="parity_coreml.backend:CoreMLBackend",
    requires=("coremltools", "torch"),
    install="pip install 'parity[coreml]'",
    options={
        "package": "the .mlpackage",
        "runner": "evaluator (default: the program's own semantics, on any system), device (Core "
        "ML through Python, on a Mac), remote (Core ML on a device at the Mac's cable, through "
        "coremltools and Xcode), or results (what a harness brought back)",
        "precision": "of the evaluator: declared (default: round where the program says float16), "
        "float32 or float16",
        "compute_units": "of the device: all (default), cpuOnly, cpuAndGPU, cpuAndNeuralEngine",
        "device": "of the runner remote: name, identifier or kind (iphone, ipad)",
        "team": "of the runner remote: the development team that signs coremltools' app",
        "bundle": "of the results: the folder that `parity coreml bundle` wrote",
        "results": "of the results: the folder that the harness wrote",
        "values": "true to record every value of the program too, under coreml/<its name>",
        "states": "true to record the states after each prediction (default: false)",
    },
)
