"""Images made larger, smaller, turned and sampled."""

from __future__ import annotations

import torch
from torch.nn import functional

from parity_coreml.mil.args import Args
from parity_coreml.mil.handlers import handles

__all__: list[str] = []

_PADDINGS = {
    "constant": "zeros",
    "border": "border",
    "reflection": "reflection",
    "symmetric": "reflection",
}


@handles("upsample_nearest_neighbor")
def _nearest(a: Args) -> torch.Tensor:
    return _interpolated(a, mode="nearest")


@handles("upsample_bilinear")
def _bilinear(a: Args) -> torch.Tensor:
    return _interpolated(a, mode="bilinear", align_corners=a.flag("align_corners", True))


def _interpolated(a: Args, **how: object) -> torch.Tensor:
    """By the size of the output, which is what the factor stands for."""
    x = a.tensor("x")
    factors = (a.number("scale_factor_height", 1), a.number("scale_factor_width", 1))
    # A factor was divided from two sizes: what it misses by rounding is not a pixel less.
    size = [int(old * factor + 1e-4) for old, factor in zip(x.shape[-2:], factors, strict=True)]
    flat = x.reshape(-1, 1, *x.shape[-2:]) if x.ndim != 4 else x
    made = functional.interpolate(flat, size=size, **how)  # type: ignore[arg-type]
    return made.reshape(*x.shape[:-2], *size)


@handles("resample")
def _resample(a: Args) -> torch.Tensor:
    """Coordinates [batch, height, width, 2], x before y."""
    x, grid = a.tensor("x"), a.tensor("coordinates").float()
    height, width = x.shape[-2:]
    aligned, mode = a.flag("align_corners"), a.text("coordinates_mode")
    padding = a.text("padding_mode")
    if mode == "normalized_zero_to_one":
        grid = 2 * grid - 1
    elif mode == "unnormalized":
        grid, aligned = 2 * grid / torch.tensor([width - 1, height - 1]) - 1, True
    if (padding == "reflection") != aligned and padding in ("reflection", "symmetric"):
        # torch reflects at pixel centres if and only if corners are aligned.
        raise NotImplementedError(f"resample with {padding} padding and align_corners {aligned}")
    if padding == "constant" and a.number("padding_value"):
        raise NotImplementedError("resample with a padding that is not zero")
    return functional.grid_sample(
        x, grid, a.text("sampling_mode"), _PADDINGS[padding], align_corners=aligned
    )


@handles("affine")
def _affine(a: Args) -> torch.Tensor:
    x = a.tensor("x")
    matrix = a.tensor("transform_matrix").reshape(-1, 2, 3).expand(x.shape[0], 2, 3)
    size = [x.shape[0], x.shape[1], a.whole("output_height"), a.whole("output_width")]
    aligned = a.flag("align_corners")
    grid = functional.affine_grid(matrix, size, align_corners=aligned)
    return functional.grid_sample(x, grid, align_corners=aligned)
