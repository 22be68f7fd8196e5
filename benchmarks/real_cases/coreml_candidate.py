"""Case B in its own environment: a block converted by coremltools, and what the program computes.

    python -m benchmarks.real_cases.coreml_candidate WEIGHTS FOLDER

Writes the package, and two folders of tensors by module: `converted`, what the program in the
package computes, and `corrected`, the same with the mode of its `gelu` operations changed.
"""

from __future__ import annotations

import argparse
import json
import logging
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import coremltools as ct
import torch
from coremltools.converters.mil.frontend.milproto import load as milproto
from safetensors.torch import save_file

from benchmarks.real_cases.block import Block, load_block
from benchmarks.real_cases.mil import evaluate

__all__ = ["main"]

ROOT = "block"
_HANDLES = "executorch_debug_handle_mapping.json"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("weights", type=Path)
    parser.add_argument("folder", type=Path)
    given = parser.parse_args()
    block, x = load_block(given.weights)
    package = given.folder / "block.mlpackage"
    modules = _convert(block, x, package)
    model = ct.models.MLModel(str(package), skip_model_load=True)
    taps = _taps(package, modules)
    spec = model.get_spec()
    _dump(given.folder / "converted", spec, model.weights_dir, x, taps)
    _correct(spec)
    _dump(given.folder / "corrected", spec, model.weights_dir, x, taps)


def _convert(block: Block, x: torch.Tensor, package: Path) -> dict[str, int]:
    """Save the package; by module the handle of the operation that makes its output."""
    logging.getLogger("coremltools").setLevel(logging.ERROR)
    with torch.no_grad():
        exported = torch.export.export(block, (x,)).run_decompositions({})
    for handle, node in enumerate(exported.graph_module.graph.nodes, 1):
        node.meta["debug_handle"] = handle
    ct.convert(
        exported,
        convert_to="mlprogram",
        compute_precision=ct.precision.FLOAT32,
        minimum_deployment_target=ct.target.iOS18,
        skip_model_load=True,
    ).save(str(package))
    return _outputs_of_modules(exported.graph_module.graph)


def _outputs_of_modules(graph: torch.fx.Graph) -> dict[str, int]:
    """Of the modules with one output; those of several, such as rope, are left out."""
    leaving: dict[str, list[Any]] = {}
    for node in graph.nodes:
        elsewhere = [_modules(user) for user in node.users]
        for path in _modules(node):
            if any(path not in modules for modules in elsewhere):
                leaving.setdefault(path, []).append(node)
    return {
        path: nodes[0].meta["debug_handle"] for path, nodes in leaving.items() if len(nodes) == 1
    }


def _modules(node: Any) -> list[str]:
    return [path for path, _ in (node.meta.get("nn_module_stack") or {}).values()]


def _taps(package: Path, modules: Mapping[str, int]) -> dict[str, str]:
    """By tap the name of its value in the program; the package itself says which."""
    mapping = json.loads((package / _HANDLES).read_text())["mapping"]
    taps = {}
    for path, handle in modules.items():
        made = [at[-1]["Output"] for at in mapping[str(handle)] if at[-1]["Operator"] != "const"]
        taps[f"{ROOT}.{path}" if path else ROOT] = made[-1]
    return taps


def _dump(folder: Path, spec: Any, weights: str, x: torch.Tensor, taps: Mapping[str, str]) -> None:
    program = milproto.load(
        spec, specification_version=spec.specificationVersion, file_weights_dir=weights
    )
    function = program.functions["main"]
    (name,) = function.inputs
    values = evaluate(function, {name: x})
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    # Clones: a module that ends in another one has the very same output.
    tensors = {tap: values[value].clone() for tap, value in taps.items()}
    save_file({f"{ROOT}.input": x, **tensors}, folder / "taps.safetensors")
    modes = [operation.mode.val for operation in function.operations if operation.op_type == "gelu"]
    print(f"{folder.name}: gelu {', '.join(modes)}; the outputs of {len(taps)} modules")


def _correct(spec: Any) -> None:
    """Give every `gelu` of the program the mode that the torch module asked for."""
    for block in spec.mlProgram.functions["main"].block_specializations.values():
        modes = {
            operation.inputs["mode"].arguments[0].name
            for operation in block.operations
            if operation.type == "gelu"
        }
        for operation in block.operations:
            if operation.type == "const" and operation.outputs[0].name in modes:
                value = operation.attributes["val"].immediateValue.tensor.strings
                value.values[0] = "TANH_APPROXIMATION"


if __name__ == "__main__":
    main()
