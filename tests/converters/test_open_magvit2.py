"""Open-MAGVIT2's tensors as our parameters and back: names, shapes, layouts, choice of weights, refusals."""

import hashlib
import math

import flax.traverse_util
import jax.numpy as jnp
import numpy as np
import pytest
from open_magvit2_keys import PUBLISHED, Settings, random_tensors, tensors

from magvit_jax.converters.open_magvit2 import (
    Checkpoint,
    expected_tensors,
    from_tensors,
    published_clip,
    read_fields,
    to_tensors,
)
from magvit_jax.errors import UserError
from magvit_jax.tokenizer import lfq
from magvit_jax.tokenizer.magvit2 import MagvitV2
from magvit_jax.tokenizer.quantizer import LookupFreeQuantizer, VectorQuantizer
from magvit_jax.tokens.factorize import split_widths

IMAGE = Settings(32, (1, 2), 1, 5, video=False)
VIDEO = Settings(32, (1, 2, 1), 1, 5, video=True)


def averages(weights):
    """The same tensors as a training checkpoint keeps them in its moving average."""
    return {"model_ema." + name.replace(".", ""): value for name, value in weights.items()}


def module(converted):
    fields = {name: value for name, value in converted.model.items() if name not in ("architecture", "dtype")}
    quantizer = {name: value for name, value in fields.pop("quantizer").items() if name != "name"}
    return MagvitV2(**fields, quantizer=LookupFreeQuantizer(**quantizer))


@pytest.mark.parametrize("name", PUBLISHED)
@pytest.mark.parametrize("averaged", [False, True])
def test_param_count_keys_and_shapes_of_the_released_models(name, averaged):
    """Every published key is one parameter of ours, in the published shape, and none is left over on either side."""
    settings, number, size, digest = PUBLISHED[name]
    published = tensors(settings)
    lines = "".join(f"{key} {list(shape)}\n" for key, shape in published.items())
    assert (len(published), hashlib.sha256(lines.encode()).hexdigest()[:16]) == (number, digest)
    shapes = {key: np.broadcast_to(np.float32(0), shape) for key, shape in published.items()}
    fields, quantizer = read_fields(Checkpoint(averages(shapes) if averaged else shapes, name, None))
    model = MagvitV2(**fields, quantizer=LookupFreeQuantizer(**quantizer))
    ours = expected_tensors(model)
    assert dict(ours.values()) == published and len(ours) == number
    assert sum(math.prod(shape) for _, shape in ours.values()) == size
    millions, clip = {
        "imagenet_256": (115.1, (1, 256, 256)),
        "imagenet_128": (112.0, (1, 128, 128)),
        "ucf101_128": (370.5, (17, 128, 128)),
    }[name]
    assert size == pytest.approx(millions * 1e6, rel=0.005)
    assert published_clip(model).shape == clip
    assert model.latent_shape(*clip) == (5 if settings.video else 1, 16, 16)


def test_fields_are_read_off_the_shapes():
    settings = Settings(64, (1, 1, 2, 4), 3, 7, video=True)
    converted = from_tensors(random_tensors(settings), "x")
    assert converted.model == dict(
        architecture="magvit2",
        base_channels=64,
        channel_multipliers=[1, 1, 2, 4],
        strides=[[1, 2, 2], [1, 2, 2], [2, 2, 2]],
        blocks=3,
        mid_blocks=3,
        quantizer=dict(name="lfq", bits=7, entropy_groups=1),
        patch=1,
        adaptive_norm="moments",
        norm_groups=32,
        statistics="clip",
        downsampler="strided",
        upsampler="depth_to_space",
        kept_frame="first",
        time_kernel=3,
        stem_bias=False,
        dtype="float32",
    )
    assert converted.clip.shape == (9, 128, 128)
    image = from_tensors(random_tensors(IMAGE), "x")
    expected = dict(statistics="frame", time_kernel=1, strides=[[1, 2, 2]], channel_multipliers=[1, 2])
    assert {name: image.model[name] for name in expected} == expected
    assert image.clip.shape == (1, 32, 32) and not module(converted).causal


def test_layouts_element_by_element():
    weights = random_tensors(VIDEO)
    params = from_tensors(weights, "x").params
    out, into, t, h, w = 3, 5, 0, 2, 1
    theirs = weights["encoder.down.1.block.0.nin_shortcut.conv_1.weight"]
    assert (
        params["encoder"]["level1_block0"]["shortcut"]["kernel"][0, 0, 0, into, out]
        == theirs[out, into, 0, 0, 0]
    )
    theirs = weights["decoder.up.2.upsample.conv1.conv_1.weight"]
    assert params["decoder"]["level2_up"]["conv"]["kernel"][t, h, w, into, out] == theirs[out, into, t, h, w]
    theirs = weights["decoder.adaptive.1.gamma.weight"]
    assert params["decoder"]["level1_adapt"]["gamma"]["kernel"][4, out] == theirs[out, 4]
    image = random_tensors(IMAGE)
    ours = from_tensors(image, "x").params["encoder"]["level0_down"]["conv"]
    assert ours["kernel"][0, h, w, into, out] == image["encoder.down.0.downsample.weight"][out, into, h, w]
    np.testing.assert_array_equal(ours["bias"], image["encoder.down.0.downsample.bias"])


@pytest.mark.parametrize("settings", [IMAGE, VIDEO])
def test_there_and_back_bit_for_bit(settings):
    weights = random_tensors(settings)
    converted = from_tensors(weights, "x")
    back = to_tensors(module(converted), converted.params)
    assert set(back) == set(weights)
    for key, value in weights.items():
        assert back[key].dtype == np.float32 and back[key].flags.c_contiguous
        np.testing.assert_array_equal(back[key], value)
    again = from_tensors(back, "x")
    assert again.model == converted.model
    first, second = (flax.traverse_util.flatten_dict(tree.params) for tree in (converted, again))
    assert first.keys() == second.keys()
    for path, value in first.items():
        np.testing.assert_array_equal(second[path], value)


def test_the_moving_average_is_taken_where_there_is_one():
    raw, average = random_tensors(IMAGE, seed=0), random_tensors(IMAGE, seed=1)
    others = {
        "model_ema.decay": np.float32(0.999),
        "model_ema.num_updates": np.int32(7),
        "model_ema.lossdiscriminatormain0weight": np.zeros(3, np.float32),
        "loss.discriminator.main.0.weight": np.zeros(3, np.float32),
        "loss.logvar": "not even a tensor",
    }
    checkpoint = raw | averages(average) | others
    expected = {"ema": average, "raw": raw}
    for asked, weights in ((None, "ema"), ("ema", "ema"), ("raw", "raw")):
        converted = from_tensors(checkpoint, "x", asked)
        assert (converted.weights, converted.ignored) == (weights, len(raw) + len(others))
        kernel = expected[weights]["encoder.conv_in.weight"]
        np.testing.assert_array_equal(
            converted.params["encoder"]["conv_in"]["kernel"][0].transpose(3, 2, 0, 1), kernel
        )
    assert (from_tensors(raw | others, "x").weights, from_tensors(raw, "x").ignored) == ("raw", 0)
    with pytest.raises(UserError, match="no key begins with model_ema.encoder; expected a moving average"):
        from_tensors(raw, "x", "ema")
    with pytest.raises(UserError, match="weights: 'best'; expected one of ema, raw"):
        from_tensors(raw, "x", "best")


def test_half_precision_becomes_float32():
    weights = {key: value.astype(np.float16) for key, value in random_tensors(IMAGE).items()}
    kernel = from_tensors(weights, "x").params["decoder"]["conv_in"]["bias"]
    assert kernel.dtype == np.float32
    np.testing.assert_array_equal(kernel, weights["decoder.conv_in.bias"].astype(np.float32))


MIDDLE = "encoder.mid_block.0.conv2.weight"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({MIDDLE: None}, f"key {MIDDLE} is missing; expected a tensor [64, 64, 3, 3]"),
        (
            {"encoder.conv_in.weight": None},
            "key encoder.conv_in.weight is missing; expected a tokenizer of Open-MAGVIT2",
        ),
        ({"decoder.adaptive.1.beta.bias": None}, "key decoder.adaptive.1.beta.bias is missing"),
        (
            {MIDDLE: np.zeros((64, 64, 1, 1), np.float32)},
            f"key {MIDDLE} is [64, 64, 1, 1]; expected [64, 64, 3, 3]",
        ),
        ({MIDDLE: np.zeros((64, 64, 3, 3), np.int32)}, f"key {MIDDLE} is int32; expected a tensor of floats"),
        ({MIDDLE: {"a": 1}}, f"key {MIDDLE} is dict; expected a tensor of floats"),
        ({MIDDLE: np.full((64, 64, 3, 3), np.nan, np.float32)}, f"key {MIDDLE} holds NaN or infinity"),
        (
            {"encoder.mid.attn_1.q.weight": np.zeros(3, np.float32)},
            "key encoder.mid.attn_1.q.weight is none of",
        ),
        (
            {"decoder.up.1.block.1.norm1.weight": np.zeros(64, np.float32)},
            "key decoder.up.1.block.1.norm1.weight is none",
        ),
        (
            {"encoder.down.0.block.5000000000.norm1.weight": np.zeros(32, np.float32)},
            "block.5000000000.norm1.weight is none",
        ),
        ({"cond_stage.x": 3}, "key cond_stage.x is none of an Open-MAGVIT2 tokenizer of this size"),
        (
            {"encoder.conv_out.weight": np.zeros((5, 64), np.float32)},
            "conv_out.weight is [5, 64]; expected a convolution's",
        ),
        ({"encoder.conv_out.weight": np.zeros((40, 64, 1, 1), np.float32)}, "quantizer.bits is 40"),
        (
            {"encoder.down.1.block.0.conv1.weight": np.zeros((48, 32, 3, 3), np.float32)},
            "conv1 has 48 outputs; expected a multiple of 32",
        ),
    ],
)
def test_what_does_not_fit_is_refused_by_its_first_key(change, message):
    weights = random_tensors(IMAGE) | change
    weights = {key: value for key, value in weights.items() if value is not None}
    with pytest.raises(UserError) as refused:
        from_tensors(weights, "some.ckpt")
    assert str(refused.value).startswith("some.ckpt: ") and "\n" not in str(refused.value)
    assert message in str(refused.value)


def test_a_moving_average_with_a_hole_is_not_filled_from_the_raw_weights():
    raw = random_tensors(IMAGE)
    average = averages(raw)
    del average["model_ema.decodernorm_outbias"]
    with pytest.raises(
        UserError, match=r"x: key model_ema.decodernorm_outbias is missing; expected a tensor \[32\]"
    ):
        from_tensors(raw | average, "x")


def test_an_image_kernel_in_a_video_model_is_refused():
    weights = random_tensors(VIDEO)
    weights["decoder.conv_in.conv_1.weight"] = weights["decoder.conv_in.conv_1.weight"][:, :, 0]
    with pytest.raises(
        UserError, match=r"decoder.conv_in.conv_1.weight is \[32, 5, 3, 3\]; expected \[32, 5, 3, 3, 3\]"
    ):
        from_tensors(weights, "x")


def test_widths_that_32_groups_do_not_divide_are_refused():
    with pytest.raises(UserError, match="x: norm_groups 32 does not divide the 48 channels"):
        from_tensors(random_tensors(Settings(48, (1, 2), 1, 5, video=False)), "x")


@pytest.mark.parametrize(
    ("settings", "fields", "message"),
    [
        (VIDEO, dict(statistics="frame"), "model.statistics is 'frame'; Open-MAGVIT2's names need 'clip'"),
        (
            VIDEO,
            dict(adaptive_norm="pooled"),
            "model.adaptive_norm is 'pooled'; Open-MAGVIT2's names need 'moments'",
        ),
        (VIDEO, dict(kept_frame="last"), "model.kept_frame"),
        (VIDEO, dict(stem_bias=True), "model.stem_bias is True"),
        (VIDEO, dict(mid_blocks=2), "model.mid_blocks is 2; Open-MAGVIT2's names need 1"),
        (
            VIDEO,
            dict(strides=((2, 2, 2), (1, 2, 2))),
            "model.strides is ((2, 2, 2), (1, 2, 2)); Open-MAGVIT2's",
        ),
        (VIDEO, dict(time_kernel=5), "model.time_kernel is 5"),
        (VIDEO, dict(downsampler="average"), "model.downsampler"),
        (IMAGE, dict(upsampler="nearest"), "model.upsampler"),
        (IMAGE, dict(norm_groups=16), "model.norm_groups is 16"),
        (IMAGE, dict(patch=2), "model.patch is 2"),
        (IMAGE, dict(quantizer=VectorQuantizer(32, 5)), "model.quantizer.name: Open-MAGVIT2 has no codebook"),
    ],
)
def test_a_model_that_their_names_cannot_hold_is_refused_by_its_first_field(settings, fields, message):
    converted = from_tensors(random_tensors(settings), "x")
    with pytest.raises(UserError) as refused:
        to_tensors(module(converted).clone(**fields), converted.params)
    assert message in str(refused.value) and "\n" not in str(refused.value)


def test_an_image_model_may_say_anything_about_time():
    converted = from_tensors(random_tensors(IMAGE), "x")
    model = module(converted).clone(statistics="clip", kept_frame="first")
    assert set(to_tensors(model, converted.params)) == set(tensors(IMAGE))


def test_bits_and_factors_written_out():
    """Channel i is bit i; of the two tokens of 6 and 12 bits the first holds the first six channels."""
    z = -np.ones((1, 1, 1, 1, 18), np.float32)
    z[..., [0, 2, 6, 17]] = 0.5
    ids = lfq.codes_to_ids(lfq.quantize(jnp.asarray(z)))
    assert ids[0, 0, 0, 0] == 1 + 4 + 64 + 131072
    np.testing.assert_array_equal(split_widths(ids, (6, 12))[0, 0, 0, 0], [1 + 4, 1 + 2048])
