"""CLIP: what its features depend on, its pictures against Pillow, and a bundle with its vocabulary."""

import dataclasses

import flax.traverse_util
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image
from random_params import random_params

from magvit_jax.converters.pretrained import CONVERTERS, Source, clip
from magvit_jax.converters.pretrained.files import vocabulary
from magvit_jax.errors import UserError
from magvit_jax.pretrained import NETWORKS, networks, weights
from magvit_jax.pretrained.clip import CLIP_SIZES, ClipSize, ClipTextTower
from magvit_jax.pretrained.clip_images import MEAN, STD, clip_images
from magvit_jax.pretrained.encoders import ClipEncoder

MERGES = b"#version: 0.2\na n</w>\no w\n"
TINY = ClipSize(
    image_size=16,
    patch=8,
    image_width=64,
    image_layers=1,
    text_width=64,
    text_layers=2,
    vocabulary=516,
    context=7,
    features=10,
)


def random_texts(tower, ids):
    params = random_params(tower, ids)
    return jax.jit(lambda x: tower.apply({"params": params}, x))


def test_text_features_are_those_of_the_first_end_mark():
    ids = np.array([[514, 5, 7, 515, 0, 0, 0]], np.int32)
    features = random_texts(ClipTextTower(TINY, jnp.float32), ids)
    after, before, end = ids.copy(), ids.copy(), ids.copy()
    after[0, 4:] = 515, 9, 0
    before[0, 1] = 6
    end[0, 3:5] = 3, 515
    expected = features(ids)
    np.testing.assert_array_equal(features(after), expected)
    for other in (before, end):
        assert np.abs(features(other) - expected).max() > 1e-3


def test_ids_and_pictures_of_another_size_are_refused():
    tower = ClipTextTower(TINY, jnp.float32)
    with pytest.raises(UserError, match="ids of shape .1, 6.: expected 7 ids a text"):
        tower.init(jax.random.key(0), np.zeros((1, 6), np.int32))
    with pytest.raises(UserError, match=r"images of shape \(1, 16, 15, 3\): expected \[B, \*\[16, 16, 3\]\]"):
        networks.abstract_params(
            dataclasses.replace(
                tiny_definition(), example=(jnp.zeros((1, 16, 15, 3)), tiny_definition().example[1])
            )
        )


def tiny_definition():
    return networks.Definition(
        networks.LANGUAGE["clip_vit_b32"](jnp.float32).module.clone(size=TINY),
        (jax.ShapeDtypeStruct((1, 16, 16, 3), jnp.float32), jax.ShapeDtypeStruct((1, 7), jnp.int32)),
    )


def pillow(image_HWC, resized, top, left):
    image = Image.fromarray(image_HWC).resize(resized[::-1], Image.Resampling.BICUBIC)
    return np.asarray(image)[top : top + 32, left : left + 32]


@pytest.mark.parametrize(
    "shape, resized, top, left",
    [
        ((70, 51), (43, 32), 6, 0),  # 43.9 rows; 5.5 go to the even number, as Python rounds in torchvision
        ((20, 37), (32, 59), 0, 14),
        ((22, 28), (32, 40), 0, 4),
        ((32, 50), (32, 50), 0, 9),
    ],
)
def test_pictures_are_pillows_bicubic_and_the_middle(shape, resized, top, left):
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (*shape, 3), dtype=np.uint8)
    smooth = np.linspace(0, 255, noise.size).reshape(noise.shape).astype(np.uint8)
    found = np.asarray(clip_images(jnp.asarray(np.stack([noise, smooth])), 32))
    assert found.shape == (2, 32, 32, 3) and found.dtype == np.float32
    pixels = (found * np.float32(STD) + np.float32(MEAN)) * 255
    expected = np.stack([pillow(image, resized, top, left) for image in (noise, smooth)]).astype(np.float32)
    difference = np.abs(pixels - expected)
    assert difference.max() < 1.01  # a rounded half
    assert (difference > 0.01).mean() < 0.01


def test_float_pictures_are_rounded_to_those_of_uint8():
    pixels = np.random.default_rng(0).integers(0, 256, (1, 9, 9, 3), dtype=np.uint8)
    near = (pixels / 255.0 + 0.001).clip(0, 1).astype(np.float32)
    np.testing.assert_array_equal(clip_images(jnp.asarray(near), 8), clip_images(jnp.asarray(pixels), 8))
    with pytest.raises(UserError, match="images of type int32: expected uint8"):
        clip_images(jnp.zeros((1, 9, 9, 3), jnp.int32), 8)
    with pytest.raises(UserError, match=r"shape \[9, 9, 3\]"):
        clip_images(jnp.zeros((9, 9, 3)), 8)


def random_tensors():
    """Hugging Face's tensors of a tiny CLIP."""
    rng = np.random.default_rng(0)
    tensors = {"text_model.embeddings.position_ids": np.arange(7)[None]}
    for path, leaf in networks.abstract_params(tiny_definition()).items():
        keys, shape = clip.keys_of(path), tuple(leaf.shape)
        if len(keys) == 3:
            shape = (64,) if path.endswith("bias") else (64, 64)
        elif path.endswith("out_kernel"):
            shape = (64, 64)
        elif path.endswith("patch/kernel"):
            shape = shape[3], shape[2], *shape[:2]
        elif len(shape) == 2 and not path.endswith("embedding"):
            shape = shape[::-1]
        tensors |= {key: rng.normal(0, 0.2, shape).astype(np.float32) for key in keys}
    return tensors


@pytest.fixture
def tiny(monkeypatch):
    """The released network's name stands for a tiny one."""
    monkeypatch.setitem(CLIP_SIZES, "clip_vit_b32", TINY)
    return "clip_vit_b32"


def test_queries_keys_and_values_element_by_element(tiny):
    tensors = random_tensors()
    arrays = CONVERTERS[tiny](Source(tensors, "x"), vocabulary(MERGES, "merges.txt"))
    kernel = arrays["text/layer1/attention/qkv_kernel"]
    assert kernel.shape == (64, 3, 1, 64)
    for part, letter in enumerate("qkv"):
        theirs = tensors[f"text_model.encoder.layers.1.self_attn.{letter}_proj.weight"]
        assert kernel[5, part, 0, 9] == theirs[9, 5]
    theirs = tensors["vision_model.embeddings.patch_embedding.weight"]
    assert arrays["image/patch/kernel"][1, 2, 0, 30] == theirs[30, 0, 1, 2]


def test_bundle_with_its_vocabulary(tiny, tmp_path):
    arrays = CONVERTERS[tiny](Source(random_tensors(), "x"), vocabulary(MERGES, "merges.txt"))
    weights.write(arrays, NETWORKS[tiny], tmp_path)
    encoder = ClipEncoder.load(tiny, tmp_path)
    images = np.random.default_rng(1).integers(0, 256, (2, 20, 24, 3), dtype=np.uint8)
    texts = ["an owl", "owl"]
    ids = encoder.tokenizer(texts, truncate=False)
    assert ids[0, :3].tolist() == [514, 512, 513] and ids.max() == 515
    params = flax.traverse_util.unflatten_dict(
        {path: value for path, value in arrays.items() if path != weights.VOCABULARY}, sep="/"
    )
    module = tiny_definition().module
    both = jax.jit(module.apply)({"params": params}, clip_images(jnp.asarray(images), 16), jnp.asarray(ids))
    np.testing.assert_allclose(encoder.images(images), both[0], atol=1e-5)
    np.testing.assert_allclose(encoder.encode_texts(texts), both[1], atol=1e-5)
    assert encoder.images.fingerprint == encoder.texts.fingerprint


def test_checkpoints_that_do_not_fit_are_refused(tiny):
    merges = vocabulary(MERGES, "merges.txt")
    more = random_tensors() | {"vision_model.head.weight": np.zeros(3, np.float32)}
    with pytest.raises(UserError, match=r"x: key vision_model.head.weight is none of a CLIP of this size"):
        CONVERTERS[tiny](Source(more, "x"), merges)
    fewer = random_tensors()
    del fewer["text_model.encoder.layers.1.self_attn.k_proj.bias"]
    with pytest.raises(UserError, match=r"x: key text_model.*layers.1.self_attn.k_proj.bias is missing"):
        CONVERTERS[tiny](Source(fewer, "x"), merges)
    with pytest.raises(UserError, match="merges.txt: 1 lines of two symbols after the first; expected 2"):
        CONVERTERS[tiny](Source(random_tensors(), "x"), vocabulary(MERGES[:-5], "merges.txt"))
