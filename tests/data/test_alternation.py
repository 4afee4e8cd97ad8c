"""Which batches are of images, and what is in each, is decided by the step alone."""

import functools
import itertools
import pickle

import numpy as np
import pytest

from magvit_jax.data import MultimodalSpec, Stream, multimodal_batches
from magvit_jax.data.alternation import Alternation
from magvit_jax.data.multimodal_spec import image_spec
from magvit_jax.errors import UserError
from magvit_jax.tokens.videopoet import Stages

SPEC = MultimodalSpec(
    frames=2, height=4, width=4, fps=8.0, samples=8, sample_rate=64, flip=False, random_crop=False
)
STEPS, PER_ROW = 40, 3
is_image = functools.partial(Stages(0.25, 0.9, 0.2).is_image_batch, steps=STEPS, seed=5)


class Recorder:
    """Clips that show their index and the first draw of their generator."""

    class_names, skipped, summary = ("only",), (), "recorder"

    def __init__(self, length):
        self.length = length

    def __len__(self):
        return self.length

    def clip(self, index, rng, spec, train):
        video = np.full((spec.frames, spec.height, spec.width, 3), rng.integers(256) if train else 0, np.uint8)
        return {"video": video, "label": np.int32(index)}


VIDEOS, IMAGES = Recorder(7), Recorder(11)


def stream(steps, start=0, videos=VIDEOS, images=IMAGES, **fields):
    fields = dict(batch_size=4, seed=3, shard_index=0, shard_count=1, workers=0) | fields
    of_images = None if images is None else Stream(images, image_spec(SPEC), PER_ROW)
    batches = multimodal_batches(Stream(videos, SPEC, 1), of_images, is_image, start_step=start, **fields)
    taken = list(itertools.islice(batches, steps))
    batches.close()
    return taken


def assert_same(one, other):
    assert len(one) == len(other)
    for a, b in zip(one, other, strict=True):
        assert a.keys() == b.keys()
        for name in a:
            np.testing.assert_array_equal(a[name], b[name], err_msg=name)


def test_place_counts_the_batches_of_its_kind():
    alternation = Alternation(is_image)
    kinds = [is_image(step) for step in range(STEPS)]
    assert 5 < sum(kinds) < 25
    for step in (30, 3, 29, 0, 30):  # in any order
        assert alternation.place(step) == (kinds[step], kinds[:step].count(kinds[step]))


def test_each_step_is_asked_for_once():
    asked = []
    alternation = Alternation(lambda step: bool(asked.append(step)) or step % 2 == 0)
    for step in (10, 11, 5, 12):
        alternation.place(step)
    assert asked == list(range(13))


def test_form_of_both_kinds_of_batches():
    kinds = [is_image(step) for step in range(STEPS)]
    for batch, image in zip(stream(STEPS), kinds, strict=True):
        shapes = {name: value.shape for name, value in batch.items()}
        of_images = {"image": (12, 1, 4, 4, 3), "label": (12,), "index": (12,)}
        assert shapes == (of_images if image else {"video": (4, 2, 4, 4, 3), "label": (4,), "index": (4,)})


@pytest.mark.parametrize("name, source, size", [("video", VIDEOS, 4), ("image", IMAGES, 12)])
def test_each_kind_goes_through_its_epochs_without_a_gap(name, source, size):
    taken = [batch for batch in stream(STEPS) if name in batch]
    index = np.concatenate([batch["index"] for batch in taken])
    np.testing.assert_array_equal(index, np.arange(size * len(taken)))
    labels = np.concatenate([batch["label"] for batch in taken])
    for epoch in range(len(labels) // len(source)):
        assert sorted(labels[epoch * len(source) :][: len(source)]) == list(range(len(source)))


def test_starting_late_equals_going_on():
    assert_same(stream(STEPS)[17:], stream(STEPS - 17, start=17))


def test_shards_put_together_are_the_global_batch():
    parts = [stream(20, shard_index=i, shard_count=2) for i in range(2)]
    joined = [{name: np.concatenate([a[name], b[name]]) for name in a} for a, b in zip(*parts, strict=True)]
    assert_same(stream(20), joined)


def test_it_travels_to_another_process():
    """Worker processes get a copy; `pipeline.iterate`, which starts them, is tested with `batches`."""
    alternation = Alternation(is_image)
    alternation.place(9)
    copied = pickle.loads(pickle.dumps(alternation))
    assert [copied.place(step) for step in range(STEPS)] == [alternation.place(step) for step in range(STEPS)]


def test_without_images_every_batch_is_of_videos():
    assert all("video" in batch for batch in stream(12, images=None))


def test_mistakes_are_named():
    with pytest.raises(UserError, match="batch_size is 5.*2 processes"):
        stream(1, batch_size=5, shard_count=2)
    with pytest.raises(UserError, match="no clips"):
        stream(1, images=Recorder(0))
