from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from parity.cli.main import parity
from parity.cli.show_tensor import histogram
from parity.errors import InputError
from parity.store import CaptureMeta, CaptureWriter
from parity.tensors import NoiseDraw, Role, TapKey, TapRecord, TensorSpec, TensorStatistics, Tier


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "run.h5"
    meta = CaptureMeta(implementation="port 1.2", framework="torch", case_name="short")
    with CaptureWriter(path, meta=meta) as writer:
        for order in range(3):
            tensor = np.arange(6, dtype=np.float32).reshape(2, 3) + order
            key = TapKey("decoder.norm", Role.OUTPUT, phase="generate", call=order)
            writer.append(
                TapRecord(
                    key, TensorSpec("float32", (2, 3)), order, step=order, source="norm.py:7",
                    producers=(order - 1,) if order else (), duration_s=0.002, digest="ab" * 16,
                    statistics=TensorStatistics(6, order + 2.5, 1.7, order, order + 5, 9, 0, 0, 1),
                ),
                tensor,
            )  # fmt: skip
        key = TapKey("decoder.norm", Role.INPUT, phase="generate")
        bad = np.array([np.nan, np.inf, 1.0])
        writer.append(TapRecord(key, TensorSpec("float64", (3,)), 3), bad)
        key = TapKey("encoder\x1b[31m", Role.OUTPUT)
        statistics = TensorStatistics(4, 0, 0, -1, 1, 2, 1, 2, 0)
        writer.append(
            TapRecord(key, TensorSpec("float32", (4,)), 4, tier=Tier.STATS, statistics=statistics)
        )
        writer.append_noise(NoiseDraw(np.zeros(3), "normal", "flow.py:1"))
    return path


def shown(*arguments: object) -> str:
    result = CliRunner().invoke(parity, ["show", *map(str, arguments)], standalone_mode=False)
    if result.exception:
        raise result.exception
    assert result.return_value == 0
    return "\n".join(line.rstrip() for line in result.output.splitlines())


def test_a_capture_as_a_tree(path: Path) -> None:
    assert (
        shown(path)
        == f"""\
capture  {path} (complete)
run      port 1.2 · torch
case     short
tensors  5 records at 2 taps, 0.0 MB kept
phases   generate, (none)
noise    1 × normal
decoder
└── norm
    ├── output  float32[2,3]  3× generate  0 … 7
    └── input  float64[3]  1× generate
encoder\\x1b[31m
└── output  float32[4]  1×  -1 … 1  3 not finite"""
    )


def test_a_glob_narrows_the_tree(path: Path) -> None:
    assert "encoder" not in shown(path, "dec*")
    with pytest.raises(InputError, match=r"no tap matches 'x\*'"):
        shown(path, "x*")


def test_one_tensor(path: Path) -> None:
    assert (
        shown(path, "decoder.norm", "--call", 1)
        == """\
decoder.norm:output@generate#1 float32[2,3]
order       1, step 1
source      norm.py:7
fed by      decoder.norm:output@generate#0
took        2.000 ms
digest      abababababababababababababababab
count       6
mean        3.5
std         1.7
min         1
max         6
l2          9
nan count   0
inf count   0
zero count  1
1 █     █     █      █     █     █ 6
first   1.0, 2.0, 3.0, 4.0, 5.0, 6.0"""
    )


def test_statistics_are_computed_where_none_were_recorded(path: Path) -> None:
    text = shown(path, "decoder.norm:input")
    assert "nan count   1\ninf count   1\n" in text
    assert "first   nan, inf, 1.0" in text


def test_a_tensor_that_was_not_kept(path: Path) -> None:
    text = shown(path, "encoder\x1b[31m")
    assert text.endswith("only its statistics were recorded, not the tensor")
    assert "\x1b" not in text


def test_json_of_a_capture(path: Path) -> None:
    facts = json.loads(shown(path, "--json"))
    assert facts["complete"] is True
    assert facts["meta"]["implementation"] == "port 1.2"
    assert facts["noise"] == {"normal": 1}
    assert facts["taps"][0] == {
        "path": "decoder.norm", "port": "output", "calls": {"generate": 3},
        "specs": [{"dtype": "float32", "shape": [2, 3]}], "kept_bytes": 72,
        "min": 0.0, "max": 7.0, "nonfinite": 0,
    }  # fmt: skip
    assert facts["taps"][1]["min"] is None


def test_json_of_a_tensor(path: Path) -> None:
    facts = json.loads(shown(path, "decoder.norm:input", "--json"))
    assert facts["shape"] == [3]
    assert facts["duration_s"] is None
    assert facts["statistics"]["nan_count"] == 1
    assert sum(facts["histogram"]["counts"]) == 1
    assert facts["first"] == ["nan", "inf", "1.0"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["decoder.nrm"], "no tap 'decoder.nrm' was recorded"),
        (["decoder.norm:state"], "no 'state' was recorded"),
        (["decoder.norm", "--call", "9"], "nothing was recorded for call 9"),
        (
            ["decoder.norm", "--call", "1", "--phase", "x"],
            "nothing was recorded for call 1 of phase 'x'",
        ),
    ],
)
def test_what_is_not_there(path: Path, arguments: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        shown(path, *arguments)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("tensor", "counts", "low", "high"),
    [
        (np.array([0.0, 0.5, 4.0]), [2, 0, 0, 1], 0.0, 4.0),
        (np.array([3 + 4j, 0j]), [1, 0, 0, 1], 0.0, 5.0),
        (np.array([True, False, True]), [1, 0, 0, 2], 0.0, 1.0),
        (np.full(5, 2, np.int8), [0, 0, 5, 0], 2.0, 2.0),
        (np.array([np.nan, np.inf]), [0] * 4, np.nan, np.nan),
        (np.zeros((0, 3)), [0] * 4, np.nan, np.nan),
        (np.array([-1.7e308, 1.7e308]), [0] * 4, -1.7e308, 1.7e308),
    ],
)
def test_histograms(tensor: np.ndarray, counts: list[int], low: float, high: float) -> None:
    found = histogram(tensor, bins=4)
    assert found[0] == counts
    np.testing.assert_equal(found[1:], (low, high))
