"""From a config to batches of videos and images with their texts as arrays."""

import itertools
import runpy
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from ml_collections import ConfigDict

from magvit_jax import data
from magvit_jax.data.text_shards import write_shards
from magvit_jax.errors import UserError
from magvit_jax.tokens.videopoet import Words
from magvit_jax.workflows import multimodal_data

_multimodal = SimpleNamespace(**runpy.run_path(str(Path(__file__).parents[2] / "configs" / "_multimodal.py")))


def config(text=_multimodal.WORDS, images=None, **fields):
    sizes = dict(frames=5, height=8, width=8, samples=2000, sample_rate=8000, size=30, batch_size=2, seed=4)
    group = dict(_multimodal.EMBEDDED, **sizes, images=images or _multimodal.NO_IMAGES) | fields
    return ConfigDict(dict(data=group, text=dict(text), training=dict(steps=40)))


IMAGES = dict(_multimodal.TWO_STAGES, source="frames", captions="labels", templates=("picture of {digit}",))


def test_batches_of_both_kinds_have_the_words_of_both():
    found = multimodal_data.build(config(images=IMAGES))
    assert {"picture", "three", "shrink", "the", "a"} <= set(found.words.words)
    assert found.extra == {"words": list(found.words.words)}
    kinds = [found.is_image(step) for step in range(40)]
    assert sum(kinds[:10]) >= 7 and sum(kinds[10:]) <= 8
    taken = list(itertools.islice(found.train_batches(0, 0, 1, images_per_video=3), 14))
    for batch, image in zip(taken, kinds, strict=False):
        assert ("image" in batch, len(batch["index"])) == ((True, 6) if image else (False, 2))
        for ids_X, count in zip(batch["text_ids"], batch["text_count"], strict=True):
            text = found.words.decode(ids_X[:count])
            assert text.startswith("picture of ") == image and "?" not in text and not ids_X[count:].any()


def test_evaluation_batches_have_the_same_keys():
    found = multimodal_data.build(config())
    batch = next(iter(data.eval_batches(found.sources["test"], found.spec, batch_size=3)))
    trained = next(iter(found.train_batches(0, 0, 1, images_per_video=1)))
    assert batch.keys() == trained.keys()
    assert {name: value.dtype for name, value in batch.items()} == {name: x.dtype for name, x in trained.items()}


def test_stylization_needs_flow_and_depth():
    with_task = config()
    with with_task.unlocked():
        with_task.tasks = dict(stylization=dict(weight=1.0))
    with pytest.raises(UserError, match="data.flow is empty, but task 'stylization' needs it"):
        multimodal_data.build(with_task)
    with_task.tasks.stylization.weight = 0.0
    assert multimodal_data.build(with_task).words is not None


def test_a_run_that_goes_on_keeps_its_words_and_needs_no_other_folder():
    """It began from another model, which may be gone."""
    begun = config()
    begun.init_from = "/nowhere"
    with pytest.raises(UserError, match="nowhere"):
        multimodal_data.build(begun)
    known = Words(("some", "words"))
    assert multimodal_data.build(begun, known).words == known


def test_embeddings_and_no_text(tmp_path):
    text = dict(_multimodal.T5_XL, t5=str(tmp_path), slots=3, width=2)
    templates = ("{label}",)
    with pytest.raises(UserError, match="index.json does not exist"):
        multimodal_data.build(config(text, templates=templates))
    facts = dict(network="t5_v1_1_small", fingerprint="f", width=2)
    write_shards(tmp_path, [("grow", np.ones((1, 2)))], facts)
    with pytest.raises(UserError, match="no embedding of 'move down' and of 8 other texts"):
        multimodal_data.build(config(text, templates=templates))
    texts = data.build_source(config(templates=templates).data, "train").texts
    write_shards(tmp_path, [(name, np.full((2, 2), n)) for n, name in enumerate(texts) if name != "grow"], facts)
    found = multimodal_data.build(config(text, templates=templates))
    assert found.words is None and found.extra == {"text_network": dict(network="t5_v1_1_small", fingerprint="f")}
    batch = next(iter(found.train_batches(0, 0, 1, images_per_video=1)))
    assert batch["text_embedding"].shape == (2, 3, 2) and batch["text_embedding"].dtype == np.float32
    silent = multimodal_data.build(config(_multimodal.NO_TEXT))
    batch = next(iter(silent.train_batches(0, 0, 1, images_per_video=1)))
    assert batch.keys() == {"video", "audio", "has_audio", "label", "index"}


def test_what_does_not_fit_is_named():
    with pytest.raises(UserError, match="batches of images are asked for, but source is 'none'"):
        multimodal_data.build(config(images=dict(IMAGES, source="none")))
    with pytest.raises(UserError, match="text 'a digit move down': prompt of 4 words: expected at most 3"):
        multimodal_data.build(config(dict(_multimodal.WORDS, slots=3), templates=("{label}", "a digit {label}")))
    with pytest.raises(UserError, match="the data has no text: expected data.captions"):
        multimodal_data.build(config(captions="none", templates=()))
