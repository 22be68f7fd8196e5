"""The backend `torch`: PyTorch models and reimplementations."""

from parity.backends import Adapter

__all__ = ["ADAPTER"]

ADAPTER = Adapter(
    name="torch",
    summary="PyTorch models and reimplementations, run in this Python",
    factory="parity_torch.backend:TorchBackend",
    requires=("torch",),
    install="pip install 'parity[torch]'",
    options={
        "program": "module:attribute of a Program, or of an nn.Module or a function that makes one",
        "python_path": "folder or folders to find that module in (default: the current one)",
        "threads": "torch threads during the run (default: 1, because sums depend on it)",
        "operations": "record functional operations too: true, or globs over their taps",
        "states": "record caches and other states too (default: false)",
        "params": "record digests of the parameters (default: true)",
        "tap_classes": "record only modules whose class name matches one of these globs",
        "tap_depth": "record only modules down to this level below the roots, which are level 0",
        "tap_leaves": "record only modules without modules inside (default: false)",
        "...": "any further option is passed to the program",
    },
    open_options=True,
)
