"""Class-conditional images (thesis 5.4.2): a folder of images, an image tokenizer, a transformer, images of a class."""

import numpy as np
import pytest
import tiny_models
from PIL import Image

import magvit_jax
from magvit_jax.cli.config_files import load_config
from magvit_jax.errors import UserError

SHARED = (
    "data.batch_size=8",
    "data.eval_batch_size=4",
    "data.eval_clips=4",
    "data.workers=0",
    "data.held_out=0.25",
    "model.dtype=float32",
    "optimizer.warmup_steps=0",
    "training.steps=2",
    "training.checkpoint_every=2",
    "training.eval_every=0",
)
TOKENIZER = (
    "data.height=16",
    "data.width=16",
    "model.remat=False",
    "model.base_channels=8",
    "model.channel_multipliers=(1,1)",
    "model.strides=((1,2,2),)",
    "model.blocks=1",
    "model.mid_blocks=0",
    "model.norm_groups=4",
    "model.quantizer.entropy_groups=2",
    "adversarial.weight=0.0",
    "perceptual.weight=0.0",
    "training.sample_every=0",
)
# Trained on 16x16 pixels and used at 32x32, as the published tokenizer of 32x is at twice its size.
TRANSFORMER = (
    "data.height=32",
    "data.width=32",
    "model.remat=none",
    "model.width=16",
    "model.layers=1",
    "model.heads=2",
    "model.mlp_dim=32",
    "tasks.class_conditional.decoding.steps=3",
    "training.sample_every=2",
)


def run(name, workdir, *values):
    config = load_config(name, [f"--config.{value}" for value in (*SHARED, *values)])
    return tiny_models.quiet_train(config, workdir)


@pytest.fixture(scope="module")
def generator(tmp_path_factory):
    """Of the workdir of two tiny runs, with the shipped configs' quantizer, factors, decoding and class dropout."""
    root = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    for name, colour in (("blue", (20, 40, 230)), ("red", (230, 40, 20))):
        (root / "data" / name).mkdir(parents=True)
        for number in range(8):
            pixels = np.clip(rng.normal(colour, 20, (40, 32, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(root / "data" / name / f"{number}.png")
    run("magvit2/image_tokenizer:16x", root / "tokenizer", f"data.path={root / 'data'}", *TOKENIZER)
    data = (f"data.path={root / 'data'}", f"tokenizer={root / 'tokenizer'}")
    state = run("magvit2/masked_image:512", root / "generator", *data, *TRANSFORMER)
    assert int(state.step) == 2 and int(state.skipped) == 0
    assert (root / "generator" / "samples" / "step_0000002.png").exists()
    return magvit_jax.load_generator(root / "generator")


def test_the_published_settings_arrive(generator):
    assert generator.tasks == ("class_conditional",) and generator.class_names == ("blue", "red")
    assert generator.mixture.grid.shape == (1, 16, 16)
    assert (generator.transformer.codes, generator.transformer.factors) == (2**18, 2)
    decoding = generator.decoding["class_conditional"]
    assert (decoding.guidance_scale, decoding.temperature) == (25.0, 15.0)
    assert (decoding.guidance_schedule, decoding.guidance_power) == ("power_cosine", 4.0)


def test_images_of_a_class(generator):
    """Images, not clips; the same for a seed, however they are batched, and another for another label or seed."""
    images = generator.generate("class_conditional", label=["red", "blue", 1], seed=3)
    assert images.shape == (3, 32, 32, 3) and images.dtype == np.float32
    assert 0 <= images.min() and images.max() <= 1
    ids = generator.generate_ids("class_conditional", label=["red", "blue", 1], seed=3)
    assert ids.shape == (3, 1, 16, 16) and ids.min() >= 0 and 512 < ids.max() < 2**18
    alone = generator.generate_ids("class_conditional", label="blue", seed=3, first=1)
    np.testing.assert_array_equal(alone[0], ids[1])
    assert (generator.generate_ids("class_conditional", label="red", seed=4)[0] != ids[0]).any()
    with pytest.raises(UserError, match="label 'green' is unknown; expected one of blue, red"):
        generator.generate("class_conditional", label="green")


def test_guidance_needs_a_class_and_turns_towards_it(generator):
    """With the guidance off, or without a label, the scale does nothing; with both it changes the tokens."""

    def ids(label, scale):
        return generator.generate_ids(
            "class_conditional", label=label, num=2, guidance_scale=scale, temperature=0.0
        )

    np.testing.assert_array_equal(ids(None, 0.0), ids(None, 1e4))
    assert (ids("red", 0.0) != ids("red", 1e4)).any()
    assert (ids("blue", 1e4) != ids("red", 1e4)).any()
