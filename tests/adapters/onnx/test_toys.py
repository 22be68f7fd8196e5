"""Clean exports of many architectures agree, and every module of them is compared."""

from pathlib import Path

import numpy as np
import pytest
from adapters.onnx.conftest import Compare, Exported
from tests_toys import TOYS, toy

from parity_onnx import export
from parity_onnx.names import names_path, read_names

# What no graph holds: the states that a recurrent layer returns, and nobody asks for.
LOST = {"tagger": {"lstm"}}


@pytest.mark.parametrize("name", TOYS)
def test_a_clean_export_agrees_everywhere(name: str, exported: Exported, compare: Compare) -> None:
    module, arrays = toy(name)
    result = compare(module, exported(name), arrays)
    assert result.model is not None
    assert set(result.model.uncompared) == LOST.get(name, set())
    assert {row.key.path for row in result.failures} == LOST.get(name, set())
    errors = result.table.metrics["rel_l2"][result.table.compared]
    assert errors.max() <= 1e-6
    assert len(result.model.uncompared) / result.model.modules.total <= 0.25


@pytest.mark.parametrize("name", ["vit", "decoder", "step"])
def test_the_exporters_metadata_says_nearly_as_much(
    name: str, exported: Exported, compare: Compare
) -> None:
    module, arrays = toy(name)
    result = compare(module, exported(name), arrays, names="metadata")
    missing = {row.key.path for row in result.failures}
    # What passes its argument on leaves no node: only the file that `export` writes has it.
    assert missing <= {"layers.0.drop", "layers.1.drop"}
    assert all(row.candidate is None for row in result.failures)
    assert result.compared >= 10


def test_what_the_optimiser_folds_away_is_reported(tmp_path: Path, compare: Compare) -> None:
    module, arrays = toy("conformer")
    path = tmp_path / "conformer.onnx"
    names = export(module, tuple(map(torch_of, arrays.values())), path)
    assert [one.path for one in names.unnamed] == ["deep"]  # a batch norm follows it
    result = compare(module, path, arrays)
    said = "deep (the exporter merged it into what follows it, in batch)"
    assert any(said in note for note in result.notes)
    assert result.model is not None
    assert result.model.uncompared == {"deep": "the candidate has no such tensor"}
    assert read_names(names_path(path)).named == names.named


def torch_of(array: np.ndarray):
    import torch

    return torch.from_numpy(array)
