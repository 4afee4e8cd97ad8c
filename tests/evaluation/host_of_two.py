"""One of two processes of `test_hosts.py`: measures its share and writes what both found. Not a test module."""

import sys

import jax
import numpy as np
import toy_networks

from magvit_jax import partitioning
from magvit_jax.evaluation.hosts import merge_over_hosts, rows_of_hosts
from magvit_jax.evaluation.streams import FeatureStream, PlacedNetwork, Seconds, feed
from magvit_jax.metrics import FeatureStatistics

CLIPS = 23


def main(address: str, process: int, output: str) -> None:
    jax.distributed.initialize(address, 2, process)
    mine = toy_networks.clips(CLIPS)[process::2]
    taken, seconds = [], Seconds()
    network = PlacedNetwork(toy_networks.of_clips(), partitioning.make_mesh({"data": -1}), batch=8)
    stream = FeatureStream(network, taken.append, seconds)
    feed([mine], [stream], seconds)
    features = np.concatenate([outputs["logits"] for outputs in taken])
    statistics = merge_over_hosts(FeatureStatistics.empty(features.shape[1]).update(features))
    np.savez(output, rows=rows_of_hosts(features), **statistics.to_arrays())


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3])
