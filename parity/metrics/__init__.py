"""Statistics of tensors and of pairs of tensors, and the metrics that follow from them.

`pair_statistics` reads both arrays once and keeps what can be merged in any order; `metrics` turns
that into cosine, relative error, ULP and the rest, for one pair or thousands at once.
"""

from parity.metrics.columns import statistics_columns
from parity.metrics.compare import pair_statistics, pair_statistics_many, pair_statistics_slab
from parity.metrics.digest import digest, digests
from parity.metrics.measures import Metrics, metrics
from parity.metrics.pair import PairStatistics
from parity.metrics.single import tensor_statistics, tensor_statistics_rows

__all__ = [
    "Metrics",
    "PairStatistics",
    "digest",
    "digests",
    "metrics",
    "pair_statistics",
    "pair_statistics_many",
    "pair_statistics_slab",
    "statistics_columns",
    "tensor_statistics",
    "tensor_statistics_rows",
]
