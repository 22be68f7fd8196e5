"""A run in memory: records as a capture's index has them, and the tensors behind them."""

from dataclasses import dataclass, field

import numpy as np
import pytest

from parity.align import Alignment, align
from parity.tensors import Role, TapKey, TapRecord, TensorSpec, TensorStatistics


@dataclass
class Run:
    """Records and tensors in execution order."""

    records: list[TapRecord] = field(default_factory=list)
    arrays: list[np.ndarray] = field(default_factory=list)

    def put(
        self, path: str, array: np.ndarray, phase: str = "", *, role: Role = Role.OUTPUT,
        call: int | None = None, slot: str = "",
    ) -> None:  # fmt: skip
        tap = (path, role, slot, phase)
        if call is None:
            before = [r.key for r in self.records]
            call = sum((key.path, key.role, key.slot, key.phase) == tap for key in before)
        self.records.append(
            TapRecord(
                TapKey(*tap, call),
                TensorSpec(array.dtype.name, array.shape),
                order=len(self.records),
                statistics=statistics(array),
            )
        )
        self.arrays.append(array)

    def read(self, record: TapRecord) -> np.ndarray:
        return self.arrays[record.order]

    def without_statistics(self) -> "Run":
        return Run([record._replace(statistics=None) for record in self.records], self.arrays)

    def against(self, candidate: "Run", *, read: bool = False, **options: object) -> Alignment:
        """Align with `candidate`, and check what holds for every alignment."""
        readers = {"read_reference": self.read, "read_candidate": candidate.read} if read else {}
        result = align(self.records, candidate.records, **readers, **options)
        check(self, candidate, result)
        return result

    def equal(self, candidate: "Run", alignment: Alignment) -> bool:
        """Whether everything that stands beside something holds the same values."""
        pairs = [(self.arrays[i], candidate.arrays[j]) for i, j in alignment.pairs]
        pairs += [
            (
                view.reference.apply(self.arrays[view.reference.position]),
                view.candidate.apply(candidate.arrays[view.candidate.position]),
            )
            for view in alignment.views
        ]
        return all(np.array_equal(ours, theirs) for ours, theirs in pairs)


def check(reference: Run, candidate: Run, alignment: Alignment) -> None:
    """Every element is in one place; parts beside each other have one shape.

    Where blocks overlap, an element that several of them make stands beside nothing, or, of an
    input, beside each of them.
    """
    overlaps = any("overlapping by" in note for note in alignment.notes)
    for side, run, left in (
        ("reference", reference, alignment.missing),
        ("candidate", candidate, alignment.extra),
    ):
        whole = getattr(alignment.pairs, side).tolist()
        views = [getattr(view, side) for view in alignment.views]
        parts = alignment.missing_parts if side == "reference" else alignment.extra_parts
        used = [np.zeros(array.size, int) for array in run.arrays]
        for position in [*whole, *left.tolist()]:
            used[position] += 1
        for view in (*views, *parts):
            places = np.arange(run.arrays[view.position].size)
            cut = view.apply(places.reshape(run.arrays[view.position].shape))
            used[view.position][cut.ravel()] += 1
        paths = [record.key.path for record in run.records]
        free = {paths[view.position] for view in views} if overlaps else set()
        assert all(
            (count == 1).all() or path in free for count, path in zip(used, paths, strict=True)
        )
    for view in alignment.views:
        ours = view.reference.apply(reference.arrays[view.reference.position])
        theirs = view.candidate.apply(candidate.arrays[view.candidate.position])
        assert ours.shape == theirs.shape


def statistics(array: np.ndarray) -> TensorStatistics | None:
    if not array.size:
        return TensorStatistics(0, *[float("nan")] * 4, 0.0, 0, 0, 0)
    x = array.astype(np.float64)
    return TensorStatistics(
        x.size, x.mean(), x.std(), x.min(), x.max(), float(np.linalg.norm(x)), 0, 0, 0
    )


@pytest.fixture(scope="session")
def run() -> type[Run]:
    """Starts an empty run."""
    return Run


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)
