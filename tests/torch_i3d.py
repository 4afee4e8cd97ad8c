"""I3D written down in PyTorch from the paper, under the public port's keys; padded by TensorFlow's rule."""

import torch
from torch import nn
from torch.nn import functional

BLOCKS = {
    "Mixed_3b": (192, (64, 96, 128, 16, 32, 32)),
    "Mixed_3c": (256, (128, 128, 192, 32, 96, 64)),
    "Mixed_4b": (480, (192, 96, 208, 16, 48, 64)),
    "Mixed_4c": (512, (160, 112, 224, 24, 64, 64)),
    "Mixed_4d": (512, (128, 128, 256, 24, 64, 64)),
    "Mixed_4e": (512, (112, 144, 288, 32, 64, 64)),
    "Mixed_4f": (528, (256, 160, 320, 32, 128, 128)),
    "Mixed_5b": (832, (256, 160, 320, 32, 128, 128)),
    "Mixed_5c": (832, (384, 192, 384, 48, 128, 128)),
}


def same(x, kernel, stride):
    """Zeros so that ceil(size / stride) windows fit; the odd one comes last."""
    amounts = []
    for size, extent, step in zip(x.shape[2:], kernel, stride, strict=True):
        total = max((-(-size // step) - 1) * step + extent - size, 0)
        amounts.append((total // 2, total - total // 2))
    return functional.pad(x, [amount for pair in reversed(amounts) for amount in pair])


def max_pool(x, kernel, stride):
    return functional.max_pool3d(same(x, kernel, stride), kernel, stride)


class Unit(nn.Module):
    def __init__(self, inputs, outputs, extent, stride=1, norm=True):
        super().__init__()
        self.kernel, self.stride = (extent,) * 3, (stride,) * 3
        self.conv3d = nn.Conv3d(inputs, outputs, extent, stride, bias=not norm)
        if norm:
            self.bn = nn.BatchNorm3d(outputs, eps=0.001)

    def forward(self, x):
        x = self.conv3d(same(x, self.kernel, self.stride))
        return functional.relu(self.bn(x)) if hasattr(self, "bn") else x


class Block(nn.Module):
    def __init__(self, inputs, widths):
        super().__init__()
        self.b0 = Unit(inputs, widths[0], 1)
        self.b1a, self.b1b = Unit(inputs, widths[1], 1), Unit(widths[1], widths[2], 3)
        self.b2a, self.b2b = Unit(inputs, widths[3], 1), Unit(widths[3], widths[4], 3)
        self.b3b = Unit(inputs, widths[5], 1)

    def forward(self, x):
        pooled = max_pool(x, (3, 3, 3), (1, 1, 1))
        return torch.cat(
            [self.b0(x), self.b1b(self.b1a(x)), self.b2b(self.b2a(x)), self.b3b(pooled)], dim=1
        )


class I3D(nn.Module):
    def __init__(self):
        super().__init__()
        self.Conv3d_1a_7x7 = Unit(3, 64, 7, 2)
        self.Conv3d_2b_1x1 = Unit(64, 64, 1)
        self.Conv3d_2c_3x3 = Unit(64, 192, 3)
        for name, (inputs, widths) in BLOCKS.items():
            setattr(self, name, Block(inputs, widths))
        self.logits = Unit(1024, 400, 1, norm=False)

    def forward(self, x):
        x = max_pool(self.Conv3d_1a_7x7(x), (1, 3, 3), (1, 2, 2))
        x = self.Conv3d_2c_3x3(self.Conv3d_2b_1x1(x))
        x = self.Mixed_3c(self.Mixed_3b(max_pool(x, (1, 3, 3), (1, 2, 2))))
        x = max_pool(x, (3, 3, 3), (2, 2, 2))
        for name in ("Mixed_4b", "Mixed_4c", "Mixed_4d", "Mixed_4e", "Mixed_4f"):
            x = getattr(self, name)(x)
        x = self.Mixed_5c(self.Mixed_5b(max_pool(x, (2, 2, 2), (2, 2, 2))))
        x = functional.avg_pool3d(x, (2, 7, 7), (1, 1, 1))
        return {"logits": self.logits(x).mean((2, 3, 4)), "pooled": x.mean((2, 3, 4))}
