"""The backend `onnx`: ONNX models through ONNX Runtime, and their export with a map of names."""

from typing import TYPE_CHECKING, Any

from parity.backends import Adapter

if TYPE_CHECKING:
    from parity_onnx.exporting import export

__all__ = ["ADAPTER", "export"]

ADAPTER = Adapter(
    name="onnx",
    summary="an ONNX model in ONNX Runtime, its intermediate tensors made outputs in batches",
    factory="parity_onnx.backend:OnnxBackend",
    requires=("onnx", "onnxruntime"),
    install="pip install 'parity[onnx]'",
    options={
        "model": "the .onnx file; external data beside it is found",
        "names": "which value is which module: `auto` (the default: the file that "
        "`parity_onnx.export` wrote, else the exporter's metadata, else the names of the nodes), "
        "`metadata`, `nodes`, `none`, a JSON file, or a table from value to path, which goes "
        "before what `auto` finds",
        "prefix": "what the reference calls the model (`encoder`), where it has a name there",
        "taps": "`modules` (the default) records the values that are outputs of modules, `all` "
        "every value of the graph",
        "providers": "execution providers of ONNX Runtime, the most wanted first (default: CPU)",
        "optimization": "of the graph: `all` (the default: what you ship), `extended`, `basic`, "
        "`none`",
        "batch": "how many more outputs a run gets (default: 40)",
        "threads": "compute threads (default: 1)",
        "driver": "`module:function`, called with a function that runs the model once, and the "
        "case, for what runs several times; by default one run on the case's arrays",
        "python_path": "folder or folders to look for the driver in",
    },
)


def __getattr__(name: str) -> Any:
    if name == "export":  # it loads torch, which a captured model does not need
        from parity_onnx.exporting import export  # noqa: PLC0415

        return export
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
