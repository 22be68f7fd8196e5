"""A recurrent vocoder: log-mel front end, recurrent encoder, autoregressive decoder, post-net."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional

from benchmarks.faults.pairs.vocoder.mel import slaney_filters
from parity.capture import next_step, phase
from parity.tensors import Case

__all__ = ["Program", "build"]

RATE, N_FFT, WIN, HOP, MELS, FMIN, FMAX = 8000, 128, 96, 32, 16, 40.0, 3600.0
CHANNELS, UNITS, WIDTH, FRAME, SPEAKERS = 32, 20, 36, 8, 5
EMPHASIS, MU = 0.97, 255


class Spectrogram(nn.Module):
    """Power of a short-time Fourier transform."""

    window: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("window", torch.hann_window(WIN))

    def forward(self, wave: torch.Tensor) -> torch.Tensor:
        """[batch, samples] -> [batch, bins, frames]."""
        spectrum = torch.stft(
            wave,
            N_FFT,
            hop_length=HOP,
            win_length=WIN,
            window=self.window,
            center=True,
            pad_mode="reflect",
            return_complex=True,
        )
        return spectrum.abs() ** 2


class Frontend(nn.Module):
    """16-bit samples -> normalised log-mel frames."""

    mel_basis: torch.Tensor
    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.spectrogram = Spectrogram()
        self.register_buffer("mel_basis", slaney_filters(RATE, N_FFT, MELS, FMIN, FMAX))
        self.register_buffer("mean", torch.linspace(-6.0, -8.0, MELS))
        self.register_buffer("std", torch.linspace(2.6, 1.7, MELS))

    def forward(self, samples: torch.Tensor) -> torch.Tensor:
        """int16[batch, samples] -> [batch, mels, frames]."""
        wave = samples.float() / 32768.0
        wave = torch.cat([wave[:, :1], wave[:, 1:] - EMPHASIS * wave[:, :-1]], dim=1)
        mel = self.mel_basis @ self.spectrogram(wave)
        mel = torch.log(torch.clamp(mel, min=1e-5))
        return (mel - self.mean[:, None]) / self.std[:, None]


class ConvBlock(nn.Module):
    """Convolution, batch norm, ReLU."""

    def __init__(self, inputs: int, kernel: int, *, dilation: int = 1, groups: int = 1) -> None:
        super().__init__()
        padding = dilation * (kernel - 1) // 2
        self.conv = nn.Conv1d(
            inputs, CHANNELS, kernel, padding=padding, dilation=dilation, groups=groups
        )
        self.bn = nn.BatchNorm1d(CHANNELS)
        self.act = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[batch, channels, frames] -> [batch, channels, frames]."""
        return self.act(self.bn(self.conv(x)))


class Encoder(nn.Module):
    """Convolutions, a speaker's vector, two bidirectional LSTM layers."""

    def __init__(self) -> None:
        super().__init__()
        self.convs = nn.ModuleList(
            [
                ConvBlock(MELS, 5),
                ConvBlock(CHANNELS, 3, dilation=2),
                ConvBlock(CHANNELS, 3, groups=4),
            ]
        )
        self.speaker = nn.Embedding(SPEAKERS, CHANNELS)
        self.lstm = nn.LSTM(CHANNELS, UNITS, num_layers=2, batch_first=True, bidirectional=True)
        self.bridge = nn.Linear(2 * UNITS, WIDTH)

    def forward(self, x: torch.Tensor, speaker: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Frames [batch, frames, 2 * units] and the decoder's first state [batch, width]."""
        for conv in self.convs:
            x = conv(x)
        x = x + self.speaker(speaker)[:, :, None]
        x, (hidden, _) = self.lstm(x.transpose(1, 2))
        last = torch.cat([hidden[-2], hidden[-1]], dim=1)
        return x, torch.tanh(self.bridge(last))


class Prenet(nn.Module):
    """Two leaky layers over the samples before."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1 = nn.Linear(FRAME, 24)
        self.fc2 = nn.Linear(24, 24)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[batch, frame] -> [batch, 24]."""
        x = functional.leaky_relu(self.fc1(x), 0.1)
        return functional.leaky_relu(self.fc2(x), 0.1)


class DecoderCell(nn.Module):
    """One step: the samples before and a frame of condition -> the next samples."""

    def __init__(self) -> None:
        super().__init__()
        self.prenet = Prenet()
        self.rnn_in = nn.Linear(24 + 2 * UNITS, WIDTH)
        self.gru1 = nn.GRUCell(WIDTH, WIDTH)
        self.gru2 = nn.GRUCell(WIDTH, WIDTH)
        self.fc = nn.Linear(WIDTH, 28)
        self.act = nn.LeakyReLU(0.1)
        self.out = nn.Linear(28, 2 * FRAME)

    def forward(
        self, before: torch.Tensor, condition: torch.Tensor, h1: torch.Tensor, h2: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """The next samples [batch, frame], and both states [batch, width]."""
        x = self.rnn_in(torch.cat([self.prenet(before), condition], dim=-1))
        h1 = self.gru1(x, h1)
        x = x + h1
        h2 = self.gru2(x, h2)
        x = x + h2
        mean, log_std = self.out(self.act(self.fc(x))).chunk(2, dim=-1)
        std = torch.exp(torch.clamp(log_std, min=-3.0))
        frame = mean + 0.7 * std * torch.randn(mean.shape)
        return frame.clamp(-1.0, 1.0), h1, h2


class Decoder(nn.Module):
    """The loop over steps."""

    def __init__(self) -> None:
        super().__init__()
        self.cell = DecoderCell()

    def forward(self, conditions: torch.Tensor, state: torch.Tensor) -> torch.Tensor:
        """[batch, steps, 2 * units], [batch, width] -> [batch, steps * frame]."""
        before = torch.zeros(len(conditions), FRAME)
        h1, h2 = state, torch.zeros_like(state)
        frames = []
        with phase("generate"):
            for condition in conditions.unbind(1):
                next_step()
                before, h1, h2 = self.cell(before, condition, h1, h2)
                frames.append(before)
        return torch.cat(frames, dim=1)


class WeightNormConv(nn.Module):
    """A convolution whose kernels keep direction and length apart."""

    def __init__(self, inputs: int, outputs: int, kernel: int) -> None:
        super().__init__()
        self.weight_v = nn.Parameter(torch.zeros(outputs, inputs, kernel))
        self.weight_g = nn.Parameter(torch.ones(outputs, 1, 1))
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[batch, inputs, samples] -> [batch, outputs, samples], mirrored at the ends."""
        length = self.weight_v.norm(dim=(1, 2), keepdim=True)
        reach = self.weight_v.shape[-1] // 2
        x = functional.pad(x, (reach, reach), mode="reflect")
        return functional.conv1d(x, self.weight_g * self.weight_v / length, self.bias)


class Postnet(nn.Module):
    """A correction of the samples by their neighbourhood."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = WeightNormConv(1, 16, 7)
        self.bn = nn.BatchNorm1d(16)
        self.conv2 = WeightNormConv(16, 1, 7)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[batch, samples] -> [batch, samples]."""
        h = torch.tanh(self.bn(self.conv1(x[:, None])))
        return x + self.conv2(h)[:, 0]


class MuLaw(nn.Module):
    """Companded samples -> linear ones."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Any shape."""
        x = x.clamp(-1.0, 1.0)
        return torch.sign(x) * (torch.pow(1.0 + MU, x.abs()) - 1.0) / MU


class Deemphasis(nn.Module):
    """Undoes the pre-emphasis of training targets."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[batch, samples] -> [batch, samples]."""
        value, out = torch.zeros(len(x)), []
        for sample in x.unbind(1):
            value = sample + EMPHASIS * value
            out.append(value)
        return torch.stack(out, dim=1)


class Vocoder(nn.Module):
    """A voice's samples in, samples of the same words out."""

    def __init__(self) -> None:
        super().__init__()
        self.frontend = Frontend()
        self.encoder = Encoder()
        self.upsample = nn.ConvTranspose1d(2 * UNITS, 2 * UNITS, 4, stride=2, padding=1)
        self.decoder = Decoder()
        self.postnet = Postnet()
        self.expand = MuLaw()
        self.deemphasis = Deemphasis()

    def forward(self, samples: torch.Tensor, speaker: torch.Tensor) -> torch.Tensor:
        """int16[batch, samples], int64[batch] -> [batch, 2 * frames * frame]."""
        x, state = self.encoder(self.frontend(samples), speaker)
        x = self.upsample(x.transpose(1, 2)).transpose(1, 2)
        x = self.postnet(self.decoder(x, state))
        return self.deemphasis(self.expand(x))


def build() -> Vocoder:
    """The model with weights of trained scales, the same in every process."""
    model = Vocoder().eval().requires_grad_(False)
    generator = torch.Generator().manual_seed(29)
    for name, parameter in model.named_parameters():
        scale, offset = _scale(name, parameter)
        parameter.copy_(offset + scale * torch.randn(parameter.shape, generator=generator))
    for name, buffer in model.named_buffers():
        if name.endswith("running_mean"):
            buffer.copy_(0.3 * torch.randn(buffer.shape, generator=generator))
        if name.endswith("running_var"):
            buffer.copy_(0.15 + 0.5 * torch.rand(buffer.shape, generator=generator))
    out = model.decoder.cell.out
    out.bias[:FRAME] *= 0.4  # sound has no mean to speak of
    out.bias[FRAME:] -= 2.4  # trained vocoders are sure of most samples
    model.postnet.conv2.bias *= 0.1
    return model


def _scale(name: str, parameter: torch.Tensor) -> tuple[float, float]:
    """Standard deviation and mean of the weights called `name`."""
    if name.endswith(("bn.weight", "weight_g")):
        return (0.25, 1.0) if "conv1" in name else (0.2, 0.6)
    if "bias" in name or "speaker" in name:
        return 0.25, 0.0
    fan_in = parameter[0].numel()
    gain = {".out.": 0.55, "rnn_in": 1.2, "lstm": 1.5, "gru": 1.3}
    return next((g for key, g in gain.items() if key in name), 1.0) / math.sqrt(fan_in), 0.0


class Program:
    """The reference."""

    name = "vocoder reference"

    def __init__(self) -> None:
        self.model = build()
        self.modules: dict[str, nn.Module] = {"model": self.model}

    @torch.no_grad()
    def run(self, case: Case) -> dict[str, torch.Tensor]:
        """Samples, [batch, samples]."""
        samples = torch.from_numpy(case.arrays["samples"])
        return {"wave": self.model(samples, torch.tensor(case.inputs["speaker"]))}
