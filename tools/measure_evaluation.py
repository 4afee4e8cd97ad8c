"""Where the time of an FVD-style evaluation goes: decoding, features, statistics.

    python tools/measure_evaluation.py --videos=FOLDER [--clips=256] [--batch=8] [--json=FILE]

The clips are cut out of the videos as by the protocol k600_fvd, as many windows a video as the number takes. The
network is I3D at its full size with random weights: what it takes is timed, and no distance is printed, since it
would mean nothing. The made clips are the real ones, blurred ("model").
"""

import argparse
import dataclasses
import json
import os
from pathlib import Path

import flax.traverse_util
import jax
import jax.numpy as jnp
import numpy as np

from magvit_jax.evaluation.distortions import blur
from magvit_jax.evaluation.metric_set import MetricSet
from magvit_jax.evaluation.networks import MetricNetwork
from magvit_jax.evaluation.protocols import protocol
from magvit_jax.evaluation.protocols.clips import real_clips
from magvit_jax.evaluation.streams import Seconds, timed
from magvit_jax.pretrained.networks import DEFINITIONS, abstract_params

NAME = "i3d"


def random_i3d() -> MetricNetwork:
    """I3D with weights of about unit gain."""
    definition, rng = DEFINITIONS[NAME](jnp.float32), np.random.default_rng(0)
    arrays = {}
    for path, leaf in abstract_params(definition).items():
        fan_in = max(1, int(np.prod(leaf.shape[:-1])))
        value = rng.normal(0, np.sqrt(2 / fan_in), leaf.shape) if len(leaf.shape) > 1 else np.ones(leaf.shape)
        arrays[path] = jnp.asarray(value, leaf.dtype)
    params = flax.traverse_util.unflatten_dict(arrays, sep="/")

    def function(params, video_BTHWC):
        return definition.module.apply({"params": params}, definition.prepare(video_BTHWC))

    return MetricNetwork(NAME, "random", params, function)


def main(arguments: list[str] | None = None) -> dict:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--videos", type=Path, required=True, help="folder of videos of 16 frames or more")
    parser.add_argument("--clips", type=int, default=256, help="real clips; as many are made (default: 256)")
    parser.add_argument("--batch", type=int, default=8, help="clips at once (default: 8)")
    parser.add_argument("--json", type=Path, help="file for the numbers")
    args = parser.parse_args(arguments)
    chosen = protocol("k600_fvd")
    wanted = dataclasses.replace(chosen.real, windows=max(2, args.clips // 3))
    clips = real_clips(dataclasses.replace(chosen, real=wanted), args.videos, args.clips)
    network, seconds = random_i3d(), Seconds()
    metric_set = MetricSet(["fvd"], chosen, {NAME: network}, seconds, batch=args.batch)
    for batch in timed(clips, seconds, "decode"):
        metric_set.add_real(batch)
        with seconds.time("model"):
            made = blur(batch, 1.0)
        metric_set.add_made("blurred", made, paired=True)
    metric_set.results()
    values = {
        "clips": 2 * clips.count,
        "frames": chosen.frames,
        "size": chosen.size,
        "devices": jax.device_count(),
        "cores": os.cpu_count(),
        "batch": args.batch,
    } | {name: round(value, 2) for name, value in dataclasses.asdict(seconds).items()}
    print(json.dumps(values))
    if args.json:
        args.json.write_text(json.dumps(values, indent=1) + "\n")
    return values


if __name__ == "__main__":
    main()
