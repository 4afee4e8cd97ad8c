"""One number decides an example: its place in the stream. Hosts, workers and restarts change nothing."""

import itertools

import numpy as np
import pytest

from magvit_jax.data import ClipSpec, MovingDigits, batches, eval_batches
from magvit_jax.errors import UserError

SPEC = ClipSpec(3, 16, 16)


class Recorder:
    """Clips that show their index and the first draw of their generator."""

    class_names = ("only",)
    skipped = ()
    summary = "recorder"

    def __init__(self, length):
        self.length = length

    def __len__(self):
        return self.length

    def clip(self, index, rng, spec, train):
        video = np.full(
            (spec.frames, spec.height, spec.width, 3), rng.integers(256) if train else 0, np.uint8
        )
        return {"video": video, "label": np.int32(index)}


def take(iterator, number):
    taken = list(itertools.islice(iterator, number))
    iterator.close()
    return taken


def assert_same(one, other):
    assert len(one) == len(other)
    for a, b in zip(one, other, strict=True):
        assert a.keys() == b.keys()
        for name in a:
            np.testing.assert_array_equal(a[name], b[name], err_msg=name)


def test_form_of_a_batch():
    (batch,) = take(batches(MovingDigits("train", size=10), SPEC, batch_size=4, seed=0), 1)
    assert {name: (value.shape, value.dtype.name) for name, value in batch.items()} == {
        "video": ((4, 3, 16, 16, 3), "uint8"),
        "label": ((4,), "int32"),
        "index": ((4,), "uint32"),
    }


def test_each_epoch_is_another_permutation_across_batch_borders():
    taken = take(batches(Recorder(10), SPEC, batch_size=4, seed=3), 10)
    order = np.concatenate([batch["label"] for batch in taken]).reshape(4, 10)
    assert all(sorted(epoch) == list(range(10)) for epoch in order)
    assert len({tuple(epoch) for epoch in order}) == 4
    np.testing.assert_array_equal(np.concatenate([batch["index"] for batch in taken]), np.arange(40))
    draws = np.concatenate([batch["video"][:, 0, 0, 0, 0] for batch in taken])
    np.testing.assert_array_equal(draws, [np.random.default_rng((3, p)).integers(256) for p in range(40)])


def test_seed_decides():
    one, same, other = (take(batches(Recorder(50), SPEC, batch_size=8, seed=seed), 3) for seed in (0, 0, 1))
    assert_same(one, same)
    assert not np.array_equal(one[0]["label"], other[0]["label"])


def test_starting_late_equals_going_on():
    whole = take(batches(Recorder(11), SPEC, batch_size=4, seed=0), 9)
    assert_same(whole[5:], take(batches(Recorder(11), SPEC, batch_size=4, seed=0, start_step=5), 4))


@pytest.mark.parametrize("shards", [2, 4])
def test_shards_put_together_are_the_global_batch(shards):
    source = Recorder(13)
    whole = take(batches(source, SPEC, batch_size=8, seed=0, start_step=1), 4)
    parts = [
        take(batches(source, SPEC, batch_size=8, seed=0, start_step=1, shard_index=i, shard_count=shards), 4)
        for i in range(shards)
    ]
    joined = [
        {name: np.concatenate([p[name] for p in step]) for name in step[0]}
        for step in zip(*parts, strict=True)
    ]
    assert_same(whole, joined)


def test_worker_processes_change_nothing():
    source = MovingDigits("train", size=30)
    threads = take(batches(source, SPEC, batch_size=4, seed=0, start_step=2), 5)
    assert_same(threads, take(batches(source, SPEC, batch_size=4, seed=0, start_step=2, workers=2), 5))


def test_untrained_order_is_plain():
    taken = take(batches(Recorder(5), SPEC, batch_size=4, seed=0, train=False), 2)
    assert np.concatenate([batch["label"] for batch in taken]).tolist() == [0, 1, 2, 3, 4, 0, 1, 2]


def test_evaluation_is_a_prefix_in_order_and_ends():
    taken = list(eval_batches(Recorder(10), SPEC, batch_size=4, num=7))
    assert [batch["label"].tolist() for batch in taken] == [[0, 1, 2, 3], [4, 5, 6]]
    assert [batch["index"].tolist() for batch in taken] == [[0, 1, 2, 3], [4, 5, 6]]
    for number in (None, 99):
        assert (
            sum(len(batch["label"]) for batch in eval_batches(Recorder(10), SPEC, batch_size=4, num=number))
            == 10
        )


def test_closed_iterators_end():
    iterator = batches(Recorder(5), SPEC, batch_size=4, seed=0)
    next(iterator)
    iterator.close()
    assert list(iterator) == []


@pytest.mark.parametrize(
    "change,named",
    [
        ({"batch_size": 5, "shard_count": 2}, "5.*2 processes"),
        ({"seed": -1}, "-1"),
        ({"shard_index": 2, "shard_count": 2}, "shard 2 of 2"),
    ],
)
def test_mistakes_are_named(change, named):
    with pytest.raises(UserError, match=named):
        batches(Recorder(5), SPEC, **{"batch_size": 4, "seed": 0, **change})
    with pytest.raises(UserError, match="no clips"):
        eval_batches(Recorder(0), SPEC, batch_size=4)
