"""A graph made by hand, with the names that torch's older exporter gives."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from parity.tensors import Case

CASE = Case("short", arrays={"x": np.linspace(-2, 2, 6, dtype=np.float32).reshape(2, 3)})


def small_model(folder: Path, *, external: bool = False) -> Path:
    """`x` through a scale, an absolute value, a branch and a sum; returns the file."""
    scale = numpy_helper.from_array(np.full((3, 3), 0.5, np.float32), "scale")
    nodes = [
        helper.make_node("MatMul", ["x", "scale"], ["scaled"], "/encoder/linear/MatMul"),
        helper.make_node("Abs", ["scaled"], ["positive"], "/encoder/norm/Abs"),
        helper.make_node("Sqrt", ["positive"], ["normed"], "/encoder/norm/Sqrt"),
        helper.make_node("Exp", ["normed"], ["grown"], "/encoder/Exp"),
        helper.make_node("ReduceMax", ["x"], ["largest"], "/ReduceMax", keepdims=0),
        helper.make_node("Greater", ["largest", "zero"], ["positive_x"], "/Greater"),
        helper.make_node(
            "If", ["positive_x"], ["chosen"], "/gate/If",
            then_branch=_branch("Neg", "then"), else_branch=_branch("Identity", "else"),
        ),
        helper.make_node("SequenceConstruct", ["chosen", "grown"], ["both"], "/pair/Make"),
        helper.make_node("ConcatFromSequence", ["both"], ["joined"], "/Concat", axis=1),
    ]  # fmt: skip
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 3])],
        [helper.make_tensor_value_info("joined", TensorProto.FLOAT, [2, 6])],
        [scale, numpy_helper.from_array(np.float32(0), "zero")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    path = folder / "small.onnx"
    options = {"location": "small.data", "size_threshold": 0} if external else {}
    onnx.save(model, str(path), save_as_external_data=external, **options)
    return path


def _branch(kind: str, name: str):
    made = helper.make_tensor_value_info(name, TensorProto.FLOAT, [2, 3])
    node = helper.make_node(kind, ["grown"], [name], f"/gate/{name}/{kind}")
    return helper.make_graph([node], name, [], [made])
