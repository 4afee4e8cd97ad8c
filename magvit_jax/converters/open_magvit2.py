"""Tokenizers of Open-MAGVIT2, a public reimplementation of MAGVIT-v2 in PyTorch whose weights are released.

What differs from the thesis's model is in fields of `MagvitV2`, which `from_tensors` sets and `to_tensors` asks
for. The image models are two-dimensional; here they treat each frame of a video by itself. The video model's
normalisation takes its statistics over the whole clip, so it is not causal, although its convolutions are. Ids
are the same on both sides: channel i is bit i, the least significant first.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple, NoReturn

import flax.traverse_util
import numpy as np

from magvit_jax.converters.open_magvit2_names import EMA, ema_key, key_of, their_shape, to_ours, to_theirs
from magvit_jax.converters.tensors import take
from magvit_jax.errors import UserError
from magvit_jax.tokenizer.magvit2 import MagvitV2
from magvit_jax.tokenizer.model import TokenizerModel
from magvit_jax.tokenizer.quantizer import LookupFreeQuantizer
from magvit_jax.tokenizer.tokenizer import ClipFormat, unboxed_abstract_params
from magvit_jax.typing import PyTree

# What else is in a training checkpoint: losses with their discriminator, buffers, counters.
IGNORED = ("loss.", "discriminator.", "quantize.", "optimizer", "lr_scheduler") + tuple(
    EMA + name for name in ("loss", "discriminator", "quantize", "decay", "num_updates")
)
WEIGHTS = ("ema", "raw")
# The released models were trained on clips of 16 x 16 tokens, the video model on 1 + 4 frames of them.
TOKENS = 16
_SHARED = dict(
    patch=1,
    adaptive_norm="moments",
    norm_groups=32,
    downsampler="strided",
    upsampler="depth_to_space",
    stem_bias=False,
)
_IMAGE = dict(_SHARED, time_kernel=1, statistics="frame", kept_frame="last")
_VIDEO = dict(_SHARED, time_kernel=3, statistics="clip", kept_frame="first")


class Converted(NamedTuple):
    """A tokenizer read from tensors.

    Fields:
      model: the fields of a `config.model`, plain JSON values.
      params: its parameters, float32 numpy arrays.
      clip: the size of the clips that it was made for.
      weights: "ema" or "raw".
      ignored: keys of the checkpoint that are not used.
    """

    model: dict[str, Any]
    params: PyTree
    clip: ClipFormat
    weights: str
    ignored: int

    @property
    def size(self) -> int:
        """Number of parameters."""
        return sum(value.size for value in flax.traverse_util.flatten_dict(self.params).values())

    @property
    def note(self) -> str:
        """What was taken, for people."""
        return f"{self.weights} weights; {self.ignored} other keys left out"


def from_tensors(tensors: Mapping[str, Any], source: str, weights: str | None = None) -> Converted:
    """The tokenizer in a checkpoint's tensors; widths, depths and image or video are read off their shapes.

    Args:
      tensors: arrays by Open-MAGVIT2's keys, as of `checkpoint.read_tensors`.
      source: the file's name, for errors.
      weights: "ema" for the moving average, "raw" for the last step's; by default the former where there is one.

    Raises:
      UserError: names the first key that is missing, of another shape or type, or in excess.
    """
    checkpoint = Checkpoint(tensors, source, weights)
    fields, quantizer = read_fields(checkpoint)
    try:
        model = MagvitV2(**fields, quantizer=LookupFreeQuantizer(**quantizer))
    except UserError as error:
        raise UserError(f"{source}: {error}") from error
    expected = expected_tensors(model)
    flat = {path: to_ours(checkpoint.take(key, shape)) for path, (key, shape) in expected.items()}
    checkpoint.refuse_others({key for key, _ in expected.values()})
    config = dict(architecture="magvit2", **fields, quantizer=dict(name="lfq", **quantizer), dtype="float32")
    params = flax.traverse_util.unflatten_dict(flat, sep="/")
    ignored = len(tensors) - len(flat)
    return Converted(config, params, published_clip(model), checkpoint.weights, ignored)


def expected_tensors(model: MagvitV2) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Their key and shape of every parameter, by our path."""
    video = model.time_kernel != 1
    params = flax.traverse_util.flatten_dict(unboxed_abstract_params(model, published_clip(model)), sep="/")
    return {path: (key_of(path, video), their_shape(leaf.shape, video)) for path, leaf in params.items()}


def to_tensors(model: TokenizerModel, params: PyTree) -> dict[str, np.ndarray]:
    """Parameters of ours under Open-MAGVIT2's keys, so that `from_tensors` gives them back bit for bit.

    Raises:
      UserError: names the first field of the model that differs from Open-MAGVIT2's.
    """
    video = _require_same_architecture(model)
    flat = flax.traverse_util.flatten_dict(params, sep="/")
    return {key_of(path, video): to_theirs(np.asarray(value), video) for path, value in flat.items()}


def published_clip(model: TokenizerModel) -> ClipFormat:
    """Clips of 16 x 16 tokens, with 1 + 4 latent frames where time is compressed."""
    time, height, width = model.compression
    return ClipFormat(1 if time == 1 else 1 + 4 * time, TOKENS * height, TOKENS * width)


def read_fields(checkpoint: "Checkpoint") -> tuple[dict[str, Any], dict[str, int]]:
    """Fields of the model, and those of its quantizer, from shapes alone."""
    video = checkpoint.spell("encoder.conv_in.conv_1.weight") in checkpoint.tensors
    base = checkpoint.outputs("encoder.conv_in", video)
    multipliers = []
    for level in range(max(checkpoint.count("encoder.down.{}"), 1)):
        convolution = f"encoder.down.{level}.block.0.conv1"
        multiplier, rest = divmod(checkpoint.outputs(convolution, video), base)
        if rest:
            checkpoint.refuse(
                convolution, f"has {multiplier * base + rest} outputs; expected a multiple of {base}"
            )
        multipliers.append(multiplier)
    fields = dict(
        base_channels=base,
        channel_multipliers=multipliers,
        strides=_strides(multipliers, video),
        blocks=checkpoint.count("encoder.down.0.block.{}"),
        mid_blocks=checkpoint.count("encoder.mid_block.{}"),
        **(_VIDEO if video else _IMAGE),
    )
    return fields, dict(bits=checkpoint.outputs("encoder.conv_out", video), entropy_groups=1)


def _strides(multipliers: Sequence[int], video: bool) -> list[list[int]]:
    """Every level halves space, and one of a video model halves time too unless its multiplier is 1."""
    return [[2 if video and multiplier != 1 else 1, 2, 2] for multiplier in multipliers[:-1]]


class Checkpoint:
    """Tensors, asked for by the keys of the raw weights whichever weights are read."""

    def __init__(self, tensors: Mapping[str, Any], source: str, weights: str | None):
        averaged = any(key.startswith(EMA + "encoder") for key in tensors)
        if weights is None:
            weights = "ema" if averaged else "raw"
        if weights not in WEIGHTS:
            raise UserError(f"weights: {weights!r}; expected one of {', '.join(WEIGHTS)}")
        if weights == "ema" and not averaged:
            raise UserError(
                f"{source}: no key begins with {EMA}encoder; expected a moving average, or --weights=raw"
            )
        self.tensors, self.source, self.weights = tensors, source, weights

    def spell(self, key: str) -> str:
        return ema_key(key) if self.weights == "ema" else key

    def refuse(self, key: str, why: str) -> NoReturn:
        raise UserError(f"{self.source}: key {self.spell(key)} {why}")

    def outputs(self, convolution: str, video: bool) -> int:
        """Channels that come out of a convolution."""
        key = f"{convolution}{'.conv_1' if video else ''}.weight"
        if self.spell(key) not in self.tensors:
            self.refuse(key, "is missing; expected a tokenizer of Open-MAGVIT2")
        shape = list(getattr(self.tensors[self.spell(key)], "shape", ()))
        if len(shape) != (5 if video else 4) or min(shape) < 1:
            self.refuse(key, f"is {shape}; expected a convolution's kernel")
        return shape[0]

    def count(self, name: str) -> int:
        """How many there are of "encoder.down.{}", which are numbered from 0."""
        pattern = re.compile(re.escape(self.spell(name)).replace(r"\{\}", r"(\d+)"))
        found = {int(match[1]) for match in map(pattern.match, self.tensors) if match}
        return next(number for number in range(len(found) + 1) if number not in found)

    def take(self, key: str, shape: tuple[int, ...]) -> np.ndarray:
        """One tensor as float32."""
        return take(self.tensors, self.spell(key), shape, self.source)

    def refuse_others(self, keys: Collection[str]) -> None:
        """Refuses the first key that is not among `keys`, their moving averages, or what is known to be no use."""
        known = {*keys, *map(ema_key, keys)}
        for key in self.tensors:
            if key not in known and not key.startswith(IGNORED):
                raise UserError(f"{self.source}: key {key} is none of an Open-MAGVIT2 tokenizer of this size")


def _require_same_architecture(model: TokenizerModel) -> bool:
    """Whether it is a video model; UserError naming the first field that Open-MAGVIT2 does not have."""
    if not isinstance(model, MagvitV2):
        raise UserError(
            f"model.architecture: a {type(model).__name__} has no Open-MAGVIT2 names; expected magvit2"
        )
    if not isinstance(model.quantizer, LookupFreeQuantizer):
        raise UserError("model.quantizer.name: Open-MAGVIT2 has no codebook; expected lfq")
    video = model.time_kernel != 1
    wanted = dict(_VIDEO if video else _IMAGE, mid_blocks=model.blocks)
    wanted["strides"] = tuple(map(tuple, _strides(model.channel_multipliers, video)))
    if not video:  # what these say is of time: to one frame they all mean the same
        del wanted["statistics"], wanted["kept_frame"]
    for field, value in wanted.items():
        found = getattr(model, field)
        found = tuple(map(tuple, found)) if field == "strides" else found
        if found != value:
            raise UserError(f"model.{field} is {found!r}; Open-MAGVIT2's names need {value!r}")
    return video
