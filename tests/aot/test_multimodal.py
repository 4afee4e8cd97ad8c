"""The programs of VideoPoet that are compiled ahead of time, on the simulated devices: traced, and not compiled."""

import dataclasses
import math
import re

import jax
import pytest
import tiny_multimodal_system as example

from magvit_jax.aot.sound_tokenizer import AbstractSoundTokenizer, read_sound_tokenizer
from magvit_jax.aot.step import Request, abstract_batch, build_step, build_system, flops_per_batch
from magvit_jax.cli.config_files import load_config
from magvit_jax.errors import UserError

# ml_collections loads config files by a function that Python wants to retire.
pytestmark = pytest.mark.filterwarnings("ignore:the load_module:DeprecationWarning")

TASKS = ("text_to_video", "video_to_audio")
WORDS = tuple("abc")


def request_of(*overrides, **fields):
    weights = (f"tasks.{name}.weight={float(name in TASKS)}" for name in example.SEQUENCE_TASKS)
    config = example.config_of(*weights, "mesh.data=4", "mesh.tensor=2", "data.eval_batch_size=4", *overrides)
    with config.unlocked():
        config.text.words = WORDS
    return Request(config, example.VISUAL, "", sound=example.AUDIBLE, **fields)


def test_a_step_is_traced_with_all_that_its_batch_needs():
    request = request_of()
    system = build_system(request.config, request.tokenizer, 0, "train", request.sound)
    assert system.vocabulary.text_ids == 1 + len(WORDS)
    batch = abstract_batch(system, request.config, 8)
    assert set(batch) == set(system.data_keys) >= {"video", "audio", "has_audio", "text_ids", "text_count"}
    step = build_step(request, jax.devices())
    assert step.batch == 8 and math.prod(step.mesh.devices.shape) == 8
    text = step.lower().as_text()
    bucket, vocabulary = system.rows.buckets[0], system.vocabulary.size
    assert f"tensor<8x{bucket.row_length}x16xf32>" in text
    # Logits of 16 ids of each of four devices at a time, as many numbers as its copied rows have.
    shapes = [tuple(map(int, found.split("x")[:-1])) for found in re.findall(r"tensor<((?:\d+x)+)f32>", text)]
    logits = max(math.prod(shape) // vocabulary for shape in shapes if vocabulary in shape)
    assert logits == 4 * 16 < 8 * bucket.row_outputs


def test_a_batch_of_images_has_as_many_rows():
    """Five images a row; no sound, and less work than videos of as many rows."""
    request = request_of("data.images.source=frames", "tasks.text_to_image.weight=1.0", what="train-images")
    step = build_step(request, jax.devices())
    [images] = [x for x in jax.tree.leaves(step.arguments[1]) if len(x.shape) == 5]
    per_row = images.shape[0] // 8
    assert step.batch == images.shape[0] == per_row * 8 > 8 and images.shape[1:] == (1, *example.PIXELS[1:], 3)
    system = build_system(request.config, request.tokenizer, 0, "train", request.sound)
    assert f"tensor<8x{system.rows.images.row_length}x16xf32>" in step.lower().as_text()
    videos = dataclasses.replace(request, what="train")
    assert 0 < flops_per_batch(request) < flops_per_batch(videos)
    with pytest.raises(UserError, match="'train-images' of a config without batches of images"):
        build_step(request_of(what="train-images"), jax.devices())


def test_work_grows_with_the_batch_and_sampling_makes_ids():
    assert flops_per_batch(request_of("data.batch_size=16")) == 2 * flops_per_batch(request_of())
    sampled = build_step(request_of(what="sample", task="video_to_audio"), jax.devices())
    assert sampled.lower().out_info.shape == (4, 9 * 2 + 2)  # two levels of 9 latents, <ea_o> and <eos>
    with pytest.raises(UserError, match="task 'dancing'; expected one of text_to_video, video_to_audio"):
        build_step(request_of(what="sample", task="dancing"), jax.devices())


def test_a_sound_tokenizer_by_its_config_or_its_folder(tmp_path):
    made = AbstractSoundTokenizer.from_config(load_config("soundstream/small"))
    assert (made.levels, made.codes, made.samples_per_latent, made.latent_rate) == (4, 128, 320, 50.0)
    assert jax.tree.leaves(made.abstract_params())
    with pytest.raises(UserError, match="config.sound_tokenizer: .*: expected a sound tokenizer's bundle or workdir"):
        read_sound_tokenizer(tmp_path)
