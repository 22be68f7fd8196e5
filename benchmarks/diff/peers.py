"""The other ways to compare two arrays, each as a function of a list of pairs.

Every one is used as its documentation shows, with tolerances that the pairs fulfil.
"""

from __future__ import annotations

import contextlib
import io
import json
import math
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.diff.data import Pair

__all__ = ["PEERS", "Peer"]

RTOL, ATOL = 1e-3, 1e-4


@dataclass(frozen=True, slots=True)
class Peer:
    """One other way.

    Attributes:
        name: in the table.
        computes: what one gets out of it.
        several: whether that is several metrics rather than one answer.
        share: of the pairs that it is given, so that slow ones take no hours.
        prepare: turns pairs into the call that is timed, given an empty folder.
    """

    name: str
    computes: str
    several: bool
    share: float
    prepare: Callable[[Sequence[Pair], Path], Callable[[], object]]


def _allclose(pairs: Sequence[Pair], _: Path) -> Callable[[], object]:
    return lambda: [np.allclose(c, r, RTOL, ATOL) for _, r, c in pairs]


def _assert_allclose(pairs: Sequence[Pair], _: Path) -> Callable[[], object]:
    return lambda: [np.testing.assert_allclose(c, r, RTOL, ATOL) for _, r, c in pairs]


def _assert_close(pairs: Sequence[Pair], _: Path) -> Callable[[], object]:
    import torch  # noqa: PLC0415 - may be missing

    tensors = [(torch.from_numpy(c.copy()), torch.from_numpy(r.copy())) for _, r, c in pairs]
    return lambda: [torch.testing.assert_close(c, r, rtol=RTOL, atol=ATOL) for c, r in tensors]


def _by_hand(reference: np.ndarray, candidate: np.ndarray) -> dict[str, float]:
    """What somebody writes who needs an answer today: each metric in float64, one by one."""
    r, c = reference.astype(np.float64).ravel(), candidate.astype(np.float64).ravel()
    d = c - r
    return {
        "cosine": float(np.dot(r, c) / (np.linalg.norm(r) * np.linalg.norm(c))),
        "pearson": float(np.corrcoef(r, c)[0, 1]),
        "rmse": float(np.sqrt(np.mean(d**2))),
        "max_abs": float(np.max(np.abs(d))),
        "mean_abs": float(np.mean(np.abs(d))),
        "nan": int(np.isnan(r).sum() + np.isnan(c).sum()),
    }


def _script_in_memory(pairs: Sequence[Pair], _: Path) -> Callable[[], object]:
    return lambda: [_by_hand(r, c) for _, r, c in pairs]


def _script_on_files(pairs: Sequence[Pair], folder: Path) -> Callable[[], object]:
    for number, (_, r, c) in enumerate(pairs):
        np.save(folder / f"{number}.reference.npy", r)
        np.save(folder / f"{number}.candidate.npy", c)

    def load(number: int, side: str) -> np.ndarray:
        return np.load(folder / f"{number}.{side}.npy", allow_pickle=False)

    numbers = range(len(pairs))
    return lambda: [_by_hand(load(n, "reference"), load(n, "candidate")) for n in numbers]


def _polygraphy(pairs: Sequence[Pair], _: Path) -> Callable[[], object]:
    from polygraphy.comparator import CompareFunc, IterationResult  # noqa: PLC0415 - may be missing
    from polygraphy.logger import G_LOGGER  # noqa: PLC0415 - may be missing

    G_LOGGER.module_severity = G_LOGGER.CRITICAL
    names = [str(number) for number in range(len(pairs))]
    sides = [
        IterationResult(dict(zip(names, arrays, strict=True)), runner_name=runner)
        for runner, arrays in (("r", [p[1] for p in pairs]), ("c", [p[2] for p in pairs]))
    ]
    return lambda: CompareFunc.simple(rtol=RTOL, atol=ATOL)(*sides)


def _msprobe(pairs: Sequence[Pair], folder: Path) -> Callable[[], object]:
    from msprobe.pytorch.compare.pt_compare import pt_compare  # noqa: PLC0415 - may be missing

    for side, place in (("bench", 1), ("npu", 2)):
        _write_dump(folder / side, [(pair[0], pair[place]) for pair in pairs])
    paths = {f"{side}_path": str(folder / side / "dump.json") for side in ("npu", "bench")}
    paths |= {"stack_path": str(folder / "npu" / "stack.json"), "is_print_compare_log": False}

    def compare() -> None:
        with (
            tempfile.TemporaryDirectory() as out,
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
        ):
            pt_compare(paths, out)
            assert list(Path(out).glob("compare_result_*.csv")), "it wrote no result"

    return compare


def _write_dump(folder: Path, tensors: list[tuple[str, Any]]) -> None:
    """A dump of module outputs in msprobe's own format, as its debugger writes it."""
    import torch  # noqa: PLC0415 - may be missing

    data = folder / "dump_tensor_data"
    data.mkdir(parents=True)
    entries: dict[str, Any] = {}
    for number, (_, array) in enumerate(tensors):
        name = f"Module.m{number}.Linear.forward.0"
        torch.save(torch.from_numpy(array.copy()), data / f"{name}.output.0.pt")
        entries[name] = {"output": [_described(array, f"{name}.output.0.pt")], "parameters": {}}
    head = {"task": "tensor", "level": "L0", "framework": "pytorch", "dump_data_dir": str(data)}
    (folder / "dump.json").write_text(json.dumps(head | {"data": entries}))
    (folder / "stack.json").write_text(json.dumps({"0": [list(entries), ["line"]]}))
    (folder / "construct.json").write_text(json.dumps(dict.fromkeys(entries)))


def _described(array: np.ndarray, file: str) -> dict[str, Any]:
    return {
        "type": "torch.Tensor", "dtype": "torch.float32", "shape": list(array.shape),
        "Max": float(array.max()), "Min": float(array.min()), "Mean": float(array.mean()),
        "Norm": math.sqrt(float(np.square(array, dtype=np.float64).sum())),
        "requires_grad": False, "data_name": file,
    }  # fmt: skip


PEERS = (
    Peer("np.allclose", "one answer", several=False, share=1.0, prepare=_allclose),
    Peer("np.testing.assert_allclose", "one answer; several where it fails", several=False,
         share=0.2, prepare=_assert_allclose),
    Peer("torch.testing.assert_close", "one answer; several where it fails", several=False,
         share=0.2, prepare=_assert_close),
    Peer("a script, in memory", "six metrics", several=True, share=0.2, prepare=_script_in_memory),
    Peer("a script, from .npy files", "six metrics", several=True, share=0.2,
         prepare=_script_on_files),
    Peer("msprobe compare, from its files", "six metrics, statistics of both sides", several=True,
         share=0.05, prepare=_msprobe),
    Peer("polygraphy CompareFunc.simple", "nine statistics of the error", several=True, share=0.02,
         prepare=_polygraphy),
)  # fmt: skip
