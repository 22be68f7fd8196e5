"""The call behind `nn.MultiheadAttention`: projections, heads, scores, output in one operation."""

from __future__ import annotations

import inspect
import math
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional

__all__ = ["MODULE", "ModuleCall"]

Tensor = torch.Tensor
MODULE = "multi_head_attention_forward"
_NAMES = tuple(inspect.signature(functional.multi_head_attention_forward).parameters)


@dataclass(frozen=True, slots=True, eq=False)
class ModuleCall:
    """The arguments of `multi_head_attention_forward`; tokens come first, then the batch.

    Attributes:
        given: the arguments by name.
    """

    given: dict[str, Any]

    @classmethod
    def of(cls, args: tuple[Any, ...], kwargs: dict[str, Any]) -> ModuleCall:
        """From the call's own arguments."""
        return cls({**dict(zip(_NAMES, args, strict=False)), **kwargs})

    @property
    def supported(self) -> bool:
        """Whether it is of the usual kind: batched, without keys of its own or separate weights."""
        given = self.given
        unusual = ("bias_k", "bias_v", "static_k", "static_v")
        return (
            all(given.get(name) is None for name in unusual)
            and not given.get("add_zero_attn")
            and not given.get("use_separate_proj_weight")
            and given["query"].dim() == 3
        )

    @property
    def heads(self) -> int:
        """How many heads there are."""
        return int(self.given["num_heads"])

    def projected(self, rows: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values, [batch, heads, tokens, size]; `rows` reorders the weight."""
        given = self.given
        weight, bias = given["in_proj_weight"], given.get("in_proj_bias")
        if rows is not None:
            weight, bias = weight[rows], bias[rows] if bias is not None else None
        biases = bias.chunk(3) if bias is not None else (None, None, None)
        made = [
            functional.linear(given[name], w, b)
            .reshape(*given[name].shape[:2], self.heads, -1)
            .permute(1, 2, 0, 3)
            for name, w, b in zip(("query", "key", "value"), weight.chunk(3), biases, strict=True)
        ]
        return made[0], made[1], made[2]

    def mask(self, batch: int) -> tuple[Tensor | None, bool]:
        """What is added to the scores or hides keys, as a float mask, and whether it is causal."""
        given = self.given
        whole = _as_float(given.get("attn_mask"))
        if whole is not None and whole.dim() == 3:
            whole = whole.reshape(batch, -1, *whole.shape[1:])
        padding = _as_float(given.get("key_padding_mask"))
        if padding is not None:
            padding = padding[:, None, None, :]
            whole = padding if whole is None else whole + padding
        return whole, bool(given.get("is_causal")) and whole is None

    def finish(self, mixed: Tensor, weights: Tensor, *, turned: bool = True) -> Any:
        """Heads put together [batch, heads, tokens, size] and projected, and the weights."""
        given = self.given
        batch, heads, tokens, size = mixed.shape
        joined = mixed.permute(2, 0, 1, 3).reshape(tokens, batch, heads * size)
        if not turned:
            joined = mixed.reshape(batch, tokens, heads * size).transpose(0, 1)
        y = functional.linear(joined, given["out_proj_weight"], given["out_proj_bias"])
        if not given.get("need_weights", True):
            return y, None
        return y, weights.mean(1) if given.get("average_attn_weights", True) else weights


def _as_float(mask: Tensor | None) -> Tensor | None:
    if mask is None or mask.is_floating_point():
        return mask
    return torch.zeros(mask.shape).masked_fill(mask, -math.inf)
