"""Names of modules from the names of nodes, as torch's older exporter and other tools write."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from parity_onnx.metadata import metadata_names
from parity_onnx.names import Names
from parity_onnx.node_names import node_names


def graph(*nodes: tuple[str, str, str, str], scoped: bool = False, stored: str = "") -> Any:
    """A graph of `(name, operation, inputs, outputs)`; `scoped` writes the name as metadata."""
    made = []
    for name, kind, taken, given in nodes:
        node = helper.make_node(kind, taken.split(), given.split(), "" if scoped else name)
        if scoped and name:
            parts = name.split("/")[1:-1]
            paths = ["", *(".".join(parts[: i + 1]) for i in range(len(parts))), kind]
            node.metadata_props.add(key="pkg.torch.onnx.name_scopes", value=repr(paths))
        made.append(node)
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [2]) for name in ("x", "y")]
    weights = [numpy_helper.from_array(np.ones(2, np.float32), name) for name in stored.split()]
    return helper.make_graph(made, "graph", ends[:1], ends[1:], weights)


def paths(names: Names | None) -> dict[str, str]:
    """Values by module; the call behind a `#` where it is not the first."""
    assert names is not None
    several = ((one.path + (f"#{one.call}" if one.call else ""), one.value) for one in names.named)
    return {path: value for path, value in several if path != "(root)"}


def test_what_is_repeated_in_sequential_modules_counts_once() -> None:
    found = node_names(
        graph(
            ("/net/net.0/net.0.0/Gemm", "Gemm", "x w", "a"),
            ("/net/net.0/net.0.1/Relu", "Relu", "a", "b"),
            ("/net/net.1/Gemm", "Gemm", "b w", "c"),
            ("/layers.0/layers.0.1/norm/Abs", "Abs", "c", "d"),
            ("/Neg", "Neg", "d", "y"),
            stored="w",
        )
    )
    assert paths(found) == {
        "net": "c", "net.0": "b", "net.0.0": "a", "net.0.1": "b", "net.1": "c",
        "layers.0": "d", "layers.0.1": "d", "layers.0.1.norm": "d",
    }  # fmt: skip


def test_a_number_behind_a_name_is_a_call_unless_parameters_are_called_so() -> None:
    found = node_names(
        graph(
            ("/conv_1/Mul", "Mul", "x conv_1.weight", "a"),
            ("/act/Relu", "Relu", "a", "b"),
            ("/conv/Mul", "Mul", "b conv.weight", "c"),
            ("/act_1/Relu", "Relu", "c", "d"),
            ("/conv_2/Mul", "Mul", "d conv.weight", "e"),
            ("/act_7/Neg", "Neg", "e", "f"),
            ("/Abs", "Abs", "f", "y"),
            stored="conv_1.weight conv.weight",
        )
    )
    assert paths(found) == {
        "conv_1": "a", "act": "b", "conv": "c", "act#1": "d", "conv#1": "e", "act_7": "f",
    }  # fmt: skip


def test_parameters_say_in_which_dictionary_a_module_is() -> None:
    found = node_names(
        graph(
            ("/norm/Mul", "Mul", "x layers.0.norm.weight", "a"),
            ("/mlp/mlp.0/Mul", "Mul", "a layers.0.mlp.0.weight", "b"),
            ("/mlp/mlp.1/Relu", "Relu", "b", "c"),
            ("/norm_1/Mul", "Mul", "c layers.1.norm.weight", "d"),
            ("/head/Mul", "Mul", "d tied.weight", "y"),
            stored="layers.0.norm.weight layers.0.mlp.0.weight layers.1.norm.weight tied.weight",
        )
    )
    assert paths(found) == {
        "layers.0.norm": "a", "layers.0.mlp": "c", "layers.0.mlp.0": "b", "layers.0.mlp.1": "c",
        "layers.1.norm": "d", "head": "y",
    }  # fmt: skip


def test_a_convolution_with_a_norm_in_it_is_not_taken_for_itself() -> None:
    found = node_names(
        graph(
            ("/conv/Conv", "Conv", "x onnx::Conv_9 onnx::Conv_10", "a"),
            ("/plain/Conv", "Conv", "a onnx::Conv_12 plain.bias", "b"),  # weight normalisation
            ("/Abs", "Abs", "b", "y"),
            stored="onnx::Conv_9 onnx::Conv_10 onnx::Conv_12 plain.bias",
        )
    )
    assert paths(found) == {"plain": "b"}
    assert found is not None
    assert [(one.path, one.reason) for one in found.unnamed] == [
        ("conv", "the exporter merged the norm behind it into it")
    ]


def test_what_a_quantiser_adds_belongs_to_no_module() -> None:
    found = node_names(
        graph(
            ("/emb/Gather", "Gather", "w x", "a"),
            ("/emb/a_DequantizeLinear", "DequantizeLinear", "a s", "b"),
            ("/norm/Abs", "Abs", "b", "c"),
            ("/norm/c_QuantizeLinear", "DynamicQuantizeLinear", "c", "q s z"),
            ("/fc/MatMul_quant", "MatMulInteger", "q w z", "d"),
            ("/other/Abs", "Abs", "x", "o"),
            ("/fc/scale_mul", "Mul", "d s", "e"),  # sorted apart from the rest of its module
            ("/Add", "Add", "e o", "y"),
            stored="w",
        )
    )
    assert paths(found) == {"emb": "b", "norm": "c", "fc": "e", "other": "o"}


def test_what_an_optimiser_fused_is_of_the_module_around_it() -> None:
    nodes = [
        ("/block/a/MatMul", "MatMul", "x block.a.weight", "a"),
        ("", "FusedGelu", "a", "b"),
        ("/block/c/MatMul", "MatMul", "b block.c.weight", "c"),
        ("/Abs", "Abs", "c", "y"),
    ]
    stored = "block.a.weight block.c.weight"
    assert paths(metadata_names(graph(*nodes, scoped=True, stored=stored))) == {
        "block": "c", "block.a": "a", "block.c": "c",
    }  # fmt: skip


def test_a_module_that_may_end_among_nameless_nodes_is_not_guessed() -> None:
    found = node_names(
        graph(
            ("/block/a/Mul", "Mul", "x block.a.weight", "a"),
            ("/block/Neg", "Neg", "a", "b"),
            ("", "MatMulInteger", "b block.c.weight_quantized", "c"),
            ("/Abs", "Abs", "c", "y"),
            stored="block.a.weight block.c.weight_quantized",
        )
    )
    assert paths(found) == {"block.a": "a"}
    assert found is not None
    assert [(one.path, one.reason) for one in found.unnamed] == [
        ("block", "its end may be among the nodes that name no module, as block.c is"),
        ("block.c", "no node of the graph says that it is of it"),
    ]
