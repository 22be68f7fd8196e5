"""Small models of many kinds: converted, evaluated, every operation compared."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 - its usual name

from parity_coreml.check import check


class ResNet(nn.Module):
    """Image: convolutions, batch norm, a skip, pooling."""

    def __init__(self):
        super().__init__()
        self.stem, self.norm = nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8)
        self.conv, self.head = nn.Conv2d(8, 8, 3, padding=1), nn.Linear(8, 5)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.norm(self.stem(x))), (2, 2), (2, 2))
        return self.head(F.relu(x + self.conv(x)).mean((2, 3)))


class MobileNet(nn.Module):
    """Image: depthwise convolutions, hard activations, squeeze and excitation."""

    def __init__(self):
        super().__init__()
        self.wide, self.deep = nn.Conv2d(3, 12, 1), nn.Conv2d(12, 12, 3, padding=1, groups=12)
        self.less, self.more = nn.Conv2d(12, 4, 1), nn.Conv2d(4, 12, 1)

    def forward(self, x):
        x = F.hardswish(self.deep(F.relu6(self.wide(x))))
        gate = torch.sigmoid(self.more(F.relu(self.less(x.mean((2, 3), keepdim=True)))))
        return x * gate


class VisionTransformer(nn.Module):
    """Image: patches, a class token, attention."""

    def __init__(self):
        super().__init__()
        self.patch = nn.Conv2d(3, 16, 4, 4)
        self.token = nn.Parameter(torch.randn(1, 1, 16))
        self.place = nn.Parameter(torch.randn(1, 5, 16))
        self.norm, self.qkv, self.out = nn.LayerNorm(16), nn.Linear(16, 48), nn.Linear(16, 16)

    def forward(self, x):
        x = torch.cat([self.token, self.patch(x).flatten(2).mT], 1) + self.place
        q, k, v = self.qkv(self.norm(x)).reshape(1, 5, 3, 2, 8).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        return (x + self.out(mixed))[:, 0]


class UNet(nn.Module):
    """Image to image: down, up, joined, group norm."""

    def __init__(self):
        super().__init__()
        self.down, self.norm = nn.Conv2d(3, 8, 3, 2, 1), nn.GroupNorm(2, 8)
        self.up, self.last = nn.ConvTranspose2d(8, 4, 2, 2), nn.Conv2d(7, 3, 3, padding=1)

    def forward(self, x):
        h = F.silu(self.norm(self.down(x)))
        return self.last(torch.cat([x, self.up(F.interpolate(h, scale_factor=1.0))], 1))


class Bert(nn.Module):
    """Text: embeddings, post-norm attention with a softmax of its own."""

    def __init__(self):
        super().__init__()
        self.words, self.norm = nn.Embedding(50, 16), nn.LayerNorm(16)
        self.q, self.k, self.v = (nn.Linear(16, 16) for _ in range(3))
        self.up, self.down = nn.Linear(16, 32), nn.Linear(32, 16)

    def forward(self, tokens):
        x = self.words(tokens)
        weight = torch.softmax(self.q(x) @ self.k(x).mT / 4, -1)
        x = self.norm(x + weight @ self.v(x))
        return self.norm(x + self.down(F.gelu(self.up(x))))


class Llama(nn.Module):
    """Text: RMS norm, rotated halves, grouped queries, a gated feed-forward part."""

    def __init__(self):
        super().__init__()
        self.words, self.scale = nn.Embedding(50, 16), nn.Parameter(torch.rand(16))
        self.q, self.k, self.v = nn.Linear(16, 16), nn.Linear(16, 8), nn.Linear(16, 8)
        self.gate, self.up, self.down = nn.Linear(16, 24), nn.Linear(16, 24), nn.Linear(24, 16)
        angle = torch.arange(6)[:, None] * 0.1 ** torch.arange(2)
        self.register_buffer("cos", torch.cat([angle.cos(), angle.cos()], -1))
        self.register_buffer("sin", torch.cat([angle.sin(), angle.sin()], -1))
        self.register_buffer("mask", torch.ones(6, 6).tril().bool())

    def turn(self, x):
        half = torch.cat([-x[..., 2:], x[..., :2]], -1)
        return x * self.cos + half * self.sin

    def forward(self, tokens):
        x = self.words(tokens)
        h = x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-5) * self.scale
        q = self.turn(self.q(h).view(1, 6, 4, 4).transpose(1, 2))
        k = self.turn(self.k(h).view(1, 6, 2, 4).transpose(1, 2)).repeat_interleave(2, 1)
        v = self.v(h).view(1, 6, 2, 4).transpose(1, 2).repeat_interleave(2, 1)
        x = x + F.scaled_dot_product_attention(q, k, v, self.mask).transpose(1, 2).flatten(2)
        return x + self.down(F.silu(self.gate(x)) * self.up(x))


class Recurrent(nn.Module):
    """Text or sound: a gated cell, step by step."""

    def __init__(self):
        super().__init__()
        self.gates, self.new = nn.Linear(12, 8), nn.Linear(12, 4)

    def forward(self, x):
        h, every = x[:, 0, :4] * 0, []
        for step in x.unbind(1):
            keep, reset = torch.sigmoid(self.gates(torch.cat([step, h], -1))).chunk(2, -1)
            new = torch.tanh(self.new(torch.cat([step, reset * h], -1)))
            h = keep * h + (1 - keep) * new
            every.append(h)
        return torch.stack(every, 1)


class Tagger(nn.Module):
    """Text: recurrent layers both ways, a cell, and RMS norm, which the converter has not."""

    def __init__(self):
        super().__init__()
        self.both = nn.LSTM(8, 6, batch_first=True, bidirectional=True)
        self.gated, self.cell = nn.GRU(12, 6, batch_first=True), nn.LSTMCell(6, 6)
        self.norm, self.last = nn.RMSNorm(6), nn.Linear(6, 3)

    def forward(self, x):
        h = self.gated(self.both(x)[0])[0]
        step, _ = self.cell(h[:, -1])
        inside = (h > -1) & (h < 1)
        return self.last(self.norm(h.masked_fill(~inside, 0.0) + F.mish(step)[:, None]))


class Vocoder(nn.Module):
    """Sound: transposed and dilated convolutions, leaky activations, snake."""

    def __init__(self):
        super().__init__()
        self.first, self.up = nn.Conv1d(8, 12, 7, padding=3), nn.ConvTranspose1d(12, 6, 8, 4, 2)
        self.wide, self.last = (
            nn.Conv1d(6, 6, 3, padding=3, dilation=3),
            nn.Conv1d(6, 1, 7, padding=3),
        )

    def forward(self, mel):
        x = self.up(F.leaky_relu(self.first(mel), 0.1))
        x = x + self.wide(x + torch.sin(x).square())
        return torch.tanh(self.last(F.elu(x)))


class Conformer(nn.Module):
    """Sound: gated convolution, depthwise, batch norm, a half-step feed-forward part."""

    def __init__(self):
        super().__init__()
        self.ff, self.norm = nn.Linear(8, 8), nn.LayerNorm(8)
        self.point, self.deep = nn.Conv1d(8, 16, 1), nn.Conv1d(8, 8, 5, padding=2, groups=8)
        self.batch = nn.BatchNorm1d(8)

    def forward(self, x):
        x = x + 0.5 * F.silu(self.ff(self.norm(x)))
        h = F.glu(self.point(x.mT), 1)
        return x + F.silu(self.batch(self.deep(h))).mT


IMAGE = torch.randn(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
TOKENS = torch.tensor([[3, 14, 15, 9, 26, 5]], dtype=torch.int32)
SOUND = torch.randn(1, 10, 8, generator=torch.Generator().manual_seed(1))
MODELS = [
    (ResNet, IMAGE), (MobileNet, IMAGE), (VisionTransformer, IMAGE), (UNet, IMAGE),
    (Bert, TOKENS), (Llama, TOKENS), (Recurrent, SOUND), (Tagger, SOUND[:, :3]),
    (Vocoder, SOUND.mT.contiguous()), (Conformer, SOUND),
]  # fmt: skip


@pytest.mark.parametrize(("make", "x"), MODELS, ids=[make.__name__ for make, _ in MODELS])
def test_a_model_converts_and_computes_the_same(make, x, tmp_path):
    from parity_coreml.convert import convert

    torch.manual_seed(0)
    module = make().eval()
    package = tmp_path / "model.mlpackage"
    sidecar = convert(module, (x,), package)
    found = check(module, [(x,)], package)
    wrong = [(row.node.name, row.kind, row.local, row.floor) for row in found.converter]
    assert not wrong
    assert found.holds
    assert max(found.outputs.values()) <= 1e-6
    # A batch norm is folded into the convolution before it, whose own output is then nowhere; two
    # transpositions cancel after a recurrent layer; a cell's first state is a constant bias.
    folded = {"stem", "deep", "both", "cell"}
    # Of recurrent layers nobody reads the last state.
    assert {each.path for each in sidecar.unplaced if not each.slot} <= folded
    assert {name.split(".")[0] for name in found.coverage.parameters.left} <= folded
    assert found.coverage.edges.compared >= 0.7 * found.coverage.edges.total
