"""magvit tokenize: videos to token ids in shards."""

import argparse

import jax

import magvit_jax
from magvit_jax import workflows
from magvit_jax.cli.shards import cutting, recordings, share
from magvit_jax.partitioning import make_mesh


def run(args: argparse.Namespace) -> None:
    mine = share(args)
    devices = jax.local_devices()
    mesh = make_mesh({"data": -1}, devices) if len(devices) > 1 else None
    tokenizer = magvit_jax.load_tokenizer(args.model, mesh=mesh)
    clips = cutting(args, tokenizer.clip)
    inputs = recordings(args, clips.spec)
    index = workflows.tokenize(
        tokenizer, inputs, args.output, clips, batch=args.batch, num=args.num, share=mine
    )
    print(workflows.describe_shards(index, args.output))
