"""The Descript audio codec's released weights: `weights_16khz.pth` of release 0.0.5 (Kumar et al. 2023).

Its convolutions are stored as direction and length ("weight_v", "weight_g"); here they are multiplied out. Of the
quantizer's levels the first few are taken, since level q says nothing about those before it.
"""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple, NoReturn

import flax.traverse_util
import numpy as np

from magvit_jax.errors import UserError
from magvit_jax.tokenizer.dac import Dac, abstract_params
from magvit_jax.typing import PyTree

FILE = "weights_16khz.pth"
URL = f"https://github.com/descriptinc/descript-audio-codec/releases/download/0.0.5/{FILE}"
LEVELS = 4  # that VideoPoet's vocabulary has room for
RELEASED_LEVELS = 12  # of the 16 kHz model; those of 24 and 44.1 kHz have 32 and 9, and tensors do not name the rate
SAMPLE_RATE = 16_000  # Hz


class Converted(NamedTuple):
    """A codec read from tensors.

    Fields:
      model: fields of `tokenizer.dac.Dac`, plain JSON values.
      params: its parameters, float32 numpy arrays.
      levels: of the checkpoint, of which `model["levels"]` were taken.
    """

    model: dict[str, Any]
    params: PyTree
    levels: int

    @property
    def size(self) -> int:
        """Number of parameters."""
        return sum(value.size for value in flax.traverse_util.flatten_dict(self.params).values())

    @property
    def note(self) -> str:
        """What was taken, for people."""
        return f"the first {self.model['levels']} of {self.levels} levels"


def from_tensors(tensors: Mapping[str, Any], source: str, levels: int = LEVELS) -> Converted:
    """The codec in a checkpoint's tensors; sizes and strides are read off their shapes.

    Args:
      tensors: arrays by the codec's keys, as of `checkpoint.read_tensors`.
      source: the file's name, for errors.
      levels: how many of the quantizer's levels to take, the first ones.

    Raises:
      UserError: names the first key that is missing, of another shape or type, or in excess; or another number of
        levels than the 16 kHz codec has.
    """
    checkpoint = _Checkpoint(tensors, source)
    fields, there = _read_fields(checkpoint, levels)
    if there != RELEASED_LEVELS:
        raise UserError(f"{source}: has {there} levels; expected {RELEASED_LEVELS}, those of the 16 kHz codec ({FILE})")
    model = Dac(**fields)
    flat, known = {}, set()
    for path, leaf in flax.traverse_util.flatten_dict(abstract_params(model), sep="/").items():
        keys = keys_of(path, model)
        known.update(keys)
        flat[path] = _to_ours(path, [checkpoint.take(key) for key in keys])
        if flat[path].shape != leaf.shape:
            found, wanted = list(flat[path].shape), list(leaf.shape)
            checkpoint.refuse(keys[0], f"gives {path} of shape {found}; expected {wanted}")
    dropped = tuple(f"quantizer.quantizers.{level}." for level in range(levels, there))
    for key in tensors:
        if key not in known and not (dropped and key.startswith(dropped)):
            checkpoint.refuse(key, "is none of a Descript audio codec of this size")
    return Converted(fields, flax.traverse_util.unflatten_dict(flat, sep="/"), there)


def keys_of(path: str, model: Dac) -> list[str]:
    """Their keys of one parameter of ours: two of a kernel, its direction and its length; else one."""
    *modules, leaf = path.split("/")
    if modules[0].startswith("level_"):
        name = f"quantizer.quantizers.{modules[0].removeprefix('level_')}"
        if leaf == "codebook":
            return [f"{name}.codebook.weight"]
        return _leaf_keys(f"{name}.{modules[1]}", leaf)
    side, block, *inner = modules
    blocks = len(model.encoder_strides if side == "encoder" else model.decoder_strides)
    stem = {"encoder": "encoder.block", "decoder": "decoder.model"}[side]
    ends = {"conv_in": 0, "snake_out": blocks + 1, "conv_out": blocks + 2}
    if block in ends:
        return _leaf_keys(f"{stem}.{ends[block]}", leaf)
    number, part = re.fullmatch(r"block(\d+)_(\w+)", block).groups()
    name = f"{stem}.{int(number) + 1}.block.{_place(side, part)}"
    if inner:
        name += f".block.{('snake1', 'conv1', 'snake2', 'conv2').index(inner[0])}"
    return _leaf_keys(name, leaf)


def _place(side: str, part: str) -> int:
    """A layer's number in their block: units come before the strided convolution in the encoder, after it else."""
    if part.startswith("unit"):
        return int(part.removeprefix("unit")) + (0 if side == "encoder" else 2)
    return {"encoder": {"snake": 3, "down": 4}, "decoder": {"snake": 0, "up": 1}}[side][part]


def _leaf_keys(name: str, leaf: str) -> list[str]:
    return [f"{name}.weight_v", f"{name}.weight_g"] if leaf == "kernel" else [f"{name}.{leaf}"]


def _to_ours(path: str, values: list[np.ndarray]) -> np.ndarray:
    if path.endswith("/alpha"):
        return values[0].reshape(-1)
    if not path.endswith("/kernel"):
        return values[0]
    direction, length = values
    norm = np.sqrt(np.square(direction.astype(np.float64)).sum((1, 2), keepdims=True))
    weight = (direction * (length / np.maximum(norm, np.finfo(np.float64).tiny))).astype(np.float32)
    if path.split("/")[-2].endswith("_up"):  # [in, out, taps] of a transposed convolution, whose taps run backwards
        return np.ascontiguousarray(weight.transpose(2, 0, 1)[::-1])
    return np.ascontiguousarray(weight.transpose(2, 1, 0))


def _read_fields(checkpoint: "_Checkpoint", levels: int) -> tuple[dict[str, Any], int]:
    """Fields of the model from shapes, and how many levels the checkpoint has."""
    there = checkpoint.count("quantizer.quantizers.{}.codebook.weight")
    if not 1 <= levels <= there:
        raise UserError(f"{checkpoint.source}: has {there} levels; expected {levels} or more, and 1 or more asked for")
    encoder = [f"encoder.block.{i + 1}.block.4" for i in range(checkpoint.count("encoder.block.{}.block.4.bias", 1))]
    decoder = [f"decoder.model.{i + 1}.block.1" for i in range(checkpoint.count("decoder.model.{}.block.1.bias", 1))]
    size, dim = checkpoint.shape("quantizer.quantizers.0.codebook.weight", 2)
    fields = dict(
        encoder_channels=checkpoint.shape("encoder.block.0.weight_v", 3)[0],
        encoder_strides=[checkpoint.shape(f"{name}.weight_v", 3)[2] // 2 for name in encoder],
        latent_dim=checkpoint.shape("quantizer.quantizers.0.out_proj.weight_v", 3)[0],
        decoder_channels=checkpoint.shape("decoder.model.0.weight_v", 3)[0],
        decoder_strides=[checkpoint.shape(f"{name}.weight_v", 3)[2] // 2 for name in decoder],
        levels=levels,
        codebook_size=size,
        codebook_dim=dim,
    )
    return fields, there


class _Checkpoint:
    """Tensors by key, with errors that name the file."""

    def __init__(self, tensors: Mapping[str, Any], source: str):
        self.tensors, self.source = tensors, source

    def refuse(self, key: str, why: str) -> NoReturn:
        raise UserError(f"{self.source}: key {key} {why}")

    def count(self, name: str, first: int = 0) -> int:
        """How many there are of `name`, which are numbered from `first` without a gap."""
        number = first
        while name.format(number) in self.tensors:
            number += 1
        return number - first

    def shape(self, key: str, dims: int) -> tuple[int, ...]:
        shape = tuple(self.take(key).shape)
        if len(shape) != dims or min(shape) < 1:
            self.refuse(key, f"is {list(shape)}; expected {dims} dimensions")
        return shape

    def take(self, key: str) -> np.ndarray:
        """One tensor as float32."""
        if key not in self.tensors:
            self.refuse(key, f"is missing; expected the Descript audio codec, such as {FILE} from {URL}")
        value = self.tensors[key]
        if not isinstance(value, np.ndarray) or not np.issubdtype(value.dtype, np.floating):
            what = value.dtype if isinstance(value, np.ndarray) else type(value).__name__
            self.refuse(key, f"is {what}; expected a tensor of floats")
        if not np.isfinite(value).all():
            self.refuse(key, "holds NaN or infinity; expected finite weights")
        return value.astype(np.float32, copy=False)
