"""Ahead-of-time compilation of a config's training step or sampling for a TPU slice, on a machine without one."""

import math
from collections.abc import Sequence
from pathlib import Path

import jax
from ml_collections import ConfigDict

from magvit_jax import systems
from magvit_jax.aot.compile import compile_step, compile_without_code, make_report
from magvit_jax.aot.report import Report
from magvit_jax.aot.sound_tokenizer import AbstractSoundTokenizer, read_sound_tokenizer
from magvit_jax.aot.step import Request, build_step, flops_per_batch
from magvit_jax.aot.tokenizer import AbstractTokenizer, read_tokenizer
from magvit_jax.aot.topology import get_topology
from magvit_jax.errors import UserError


def compile_ahead(
    config: ConfigDict,
    topology: str,
    *,
    what: str = "train",
    tokenizer: ConfigDict | None = None,
    sound_tokenizer: ConfigDict | None = None,
    classes: int = 0,
    slices: int = 1,
    task: str | None = None,
    code: bool = True,
    name: str = "",
    overrides: Sequence[str] = (),
) -> Report:
    """Compiles what `training.loop` or a generator's sampling would run, and says what it takes.

    Reads no data and no trained parameters, and writes nothing. It takes as long as compiling on the machine itself:
    seconds for a scanned transformer, minutes for a tokenizer, whose layers are all compiled one by one.

    Args:
      config: a whole training config.
      topology: of the slice, such as "v5e:4x4" (`aot.topology`).
      what: "train" for the training step; "train-images" for that of a multimodal generator's batch of images; "sample"
        for one call of a generator's decoding, tokens and pixels, or of a tokenizer's reconstruction, of
        `data.eval_batch_size` clips.
      tokenizer: of a generator, the config its tokenizer is trained with; by default `config.tokenizer` is a bundle or
        a workdir.
      sound_tokenizer: of a multimodal generator, likewise.
      classes: of the data, which is not read.
      slices: so many slices of that topology.
      task: what is sampled; the first in alphabetical order by default.
      code: False stops before machine code is made: seconds where it takes minutes, and the size of the program, some
        tens of MiB, is missing from the memory. It starts a process: a script needs `if __name__ == "__main__":`.
      name, overrides: for the report's first lines.

    Raises:
      UserError: a bad config, a topology that the compiler does not know, a mesh or batch that does not divide, frozen
        networks that are not there, or no TPU compiler. A program that does not fit is no error, but in the report.
    """
    frozen = None if systems.kind(config) == "tokenizer" else _tokenizer(config, tokenizer)
    sound = _sound_tokenizer(config, sound_tokenizer)
    request = Request(config, frozen, topology, slices, what, task, classes, sound)
    step = build_step(request)
    compiled = compile_step(step, request) if code else compile_without_code(request)
    found = get_topology(topology, slices)
    parameters = sum(math.prod(x.shape) for x in jax.tree.leaves(step.params))
    return make_report(step, compiled, found, flops_per_batch(request), parameters, name or config.name, overrides)


def _tokenizer(config: ConfigDict, given: ConfigDict | None) -> AbstractTokenizer:
    if given is not None:
        if systems.kind(given) != "tokenizer":
            raise UserError(f"config.tokenizer: config {given.name!r} is of a generator; expected a tokenizer's")
        return AbstractTokenizer.from_config(given.model, given.data)
    if not config.tokenizer:
        raise UserError(
            "config.tokenizer is empty; expected the folder of a trained tokenizer, or the name of a tokenizer's "
            "config such as magvit2/video_tokenizer"
        )
    return read_tokenizer(Path(config.tokenizer))


def _sound_tokenizer(config: ConfigDict, given: ConfigDict | None) -> AbstractSoundTokenizer | None:
    if given is not None:
        if systems.kind(given) != "sound_tokenizer":
            raise UserError(f"config.sound_tokenizer: config {given.name!r} is of no sound tokenizer; expected one")
        return AbstractSoundTokenizer.from_config(given)
    path = config.get("sound_tokenizer", "")
    return read_sound_tokenizer(Path(path)) if path else None
