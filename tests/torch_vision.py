"""Image networks written down in PyTorch from their papers, under torchvision's keys."""

import torch
from torch import nn
from torch.nn import functional


class Bottleneck(nn.Module):
    def __init__(self, inputs, width, stride):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(inputs, width, 1, bias=False), nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3, self.bn3 = nn.Conv2d(width, 4 * width, 1, bias=False), nn.BatchNorm2d(4 * width)
        if inputs != 4 * width or stride != 1:
            project = nn.Conv2d(inputs, 4 * width, 1, stride, bias=False)
            self.downsample = nn.Sequential(project, nn.BatchNorm2d(4 * width))

    def forward(self, x):
        around = self.downsample(x) if hasattr(self, "downsample") else x
        x = self.bn1(self.conv1(x)).relu()
        x = self.bn2(self.conv2(x)).relu()
        return (self.bn3(self.conv3(x)) + around).relu()


class ResNet50(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64)
        inputs = 64
        for number, (blocks, width) in enumerate(((3, 64), (4, 128), (6, 256), (3, 512)), start=1):
            stage = []
            for block in range(blocks):
                stage.append(Bottleneck(inputs, width, 2 if block == 0 and number > 1 else 1))
                inputs = 4 * width
            setattr(self, f"layer{number}", nn.Sequential(*stage))
        self.avgpool, self.fc = nn.AdaptiveAvgPool2d(1), nn.Linear(2048, 1000)

    def forward(self, x):
        x = functional.max_pool2d(self.bn1(self.conv1(x)).relu(), 3, 2, 1)
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(self.avgpool(x).flatten(1))


class Basic(nn.Module):
    def __init__(self, inputs, outputs, kernel, stride=1, padding=0):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(outputs, eps=0.001)

    def forward(self, x):
        return self.bn(self.conv(x)).relu()


def mean(x):
    return functional.avg_pool2d(x, 3, 1, 1, count_include_pad=False)


def largest(x):
    return functional.max_pool2d(x, 3, 1, 1)


class InceptionBlock(nn.Module):
    """Layers by name; `flow` says how they are joined: (pool, [chains]), a tuple in a chain forks it."""

    def __init__(self, pool, chains, layers):
        super().__init__()
        self.pool, self.chains = pool, chains
        for name, layer in layers.items():
            setattr(self, name, Basic(*layer))

    def forward(self, x):
        outputs = []
        for chain in self.chains:
            y = self.pool(x) if chain == ("branch_pool",) else x
            for name in chain:
                names = name if isinstance(name, tuple) else (name,)
                y = torch.cat([getattr(self, part)(y) for part in names], 1)
            outputs.append(y)
        if self.pool is None:
            outputs.append(functional.max_pool2d(x, 3, 2))
        return torch.cat(outputs, 1)


def block_a(inputs, pooled):
    layers = {
        "branch1x1": (inputs, 64, 1),
        "branch5x5_1": (inputs, 48, 1),
        "branch5x5_2": (48, 64, 5, 1, 2),
        "branch3x3dbl_1": (inputs, 64, 1),
        "branch3x3dbl_2": (64, 96, 3, 1, 1),
        "branch3x3dbl_3": (96, 96, 3, 1, 1),
        "branch_pool": (inputs, pooled, 1),
    }
    return InceptionBlock(mean, chains_of(layers), layers)


def block_b():
    layers = {
        "branch3x3": (288, 384, 3, 2),
        "branch3x3dbl_1": (288, 64, 1),
        "branch3x3dbl_2": (64, 96, 3, 1, 1),
        "branch3x3dbl_3": (96, 96, 3, 2),
    }
    return InceptionBlock(None, chains_of(layers), layers)


def block_c(width):
    wide, tall = ((1, 7), 1, (0, 3)), ((7, 1), 1, (3, 0))
    layers = {
        "branch1x1": (768, 192, 1),
        "branch7x7_1": (768, width, 1),
        "branch7x7_2": (width, width, *wide),
        "branch7x7_3": (width, 192, *tall),
        "branch7x7dbl_1": (768, width, 1),
        "branch7x7dbl_2": (width, width, *tall),
        "branch7x7dbl_3": (width, width, *wide),
        "branch7x7dbl_4": (width, width, *tall),
        "branch7x7dbl_5": (width, 192, *wide),
        "branch_pool": (768, 192, 1),
    }
    return InceptionBlock(mean, chains_of(layers), layers)


def block_d():
    layers = {
        "branch3x3_1": (768, 192, 1),
        "branch3x3_2": (192, 320, 3, 2),
        "branch7x7x3_1": (768, 192, 1),
        "branch7x7x3_2": (192, 192, (1, 7), 1, (0, 3)),
        "branch7x7x3_3": (192, 192, (7, 1), 1, (3, 0)),
        "branch7x7x3_4": (192, 192, 3, 2),
    }
    return InceptionBlock(None, chains_of(layers), layers)


def block_e(inputs, pool):
    wide, tall = ((1, 3), 1, (0, 1)), ((3, 1), 1, (1, 0))
    layers = {
        "branch1x1": (inputs, 320, 1),
        "branch3x3_1": (inputs, 384, 1),
        "branch3x3_2a": (384, 384, *wide),
        "branch3x3_2b": (384, 384, *tall),
        "branch3x3dbl_1": (inputs, 448, 1),
        "branch3x3dbl_2": (448, 384, 3, 1, 1),
        "branch3x3dbl_3a": (384, 384, *wide),
        "branch3x3dbl_3b": (384, 384, *tall),
        "branch_pool": (inputs, 192, 1),
    }
    chains = [
        ("branch1x1",),
        ("branch3x3_1", ("branch3x3_2a", "branch3x3_2b")),
        ("branch3x3dbl_1", "branch3x3dbl_2", ("branch3x3dbl_3a", "branch3x3dbl_3b")),
        ("branch_pool",),
    ]
    return InceptionBlock(pool, chains, layers)


def chains_of(layers):
    """Layers of the same name up to their last number, in a row."""
    chains = {}
    for name in layers:
        chains.setdefault(name.rstrip("0123456789") if name[-2] == "_" else name, []).append(name)
    return [tuple(chain) for chain in chains.values()]


class FidInception(nn.Module):
    """Inception-v3 of TensorFlow's graph of 2015."""

    def __init__(self):
        super().__init__()
        self.Conv2d_1a_3x3, self.Conv2d_2a_3x3 = Basic(3, 32, 3, 2), Basic(32, 32, 3)
        self.Conv2d_2b_3x3 = Basic(32, 64, 3, 1, 1)
        self.Conv2d_3b_1x1, self.Conv2d_4a_3x3 = Basic(64, 80, 1), Basic(80, 192, 3)
        self.Mixed_5b, self.Mixed_5c, self.Mixed_5d = block_a(192, 32), block_a(256, 64), block_a(288, 64)
        self.Mixed_6a, self.Mixed_6b, self.Mixed_6c = block_b(), block_c(128), block_c(160)
        self.Mixed_6d, self.Mixed_6e = block_c(160), block_c(192)
        self.Mixed_7a, self.Mixed_7b, self.Mixed_7c = block_d(), block_e(1280, mean), block_e(2048, largest)
        self.avgpool, self.fc = nn.AdaptiveAvgPool2d(1), nn.Linear(2048, 1008)

    def forward(self, x):
        for name, layer in self.named_children():
            if name == "avgpool":
                break
            if name in ("Conv2d_3b_1x1", "Mixed_5b"):
                x = functional.max_pool2d(x, 3, 2)
            x = layer(x)
        return self.fc(self.avgpool(x).flatten(1))


class Trunk(nn.Module):
    """The convolutions of VGG16 or AlexNet as `features`."""

    def __init__(self, layers):
        super().__init__()
        self.features = nn.Sequential(*layers)


def vgg16():
    layers, inputs = [], 3
    for width, count in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
        for _ in range(count):
            layers += [nn.Conv2d(inputs, width, 3, 1, 1), nn.ReLU()]
            inputs = width
        layers.append(nn.MaxPool2d(2))
    return Trunk(layers)


def alexnet():
    def pool():
        return nn.MaxPool2d(3, 2)

    layers = [nn.Conv2d(3, 64, 11, 4, 2), nn.ReLU(), pool(), nn.Conv2d(64, 192, 5, 1, 2), nn.ReLU(), pool()]
    for widths in ((192, 384), (384, 256), (256, 256)):
        layers += [nn.Conv2d(*widths, 3, 1, 1), nn.ReLU()]
    return Trunk([*layers, pool()])


#: Positions in `features` after which LPIPS takes its maps.
TAPS = {"vgg16": (3, 8, 15, 22, 29), "alexnet": (1, 4, 7, 9, 11)}


def lpips(name, features, heads, a, b):
    """LPIPS v0.1 of pictures in [-1, 1], channels first: the distance, and the maps of `a`."""
    shift, scale = (torch.tensor(v).view(3, 1, 1) for v in ((-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)))
    maps, total = [], 0
    a, b = (a - shift) / scale, (b - shift) / scale
    for number, layer in enumerate(features):
        a, b = layer(a), layer(b)
        if number in TAPS[name]:
            units = [x / (x.square().sum(1, keepdim=True).sqrt() + 1e-10) for x in (a, b)]
            head = heads[f"lin{len(maps)}.model.1.weight"]
            total = total + ((units[0] - units[1]).square() * head).sum(1).mean((1, 2))
            maps.append(a)
        if number == TAPS[name][-1]:
            return total, maps
