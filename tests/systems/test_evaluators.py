"""What the systems measure and show while they train."""

import numpy as np
import pytest

import magvit_jax
from magvit_jax import bundles, data, metrics, systems


@pytest.fixture(scope="module")
def batches(tiny):
    config = tiny.tokenizer.config.data
    spec = data.ClipSpec.from_config(config)
    return list(data.eval_batches(data.build_source(config, "test"), spec, batch_size=8, num=12))


@pytest.fixture(scope="module")
def generator_system(tiny):
    tokenizer = bundles.build_tokenizer(bundles.read(tiny.tokenizer.bundle))
    return systems.build(tiny.generator.config, tokenizer=tokenizer, num_classes=10)


def test_reconstruction_is_that_of_the_shipped_tokenizer(tiny, batches):
    system, tokenizer = systems.build(tiny.tokenizer.config), magvit_jax.load_tokenizer(tiny.tokenizer.bundle)
    values = system.evaluate_reconstruction(tiny.tokenizer.state.system, batches)
    video = np.concatenate([batch["video"] for batch in batches])
    assert values["psnr"] == pytest.approx(metrics.psnr(video, np.asarray(tokenizer.reconstruct(video))).mean())
    assert values["codebook_use"] == len(np.unique(tokenizer.encode(video))) / 64
    pictures = system.sample(tiny.tokenizer.state.system, batches[1])
    np.testing.assert_array_equal(pictures["original"], batches[1]["video"])
    expected = np.asarray(tokenizer.reconstruct(batches[1]["video"])) * 255
    np.testing.assert_allclose(pictures["reconstruction"], expected, atol=0.51)


def test_frame_prediction_is_over_unseen_frames(tiny, batches, generator_system):
    state = tiny.generator.state.system
    values = generator_system.evaluate_frame_prediction(state, batches)
    video = np.concatenate([batch["video"] for batch in batches])
    repeated = metrics.repeat_frame(video, 4)
    assert values["psnr_repeat_last"] == pytest.approx(metrics.psnr(video[:, 5:], repeated[:, 5:]).mean())
    pictures = generator_system.sample(state, batches[1])
    assert set(pictures) == {"original", "frame_prediction", "class_conditional"}
    tokenizer = generator_system.tokenizer
    given = np.asarray(tokenizer.reconstruct(batches[1]["video"]))[:, :5] * 255
    # Frames that were given are the tokenizer's, in float32 and then in bytes.
    np.testing.assert_allclose(pictures["frame_prediction"][:, :5], given, atol=0.51)


def test_the_validation_loss_is_that_of_an_untrained_model(tiny, batches, generator_system):
    values = generator_system.evaluate_loss(tiny.generator.state.system, batches)
    assert values["loss"] == pytest.approx(np.log(64), rel=0.05)  # four steps teach next to nothing
    again = generator_system.evaluate_loss(tiny.generator.state.system, batches)
    assert values == again  # masks come from the clips' numbers
