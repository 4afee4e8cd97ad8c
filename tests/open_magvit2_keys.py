"""The tensors that an Open-MAGVIT2 tokenizer has, written from its documentation: names and shapes, in order.

Not a test module: a folder's conftest.py makes it importable.
"""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class Settings:
    """Of a tokenizer: `multipliers` of the `base` width, one a level; `blocks` residual blocks everywhere."""

    base: int
    multipliers: tuple[int, ...]
    blocks: int
    bits: int
    video: bool


#: Settings of the released models, and what was published of their state_dicts: the number of tensors, of
#: parameters, and the first 16 digits of the SHA-256 of all lines "name [shape]".
PUBLISHED = {
    "imagenet_256": (
        Settings(128, (1, 1, 2, 2, 4), 4, 18, video=False),
        339,
        115_127_829,
        "0c2a187ce4bd8b3d",
    ),
    "imagenet_128": (Settings(128, (1, 2, 2, 4), 4, 18, video=False), 283, 112_021_653, "602490b5726ae2b7"),
    "ucf101_128": (Settings(128, (1, 2, 2, 4), 4, 18, video=True), 283, 370_547_349, "ed12aeff23d2d7b7"),
}


def tensors(settings: Settings) -> dict[str, tuple[int, ...]]:
    """Shape by name."""
    found = {}
    widths = [settings.base * multiplier for multiplier in settings.multipliers]
    last = len(widths) - 1

    def conv(name, outputs, inputs, size=3, bias=True):
        name = f"{name}.conv_1" if settings.video else name
        found[f"{name}.weight"] = (outputs, inputs) + (size,) * (3 if settings.video else 2)
        if bias:
            found[f"{name}.bias"] = (outputs,)

    def pair(name, *shape):
        found[f"{name}.weight"], found[f"{name}.bias"] = shape, shape[:1]

    def blocks(name, inputs, outputs):
        for i in range(settings.blocks):
            block = f"{name}.{i}"
            pair(f"{block}.norm1", inputs)
            pair(f"{block}.norm2", outputs)
            conv(f"{block}.conv1", outputs, inputs, bias=False)
            conv(f"{block}.conv2", outputs, outputs, bias=False)
            if inputs != outputs:
                conv(f"{block}.nin_shortcut", outputs, inputs, size=1, bias=False)
            inputs = outputs

    conv("encoder.conv_in", settings.base, 3, bias=False)
    width = settings.base
    for i, outputs in enumerate(widths):
        blocks(f"encoder.down.{i}.block", width, outputs)
        width = outputs
        if i < last:
            conv(f"encoder.down.{i}.downsample", width, width)
    blocks("encoder.mid_block", width, width)
    pair("encoder.norm_out", width)
    conv("encoder.conv_out", settings.bits, width, size=1)
    conv("decoder.conv_in", width, settings.bits)
    blocks("decoder.mid_block", width, width)
    entering = [*widths[1:], widths[-1]]  # a level of the decoder takes what the level below it gives
    for i, outputs in enumerate(widths):
        blocks(f"decoder.up.{i}.block", entering[i], outputs)
        if i > 0:
            conv(f"decoder.up.{i}.upsample.conv1", outputs * 4 * temporal_stride(settings, i - 1), outputs)
    for i, inputs in enumerate(entering):
        pair(f"decoder.adaptive.{i}.gamma", inputs, settings.bits)
        pair(f"decoder.adaptive.{i}.beta", inputs, settings.bits)
    pair("decoder.norm_out", widths[0])
    conv("decoder.conv_out", 3, widths[0])
    return found


def temporal_stride(settings: Settings, level: int) -> int:
    """Of the step between a level and the one below it: 1 where the level's multiplier is 1, and in image models."""
    return 2 if settings.video and settings.multipliers[level] != 1 else 1


def random_tensors(settings: Settings, seed: int = 0) -> dict[str, np.ndarray]:
    """Weights under these names, float32: none is zero, and signals keep their size through the layers."""
    rng = np.random.default_rng(seed)

    def draw(name, shape):
        if len(shape) == 1:
            return rng.normal(1.0 if "norm" in name and name.endswith("weight") else 0.0, 0.2, shape)
        return rng.normal(0.0, 1.0 / np.sqrt(np.prod(shape[1:])), shape)

    return {name: draw(name, shape).astype(np.float32) for name, shape in tensors(settings).items()}
