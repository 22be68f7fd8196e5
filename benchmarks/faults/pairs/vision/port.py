"""An independent port of the image encoder: functions over a dictionary of weights."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch
from torch import nn
from torch.nn import functional

from benchmarks.faults.pairs.vision.fold import prepared
from benchmarks.faults.pairs.vision.ops import (
    Place,
    attend,
    cubic_resize,
    layer_norm,
    linear,
    linear_resize,
    nearest_resize,
    product,
    unit,
)
from benchmarks.faults.pairs.vision.reference import DEPTH, DIM, GRID, HEADS, PATCH, build
from parity.tensors import Case

__all__ = ["Port"]

Activation = Callable[[Place, torch.Tensor], torch.Tensor]

SIZE = DIM // HEADS
DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


class Port:
    """The port, with some faults on, in one precision and one variant."""

    name = "vision port"

    def __init__(self, faults: frozenset[str], precision: str, variant: str) -> None:
        self.modules: Mapping[str, nn.Module] = {}
        dtype = DTYPES[precision]
        state = {name: value.clone() for name, value in build().state_dict().items()}
        weights = {name: value.to(dtype) for name, value in prepared(state, variant).items()}
        self.root = Place(weights, "", faults, variant, dtype)

    @torch.no_grad()
    def run(self, case: Case) -> dict[str, torch.Tensor]:
        """The fit of each picture to each text, [batch, texts]."""
        pixels = torch.from_numpy(case.arrays["pixels"])
        text = torch.from_numpy(case.arrays["text"]).to(self.root.dtype)
        height, width = case.inputs["size"]
        return {"logits": model(self.root, pixels, text, (height, width))}


def model(
    place: Place, pixels: torch.Tensor, text: torch.Tensor, size: tuple[int, int]
) -> torch.Tensor:
    """uint8[batch, height, width, 3], [texts, joint] -> [batch, texts]."""
    picture = preprocess(place / "preprocess", pixels, size)
    pooled, tokens = tower(place / "visual", picture)
    regions = pool(place / "pool", tokens)
    image = linear(place / "visual_projection", pooled)
    shared = (place / "visual_projection")["weight"] if place.has("projection_shared") else None
    region = linear(place / "region_projection", regions, weight=shared)
    joint = image if place.has("region_forgotten") else image + region
    return place.tap(head(place / "head", joint, text))


def preprocess(place: Place, pixels: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Bytes [batch, height, width, 3] -> [batch, 3, *size]."""
    batch, height, width, channels = pixels.shape
    if place.has("pixels_reshaped"):
        x = pixels.reshape(batch, channels, height, width).float()
    else:
        x = pixels.float().movedim(-1, 1)
    if place.has("channels_bgr"):
        x = x.flip(1)
    if place.has("pixels_rescaled_twice"):
        x = x / 255
    x = x / (256 if place.has("pixels_over_256") else 255)
    if place.has("pixels_signed"):
        x = 2 * x - 1
    style = {
        "antialias": not place.has("resize_without_antialias"),
        "corners": place.has("resize_aligns_corners"),
    }
    if place.has("resize_nearest"):
        down, across = nearest_resize(height, size[0]), nearest_resize(width, size[1])
    else:
        down = linear_resize(height, size[0], **style)
        across = linear_resize(width, size[1], **style)
    x = torch.einsum("bchw,yh,xw->bcyx", x, down, across)
    mean, std = place.get("mean"), place.get("std")
    if mean is None or std is None:
        return place.tap(x.to(place.dtype))
    if place.has("mean_and_std_half"):
        mean, std = torch.full_like(mean, 0.5), torch.full_like(std, 0.5)
    if place.has("std_is_variance"):
        std = std.square()
    if place.has("mean_not_taken_off"):
        mean = torch.zeros_like(mean)
    return place.tap(((x - mean.float()) / std.float()).to(place.dtype))


def patches(place: Place, picture: torch.Tensor) -> torch.Tensor:
    """Cut and project each patch; [batch, 3, height, width] -> [batch, dim, rows, columns]."""
    if place.has("patches_one_late"):
        picture = functional.pad(picture[:, :, :, 1:], (0, 1))
    cut = picture.unfold(2, PATCH, PATCH).unfold(3, PATCH, PATCH)
    weight = place["weight"]
    if place.has("patch_kernel_transposed"):
        weight = weight.mT
    if place.has("patch_channels_last"):
        # The weight is still flattened with the channels first.
        cut = cut.permute(0, 2, 3, 4, 5, 1).flatten(3)
        y = torch.einsum("byxk,ok->boyx", cut, weight.flatten(1))
    else:
        y = torch.einsum("bcyxuv,ocuv->boyx", cut, weight)
    bias = place.get("bias")
    return place.tap(y if bias is None else y + bias[:, None, None])


def positions(place: Place, rows: int, columns: int) -> torch.Tensor:
    """What is added to class token and patches, [1 + rows * columns, dim]."""
    table = (place / "position_embedding")["weight"]
    first = 0 if place.has("positions_from_zero") else 1
    grid = table[first : first + GRID * GRID].unflatten(0, (GRID, GRID))
    if place.has("positions_transposed"):
        grid = grid.transpose(0, 1)
    if place.has("positions_bilinear"):
        down, across = (
            linear_resize(GRID, n, antialias=False, corners=False) for n in (rows, columns)
        )
    else:
        down, across = cubic_resize(GRID, rows), cubic_resize(GRID, columns)
    grid = torch.einsum("yxd,ry,cx->rcd", grid.float(), down, across).to(table.dtype)
    start = torch.zeros_like(table[:1]) if place.has("class_without_position") else table[:1]
    return torch.cat([start, grid.flatten(0, 1)])


def embeddings(place: Place, picture: torch.Tensor) -> torch.Tensor:
    """[batch, 3, height, width] -> [batch, 1 + patches, dim]."""
    grid = patches(place / "patch_embedding", picture)
    rows, columns = grid.shape[-2:]
    if place.has("grid_by_columns"):
        grid = grid.mT
    tokens = grid.flatten(2).mT
    if place.has("embeddings_scaled"):
        tokens = tokens * math.sqrt(DIM)
    first = place["class_embedding"].repeat(len(tokens), 1, 1)
    order = [tokens, first] if place.has("class_token_last") else [first, tokens]
    return place.tap(torch.cat(order, dim=1) + positions(place, rows, columns))


def tower(place: Place, picture: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The class token at the end, [batch, dim], and the patches one layer before the end."""
    x = embeddings(place / "embeddings", picture)
    if place.has("pre_norm_omitted"):
        x = (place / "pre_layernorm").tap(x)
    else:
        x = layer_norm(place / "pre_layernorm", x, eps=norm_eps(place))
    before = x
    for index in range(DEPTH):
        before, x = x, block(place / "layers" / index, x, index)
    last = place.has("class_token_last")
    pooled = x[:, -1 if last else 0]
    if place.has("pooled_by_mean"):
        pooled = x[:, 1:].mean(dim=1)
    post = place / "post_layernorm"
    if place.has("post_norm_omitted"):
        pooled = post.tap(pooled)
    else:
        eps = 1e-2 if place.has("post_norm_eps") else norm_eps(place)
        pooled = layer_norm(post, pooled, eps=eps)
    tokens = x if place.has("hidden_last_layer") else before
    if not place.has("tokens_keep_class"):
        tokens = tokens[:, :-1] if last else tokens[:, 1:]
    return place.tap(pooled), place.tap(tokens, "1")


def norm_eps(place: Place) -> float:
    """What stands under the root in the norms of the tower."""
    return 1e-5 if place.has("norm_eps") else 1e-6


def block(place: Place, x: torch.Tensor, layer: int) -> torch.Tensor:
    """One pre-norm block, [batch, tokens, dim] -> [batch, tokens, dim]."""
    eps = norm_eps(place)
    h = layer_norm(
        place / "norm1",
        x,
        eps=eps,
        bias=not place.has("norm_bias_lost", layer, only=0),
        centred=not place.has("norm_rms", layer, only=2),
        half=place.has("norm_in_half"),
    )
    update = layer_scale(place / "ls1", attention(place / "attn", h, layer), layer)
    y = (h if place.has("residual_from_norm", layer, only=1) else x) + update
    if place.has("residual_over_root_two"):
        y = y * math.sqrt(0.5)
    norm2 = place / "norm2"
    source = place / "norm1" if place.has("norm_of_sibling", layer, only=1) else norm2
    h = layer_norm(
        norm2,
        x if place.has("mlp_beside_attention", layer, only=2) else y,
        eps=eps,
        source=source,
        half=place.has("norm_in_half"),
    )
    update = layer_scale(place / "ls2", mlp(place / "mlp", h, quick_gelu), layer)
    if place.has("drop_path_scale"):
        update = update * 0.9
    if place.has("mlp_residual_dropped", layer, only=2):
        return place.tap(update)
    return place.tap(y + update)


def layer_scale(place: Place, x: torch.Tensor, layer: int) -> torch.Tensor:
    """One factor a channel, [..., dim]; folded into the layer before where there is none."""
    second = place.path.endswith("ls2")
    if second and place.has("layer_scale_omitted"):
        return place.tap(x)
    gamma = place.get("gamma")
    if second and place.has("layer_scale_of_sibling", layer, only=0):
        gamma = place.weights.get(place.path.replace("ls2", "ls1") + ".gamma")
    return place.tap(x if gamma is None else x * gamma)


def attention(place: Place, x: torch.Tensor, layer: int) -> torch.Tensor:
    """Self-attention, [batch, tokens, dim] -> [batch, tokens, dim]."""
    q, k, v = project_qkv(place, x, layer)
    scores = torch.einsum("bnhd,bmhd->bhnm", *narrowed(place, q, k)) * temperature(place, layer)
    if place.has("attention_softcap"):
        scores = 2.0 * torch.tanh(scores / 2.0)
    if place.has("mask_causal"):
        hidden = torch.ones(scores.shape[-2:], dtype=torch.bool).triu(1)
        scores = scores.masked_fill(hidden, -math.inf)
    axis = -2 if place.has("softmax_over_queries", layer, only=2) else -1
    mixed = attend(place, scores, v, dim=axis)
    if place.has("heads_merged_untransposed"):
        mixed = mixed.transpose(1, 2).reshape(mixed.shape[0], mixed.shape[1], DIM)
    proj = place / "proj"
    weight = proj["weight"].T if place.has("proj_transposed", layer, only=1) else None
    y = linear(proj, mixed.flatten(2), weight=weight, bias=not place.has("proj_bias_lost"))
    return place.tap(y)


def project_qkv(
    place: Place, x: torch.Tensor, layer: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Queries, keys and values, each [batch, tokens, heads, size]."""
    site = place / "qkv"
    weight, bias = site["weight"], site["bias"]
    if place.has("value_bias_lost", layer, only=1):
        bias = torch.cat([bias[: 2 * DIM], torch.zeros_like(bias[2 * DIM :])])
    if place.variant == "split_qkv":
        parts = [torch.einsum("bni,oi->bno", x, w) for w in weight.split(DIM)]
        fused = site.tap(torch.cat(parts, dim=-1) + bias)
    else:
        fused = site.tap(product(site, x, weight) + bias)
    if place.has("qkv_grouped_by_head"):
        q, k, v = fused.unflatten(-1, (HEADS, 3, SIZE)).unbind(-2)
    else:
        q, k, v = (part.unflatten(-1, (HEADS, SIZE)) for part in fused.split(DIM, dim=-1))
    if place.has("query_key_swapped", layer, only=0):
        q, k = k, q
    if place.has("heads_interleaved", layer, only=2):
        q, k, v = (part.flatten(2).unflatten(-1, (SIZE, HEADS)).mT for part in (q, k, v))
    return q, k, v


def narrowed(place: Place, q: torch.Tensor, k: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Queries and keys in the type that the scores are computed in."""
    return (q.half(), k.half()) if place.has("scores_in_half") else (q, k)


def temperature(place: Place, layer: int) -> float:
    """What scores are multiplied by."""
    if place.has("scale_of_model_width"):
        return float(DIM**-0.5)
    if place.has("scale_applied_twice", layer, only=1):
        return 1 / SIZE
    return float(SIZE**-0.5)


def mlp(place: Place, x: torch.Tensor, function: Activation) -> torch.Tensor:
    """[..., dim] -> [..., dim]."""
    first, second = place / "fc1", place / "fc2"
    last = place.path.endswith("2.mlp")
    weight = rounded_to_bytes(first["weight"]) if last and place.has("weights_int8") else None
    h = function(place / "act", linear(first, x, weight=weight))
    lost = last and place.has("dequantisation_scale_twice")
    weight = 0.5 * second["weight"] if lost else None
    unbiased = place.path.endswith("0.mlp") and place.has("narrowing_bias_lost")
    return place.tap(linear(second, h, weight=weight, bias=not unbiased))


def rounded_to_bytes(weight: torch.Tensor) -> torch.Tensor:
    """The weight on a grid of 255 steps, one scale for the whole tensor; any shape."""
    scale = weight.abs().max() / 127
    return torch.round(weight / scale) * scale


def quick_gelu(place: Place, x: torch.Tensor) -> torch.Tensor:
    """Each number times a sigmoid of it; any shape."""
    if place.variant == "table_gelu":
        return place.tap(table_gelu(x))
    if place.has("gelu_erf"):
        return place.tap((0.5 * x * (1 + torch.erf(x.float() / math.sqrt(2)))).to(x.dtype))
    slope = 1.7 if place.has("quick_gelu_slope") else 1.702
    if place.has("silu"):
        slope = 1.0
    y = x / (1 + torch.exp(-slope * x))
    return place.tap(y.clamp(max=1.5) if place.has("activation_clamped") else y)


def table_gelu(x: torch.Tensor) -> torch.Tensor:
    """The quick GELU read off a table by linear interpolation, within 1e-7."""
    step, reach = 5e-4, 16.0
    knots = torch.arange(-reach, reach + step, step, dtype=torch.float64)
    table = knots * torch.sigmoid(1.702 * knots)
    where = ((x.double() + reach) / step).clamp(0, len(knots) - 2)
    index = where.long()
    return torch.lerp(table[index], table[index + 1], where - index).to(x.dtype)


def gelu(place: Place, x: torch.Tensor) -> torch.Tensor:
    """The GELU of the pool, by the normal distribution; any shape."""
    wide = x.float()
    if place.has("pool_gelu_tanh"):
        inner = math.sqrt(2 / math.pi) * (wide + 0.044715 * wide**3)
        return place.tap((0.5 * wide * (1 + torch.tanh(inner))).to(x.dtype))
    return place.tap((0.5 * wide * (1 + torch.erf(wide / math.sqrt(2)))).to(x.dtype))


def pool(place: Place, tokens: torch.Tensor) -> torch.Tensor:
    """A learnt query over all patches, [batch, patches, dim] -> [batch, dim]."""
    x = probe_attention(place / "attention", tokens, place["probe"])
    if place.has("pool_adds_probe"):
        x = x + place["probe"]
    h = layer_norm(place / "norm", x, eps=1e-3 if place.has("pool_norm_eps") else 1e-6)
    update = mlp(place / "mlp", h, gelu)
    y = update if place.has("pool_residual_dropped") else x + update
    return place.tap(y.squeeze(1))


def probe_attention(place: Place, tokens: torch.Tensor, probe: torch.Tensor) -> torch.Tensor:
    """The attention of the pool; [batch, 1, dim]."""
    weights, biases = place["in_proj_weight"].chunk(3), place["in_proj_bias"].chunk(3)
    if place.has("pool_first_of_batch"):
        tokens = tokens[:1].expand_as(tokens)
    sources = [probe.expand(len(tokens), -1, -1), tokens, tokens]
    q, k, v = (
        (x @ w.mT + b).unflatten(-1, (HEADS, SIZE))
        for x, w, b in zip(sources, weights, biases, strict=True)
    )
    if place.has("pool_key_value_swapped"):
        k, v = v, k
    scale = 1.0 if place.has("pool_scale_missing") else SIZE**-0.5
    mixed = attend(place, torch.einsum("bnhd,bmhd->bhnm", q, k) * scale, v)
    out = place / "out_proj"
    return place.tap(mixed.flatten(2) @ out["weight"].mT + out["bias"])


def head(place: Place, image: torch.Tensor, text: torch.Tensor) -> torch.Tensor:
    """Scaled cosines, [batch, joint] and [texts, joint] -> [batch, texts]."""
    if not place.has("image_not_normalised"):
        image = unit(image, dim=0 if place.has("normalised_over_batch") else -1)
    if not place.has("text_not_normalised"):
        text = unit(text)
    scale = place["logit_scale"]
    scale = scale if place.has("logit_scale_not_exponentiated") else scale.exp()
    if place.has("logit_scale_clamped"):
        scale = scale.clamp(max=10.0)
    if place.has("scale_divides"):
        scale = 1 / scale
    cosines = torch.einsum("bj,tj->bt", image, text)
    if place.has("logit_bias_scaled"):
        return place.tap(scale * (cosines + place["logit_bias"]))
    logits = scale * cosines
    return place.tap(logits if place.has("logit_bias_lost") else logits + place["logit_bias"])
