"""magvit tokenize: videos to token ids in shards, or sounds to files of ids."""

import argparse

import jax

import magvit_jax
from magvit_jax import bundles, workflows
from magvit_jax.cli.shards import cutting, recordings, share
from magvit_jax.cli.sounds import require_whole_sounds
from magvit_jax.errors import UserError
from magvit_jax.partitioning import make_mesh

#: Flags that cut clips out of videos.
OF_VIDEO = (
    *("frames", "height", "width", "stride", "every", "clips", "source", "split", "data_dir", "feature"),
    *("shards", "threads", "coordinator", "processes", "process"),
)


def run(args: argparse.Namespace) -> None:
    if bundles.holds_sound_tokenizer(args.model):
        _sounds(args)
        return
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


def _sounds(args: argparse.Namespace) -> None:
    require_whole_sounds(args, OF_VIDEO)
    if args.input is None:
        raise UserError(f"--input: {args.model} is a sound tokenizer; expected a sound, a video, or a folder of them")
    tokenizer = magvit_jax.load_sound_tokenizer(args.model)
    latents = workflows.tokenize_sounds(tokenizer, args.input, args.output, num=args.num)
    seconds = latents / tokenizer.latent_rate
    print(f"{args.output}: {latents} latents of {tokenizer.levels} ids, {seconds:.1f} s of sound")
