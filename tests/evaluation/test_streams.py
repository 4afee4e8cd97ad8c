"""Clips through a network over the devices of a mesh: the same features, in order, whatever the batches."""

import math

import jax
import numpy as np
import pytest
import toy_networks

from magvit_jax import partitioning
from magvit_jax.errors import UserError
from magvit_jax.evaluation.streams import FeatureStream, PlacedNetwork, Seconds, feed, own_mesh
from magvit_jax.metrics import frechet_distance


def run(network, parts, mesh=None, batch=16):
    taken, seconds = [], Seconds()
    stream = FeatureStream(PlacedNetwork(network, mesh, batch), taken.append, seconds)
    count = feed(parts, [stream], seconds)
    return {name: np.concatenate([t[name] for t in taken]) for name in taken[0]}, count, seconds, taken


@pytest.mark.parametrize("sizes", [(37,), (1,) * 37, (20, 0, 17), (5, 32)])
def test_batches_of_any_size_give_the_features_of_the_whole(sizes):
    network, video = toy_networks.of_clips(), toy_networks.clips(37)
    parts = np.split(video, np.cumsum(sizes)[:-1])
    found, count, seconds, taken = run(network, parts)
    assert count == 37 and [len(t["logits"]) for t in taken] == [16, 16, 5]
    expected = toy_networks.reference(network, video)
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-5, atol=2e-5)
    assert seconds.features > 0 and seconds.statistics > 0 and "features" in seconds.line()


def test_over_eight_devices_it_is_the_number_of_one():
    assert jax.device_count() == 8
    network, real, made = toy_networks.of_clips(), toy_networks.clips(50), toy_networks.clips(45, seed=1)
    distances = []
    for shape in ({"data": 1}, {"data": 8}, {"data": 2, "fsdp": 4}, {"data": 2, "tensor": 4}):
        mesh = partitioning.make_mesh(shape, devices=jax.devices()[: math.prod(shape.values())])
        a, b = (run(network, [video], mesh)[0]["logits"] for video in (real, made))
        distances.append(frechet_distance(a, b))
    np.testing.assert_allclose(distances, distances[0], rtol=1e-5)


def test_clips_are_split_over_the_devices():
    seen = []

    def function(params, video):
        jax.debug.inspect_array_sharding(video, callback=seen.append)
        return {"x": video.mean(axis=(1, 2, 3, 4))}

    network = toy_networks.MetricNetwork("x", "x", {}, function)
    mesh = partitioning.make_mesh({"data": 8})
    # A batch that the devices do not divide is made larger.
    found, *_ = run(network, [np.ones((3, 2, 4, 4, 3), np.float32)], mesh, batch=3)
    assert found["x"].shape == (3,)
    assert seen[0].shard_shape((8, 2, 4, 4, 3))[0] == 1


def test_two_arrays_stay_together():
    network = toy_networks.of_pairs()
    a, b = toy_networks.clips(21), toy_networks.clips(21, seed=1)
    found, *_ = run(network, [(a[:4], b[:4]), (a[4:], b[4:])])
    np.testing.assert_allclose(found["distance"], toy_networks.reference(network, a, b)["distance"], rtol=1e-5)


def test_another_length_or_size_is_named():
    stream = FeatureStream(PlacedNetwork(toy_networks.of_clips()), lambda _: None, Seconds())
    stream.push(toy_networks.clips(3, frames=4))
    with pytest.raises(UserError, match="clip 3 is 5 frames of 16x16; expected 4 frames of 16x16 as the first one"):
        stream.push(toy_networks.clips(1, frames=5))
    with pytest.raises(UserError, match="clip 3 is 4 frames of 8x8"):
        stream.push(toy_networks.clips(1, frames=4, side=8))


def test_a_network_is_compiled_once_for_all_streams_of_one_shape():
    network, seconds = PlacedNetwork(toy_networks.of_clips()), Seconds()
    streams = [FeatureStream(network, lambda _: None, seconds) for _ in range(3)]
    feed([toy_networks.clips(20)], streams[:1], seconds)
    first = seconds.compile
    assert first > 0
    feed([toy_networks.clips(20)], streams[1:], seconds)
    assert seconds.compile == first


def test_time_is_counted_where_it_passes():
    import time

    def slow():
        for part in np.split(toy_networks.clips(8), 4):
            time.sleep(0.02)
            yield part

    *_, seconds, _ = run(toy_networks.of_clips(), slow())
    assert 0.08 <= seconds.decode < 0.5 and seconds.model == 0


def test_a_mesh_of_this_process_is_used_as_it_is():
    mesh = partitioning.make_mesh({"data": 2, "tensor": 4})
    assert own_mesh(mesh) is mesh
    assert partitioning.batch_shards(own_mesh(None)) == 8
