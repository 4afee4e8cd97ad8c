"""The tokenizers' layers in plain `torch.nn`: what somebody would write who has no library.

Channels first. Modules and parameters carry the names of our own layers, so that `load` can copy parameters and the
benchmark can check that both compute the same before it times them.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import nn
from torch.nn import functional

Strides = Sequence[int]


class CausalConv(nn.Conv3d):
    def __init__(
        self, inputs: int, outputs: int, kernel: Strides = (3, 3, 3), strides: Strides = (1, 1, 1), bias=True
    ):
        super().__init__(inputs, outputs, tuple(kernel), tuple(strides), bias=bias)
        time, height, width = kernel
        self.around = (width // 2, width // 2, height // 2, height // 2, time - 1, 0)

    def forward(self, x):
        return super().forward(functional.pad(x, self.around))


class GroupNorm(nn.GroupNorm):
    """Over the clip, as `nn.GroupNorm` is; or frame by frame."""

    def __init__(self, groups: int, channels: int, per_frame: bool = False):
        super().__init__(groups, channels, eps=1e-6)
        self.per_frame = per_frame

    def forward(self, x):
        if not self.per_frame:
            return super().forward(x)
        b, c, t, h, w = x.shape
        frames = x.transpose(1, 2).reshape(b * t, c, h, w)
        return super().forward(frames).reshape(b, t, c, h, w).transpose(1, 2)


class NormSwish(GroupNorm):
    def forward(self, x):
        return functional.silu(super().forward(x))


class ResBlock(nn.Module):
    def __init__(self, inputs: int, outputs: int, groups: int):
        super().__init__()
        self.norm1, self.norm2 = GroupNorm(groups, inputs), GroupNorm(groups, outputs)
        self.conv1 = CausalConv(inputs, outputs, bias=False)
        self.conv2 = CausalConv(outputs, outputs, bias=False)
        self.shortcut = CausalConv(inputs, outputs, (1, 1, 1), bias=False) if inputs != outputs else None

    def forward(self, x):
        h = self.conv1(functional.silu(self.norm1(x)))
        h = self.conv2(functional.silu(self.norm2(h)))
        return (x if self.shortcut is None else self.shortcut(x)) + h


def depth_to_space(x, block: Strides):
    """Channels, ordered (time, height, width, C), to frames and pixels."""
    b, depth, t, h, w = x.shape
    st, sh, sw = block
    x = x.reshape(b, st, sh, sw, depth // math.prod(block), t, h, w)
    return x.permute(0, 4, 5, 1, 6, 2, 7, 3).reshape(b, -1, t * st, h * sh, w * sw)


class Upsample(nn.Module):
    def __init__(self, channels: int, strides: Strides):
        super().__init__()
        self.strides = strides
        self.conv = CausalConv(channels, channels * math.prod(strides))

    def forward(self, x):
        return depth_to_space(self.conv(x), self.strides)[:, :, self.strides[0] - 1 :]


class AdaptiveNorm(nn.Module):
    """Normalisation whose scale and bias come from the codes' mean over a latent frame."""

    def __init__(self, groups: int, channels: int, bits: int):
        super().__init__()
        self.groups, self.style = groups, nn.Linear(bits, 2 * channels)

    def forward(self, x, codes):
        frames, latents = x.shape[2], codes.shape[2]
        style = self.style(codes.mean((3, 4)).transpose(1, 2))
        rate = 1 if latents == 1 else (frames - 1) // (latents - 1)
        style = style.repeat_interleave(rate, 1)[:, rate - 1 :].transpose(1, 2)[..., None, None]
        scale, bias = style.chunk(2, 1)
        return functional.group_norm(x, self.groups, eps=1e-6) * (1 + scale) + bias


class Encoder(nn.Module):
    def __init__(
        self, channels: Sequence[int], strides: Sequence[Strides], blocks: int, groups: int, bits: int
    ):
        super().__init__()
        self.conv_in = CausalConv(3, channels[0])
        width, self.order = channels[0], []
        for level, outputs in enumerate(channels):
            for i in range(blocks):
                self._add(f"level{level}_block{i}", ResBlock(width, outputs, groups))
                width = outputs
            if level < len(strides):
                down = nn.Module()
                down.conv = CausalConv(width, width, strides=strides[level])
                self.add_module(f"level{level}_down", down)
                self.order.append(down.conv)
        for i in range(blocks):
            self._add(f"mid_block{i}", ResBlock(width, width, groups))
        self.norm_out, self.conv_out = GroupNorm(groups, width), CausalConv(width, bits, (1, 1, 1))

    def _add(self, name: str, module: nn.Module) -> None:
        self.add_module(name, module)
        self.order.append(module)

    def forward(self, x):
        x = self.conv_in(x)
        for module in self.order:
            x = module(x)
        return self.conv_out(functional.silu(self.norm_out(x)))


class Decoder(nn.Module):
    def __init__(
        self, channels: Sequence[int], strides: Sequence[Strides], blocks: int, groups: int, bits: int
    ):
        super().__init__()
        width, self.order = channels[-1], []
        self.conv_in = CausalConv(bits, width)
        for i in range(blocks):
            self._add(f"mid_block{i}", ResBlock(width, width, groups))
        for level in reversed(range(len(channels))):
            self._add(f"level{level}_adapt", AdaptiveNorm(groups, width, bits))
            for i in range(blocks):
                self._add(f"level{level}_block{i}", ResBlock(width, channels[level], groups))
                width = channels[level]
            if level > 0:
                self._add(f"level{level}_up", Upsample(width, strides[level - 1]))
        self.norm_out, self.conv_out = GroupNorm(groups, width), CausalConv(width, 3)

    _add = Encoder._add

    def forward(self, codes):
        x = self.conv_in(codes)
        for module in self.order:
            x = module(x, codes) if isinstance(module, AdaptiveNorm) else module(x)
        return self.conv_out(functional.silu(self.norm_out(x)))


class Autoencoder(nn.Module):
    """Encoder, sign with straight-through gradients, decoder; pixels in [0, 1]."""

    def __init__(
        self, channels: Sequence[int], strides: Sequence[Strides], blocks: int, groups: int, bits: int
    ):
        super().__init__()
        shape = channels, strides, blocks, groups, bits
        self.encoder, self.decoder = Encoder(*shape), Decoder(*shape)

    def forward(self, x):
        z = self.encoder(2 * x - 1)
        codes = torch.where(z > 0, 1.0, -1.0)
        return 0.5 * (self.decoder(z + (codes - z).detach()) + 1)


def load(module: nn.Module, flat: dict[str, np.ndarray]) -> nn.Module:
    """Copies parameters of our layers, by path ("conv1/kernel"), to the module's of the same names.

    Raises:
      KeyError: a parameter is missing, or one is left over.
    """
    left = dict(flat)
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            *path, leaf = name.split(".")
            leaves = {"weight": ("kernel", "scale"), "bias": ("bias",)}[leaf]
            [key] = [key for key in ("/".join([*path, leaf]) for leaf in leaves) if key in left]
            value = np.array(left.pop(key))
            if value.ndim > 1:  # kernels: (..., inputs, outputs) here, (outputs, inputs, ...) there
                value = np.moveaxis(value, (-1, -2), (0, 1))
            parameter.copy_(torch.tensor(value).reshape(parameter.shape))
    if left:
        raise KeyError(f"nothing in torch for {sorted(left)}")
    return module
