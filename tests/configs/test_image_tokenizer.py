"""The image tokenizers of MAGVIT-v2 at full size, under `eval_shape` only."""

import math

import jax
import jax.numpy as jnp
import pytest

from magvit_jax import systems
from magvit_jax.cli.config_files import load_config

# ml_collections loads config files by a function that Python wants to retire.
pytestmark = pytest.mark.filterwarnings("ignore:the load_module:DeprecationWarning")


@pytest.mark.parametrize(
    ("variant", "trained", "used", "count"),
    [("8x", 128, 128, 112_021_781), ("16x", 256, 256, 115_127_957), ("32x", 256, 512, 164_711_573)],
)
def test_an_image_is_16x16_tokens(variant, trained, used, count):
    """5.4.2: 16x and 32x are trained on 256x256 images, 32x is used at 512x512. The counts are a record."""
    config = load_config(f"magvit2/image_tokenizer:{variant}")
    assert (config.data.frames, config.data.height, config.data.width) == (1, trained, trained)
    system = systems.build(config)
    assert system.model.latent_shape(1, used, used) == (1, 16, 16)
    assert system.model.codebook_size == 262_144
    params = system.abstract_params()
    assert sum(math.prod(x.shape) for x in jax.tree.leaves(params)) == count
    image = jax.ShapeDtypeStruct((2, 1, trained, trained, 3), jnp.float32)
    output, _ = jax.eval_shape(system.model.apply, {"params": params}, image)
    assert output.shape == image.shape


def test_trained_for_270_epochs_of_imagenet():
    config = load_config("magvit2/image_tokenizer")
    assert config.training.steps == 270 * 1_281_167 // 256 and config.data.batch_size == 256


def test_the_smallest_one_is_the_video_tokenizer_without_time():
    """Every parameter of the video tokenizer has its counterpart to be inflated from."""
    image, video = (
        systems.build(load_config(f"magvit2/{name}")).abstract_params()
        for name in ("image_tokenizer:8x", "video_tokenizer")
    )
    assert jax.tree.structure(image) == jax.tree.structure(video)

    def check(path, image, video):
        name = jax.tree_util.keystr(path)
        if "kernel" in name and len(image.shape) == 5:
            *taps, inputs, outputs = video.shape
            times = (
                2 if "_up" in name and outputs != image.shape[-1] else 1
            )  # frames that depth-to-space makes
            assert image.shape == (1, *taps[1:], inputs, outputs // times), name
        elif "_up" not in name:
            assert image.shape == video.shape, name

    jax.tree_util.tree_map_with_path(check, image, video)
