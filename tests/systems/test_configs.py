"""From config to system: names that do not exist are refused by name."""

import pytest
from tiny_models import tiny_config

from magvit_jax import systems
from magvit_jax.errors import UserError
from magvit_jax.systems.pixels import to_float, to_uint8


def test_kinds():
    assert systems.kind(tiny_config("tokenizer")) == "tokenizer"
    assert systems.kind(tiny_config("generator")) == "generator"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("system=video_tokeniser", "system: 'video_tokeniser'; expected one of video_tokenizer, masked_video"),
        ("model.dtype=float16", "model.dtype: 'float16'; expected one of float32, bfloat16"),
        ("data.frames=8", "cannot tokenize 8 frames of 16x16"),
        ("model.norm_groups=5", "norm_groups 5 does not divide the 8 channels"),
        ("optimizer.name=sgd", "sgd"),
    ],
)
def test_what_does_not_exist_is_named(change, message):
    with pytest.raises(UserError, match=message):
        systems.build(tiny_config("tokenizer", change))


def test_a_generator_without_tokenizer_is_refused():
    with pytest.raises(UserError, match="needs config.tokenizer"):
        systems.build(tiny_config("generator"), num_classes=3)


def test_pixels_survive_the_way_to_float_and_back():
    every = list(range(256))
    assert to_uint8(to_float(to_uint8([x / 255 for x in every]))).tolist() == every
    assert to_uint8([-0.5, 0.5, 1.5]).tolist() == [0, 128, 255]
