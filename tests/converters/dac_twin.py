"""The Descript audio codec written down in PyTorch, so that its keys, shapes and numbers can be compared.

Not a test module. Written from the paper (Kumar et al. 2023) and the released model's layer list.
"""

import math

import torch
import torch.nn.functional as F
from torch import nn


class WeightNormed(nn.Module):
    """A convolution whose kernel is a direction times a length, one for each index of the first axis."""

    def __init__(self, shape, biases, run):
        super().__init__()
        self.weight_v = nn.Parameter(torch.randn(shape) * 0.3)
        self.weight_g = nn.Parameter(0.5 + torch.rand(shape[0], 1, 1))
        self.bias = nn.Parameter(torch.randn(biases) * 0.1)
        self.run = run

    def forward(self, x):
        norm = self.weight_v.flatten(1).norm(dim=1).view(-1, 1, 1)
        return self.run(x, self.weight_g * self.weight_v / norm, self.bias)


def conv(inputs, outputs, taps, **how):
    return WeightNormed((outputs, inputs, taps), outputs, lambda x, w, b: F.conv1d(x, w, b, **how))


def upsample(inputs, outputs, stride):
    how = dict(stride=stride, padding=math.ceil(stride / 2))
    shape = (inputs, outputs, 2 * stride)
    return WeightNormed(shape, outputs, lambda x, w, b: F.conv_transpose1d(x, w, b, **how))


class Snake(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.alpha = nn.Parameter(0.5 + torch.rand(1, channels, 1))

    def forward(self, x):
        return x + torch.sin(self.alpha * x) ** 2 / (self.alpha + 1e-9)


class Block(nn.Module):
    """Layers in a row, below the key "block"."""

    def __init__(self, *layers, shortcut=False):
        super().__init__()
        self.block, self.shortcut = nn.Sequential(*layers), shortcut

    def forward(self, x):
        return x + self.block(x) if self.shortcut else self.block(x)


def unit(channels, dilation):
    wide = conv(channels, channels, 7, dilation=dilation, padding=3 * dilation)
    return Block(Snake(channels), wide, Snake(channels), conv(channels, channels, 1), shortcut=True)


def units(channels):
    return [unit(channels, dilation) for dilation in (1, 3, 9)]


class Level(nn.Module):
    def __init__(self, latent, size, dim):
        super().__init__()
        self.in_proj, self.out_proj = conv(latent, dim, 1), conv(dim, latent, 1)
        self.codebook = nn.Embedding(size, dim)

    def values(self, ids):
        return self.out_proj(self.codebook(ids).transpose(1, 2))

    def ids(self, rest):
        directions = F.normalize(self.in_proj(rest), dim=1)
        return torch.einsum("bdt,kd->btk", directions, F.normalize(self.codebook.weight)).argmax(-1)


class Twin(nn.Module):
    """Keys "encoder.block...", "quantizer.quantizers...", "decoder.model..."."""

    def __init__(self, encoder, strides, decoder, levels, size, dim):
        super().__init__()
        layers, channels = [conv(1, encoder, 7, padding=3)], encoder
        for stride in strides:
            down = conv(channels, 2 * channels, 2 * stride, stride=stride, padding=math.ceil(stride / 2))
            layers.append(Block(*units(channels), Snake(channels), down))
            channels *= 2
        latent = channels
        self.encoder = Block(*layers, Snake(channels), conv(channels, latent, 3, padding=1))
        self.quantizer = nn.Module()
        self.quantizer.quantizers = nn.ModuleList(Level(latent, size, dim) for _ in range(levels))
        layers, channels = [conv(latent, decoder, 7, padding=3)], decoder
        for stride in reversed(strides):
            up = upsample(channels, channels // 2, stride)
            layers.append(Block(Snake(channels), up, *units(channels // 2)))
            channels //= 2
        self.decoder = nn.Module()
        self.decoder.model = nn.Sequential(*layers, Snake(channels), conv(channels, 1, 7, padding=3), nn.Tanh())

    def encode(self, audio, levels):
        rest, ids = self.encoder(audio[:, None]), []
        for level in self.quantizer.quantizers[:levels]:
            ids.append(level.ids(rest))
            rest = rest - level.values(ids[-1])
        return torch.stack(ids, dim=-1)

    def decode(self, ids):
        z = sum(self.quantizer.quantizers[q].values(ids[..., q]) for q in range(ids.shape[-1]))
        return self.decoder.model(z)[:, 0]
