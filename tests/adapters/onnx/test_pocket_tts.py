"""Parts of the real Pocket TTS through ONNX Runtime."""

from pathlib import Path

import pytest
import torch
from adapters.onnx.conftest import Compare
from torch import nn

from fixtures.pocket_tts.build import ensure
from fixtures.pocket_tts.model import load_model
from parity_onnx import export


class Step(nn.Module):
    """One step of the transformer at a fixed position, its caches as an argument and a result."""

    def __init__(self, transformer: nn.Module, position: int) -> None:
        super().__init__()
        self.transformer, self.position = transformer, position

    def forward(self, x, caches):
        mine = [cache.clone() for cache in caches]  # it writes into them
        state = {
            layer.self_attn._module_absolute_name: {
                "offset": torch.tensor([self.position]),
                "cache": cache,
            }
            for layer, cache in zip(self.transformer.layers, mine, strict=True)
        }
        return self.transformer(x, state), torch.stack(mine)


@pytest.fixture(scope="module")
def parts():
    """The flow network and a step, each with an example."""
    lm = load_model(ensure("tiny")).flow_lm
    drawn = torch.Generator().manual_seed(1)
    flow = lm.flow_net
    attention = lm.transformer.layers[0].self_attn
    caches = (len(lm.transformer.layers), 2, 1, 6, attention.num_kv_heads, attention.dim_per_head)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=drawn)

    conditions = normal(3, flow.cond_embed.in_features), normal(3, 1), normal(3, 1)
    return {
        "flow": (flow, (*conditions, normal(3, flow.in_channels))),
        "step": (Step(lm.transformer, 5), (normal(1, 1, attention.embed_dim), normal(*caches))),
    }


@pytest.mark.parametrize("part", ["flow", "step"])
def test_every_module_agrees(parts, part: str, compare: Compare, tmp_path: Path) -> None:
    module, args = parts[part]
    path = tmp_path / f"{part}.onnx"
    assert export(module, args, path).unnamed == ()
    arrays = {str(i): one.numpy() for i, one in enumerate(args)}
    result = compare(module, path, arrays)
    assert result.outcome == "holds"
    assert result.model is not None
    assert result.model.uncompared == {}
    assert result.model.parameters.value == 1
    assert result.table.metrics["rel_l2"].max() <= 1e-6
