"""How much error rounding alone explains, where nothing was calibrated."""

from __future__ import annotations

import numpy as np

__all__ = ["DRIFT_LIMIT", "dtype_floor"]

# Relative L2 errors at the end of a whole model that differ by rounding only. Float32 was measured
# on the 117.9M-parameter Pocket TTS: one thread against two 4.9e-6, the prompt token by token
# against one pass 5.2e-6; a single matrix product with K = 4096 differs by 2e-7, a 25th of that.
# For the others such a product was measured (float16 3e-4, bfloat16 2.4e-3, both accumulating in
# float32: 0.31 of the spacing of numbers at 1.0) and the same growth assumed. Float64 is float32
# scaled by the spacing. Eight-bit floats would come out at 1 and more, which accepts anything.
_FLOORS = {
    "float64": 1e-14,
    "float32": 5e-6,
    "float16": 7.5e-3,
    "bfloat16": 6e-2,
}
_EIGHT_BITS = 0.1
_COMPLEX = {"complex64": "float32", "complex128": "float64"}

# A relative error of one percent: an approximated activation (tanh for exact GELU moves Pocket
# TTS's latents by 7.3e-4) stays below it, another convention (rotation, norm, mask) does not.
DRIFT_LIMIT = 1e-2


def dtype_floor(reference: str | np.dtype[np.generic], candidate: str | None = None) -> float:
    """The relative L2 error at a tap that rounding explains, by the coarser of the dtypes.

    Args:
        reference: numpy's or `ml_dtypes`' name of the element type (`float32`, `bfloat16`).
        candidate: the candidate's, when it is another.

    Returns:
        A relative error; 0 for integers and bool, which have no rounding.
    """
    return max(_floor(str(dtype)) for dtype in (reference, candidate or reference))


def _floor(name: str) -> float:
    name = _COMPLEX.get(name, name)
    if name.startswith(("float8_", "float6_", "float4_")):
        return _EIGHT_BITS
    if name.startswith(("longdouble", "float128", "float96", "complex256", "complex192")):
        return _FLOORS["float64"]  # compared as such
    return _FLOORS.get(name, 0.0)
