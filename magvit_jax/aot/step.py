"""The jitted step of a config, without data and without trained parameters: what training and sampling compile."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh
from ml_collections import ConfigDict

from magvit_jax import systems
from magvit_jax.aot.model_flops import model_flops, without_recomputation
from magvit_jax.aot.sound_tokenizer import AbstractSoundTokenizer
from magvit_jax.aot.tokenizer import AbstractTokenizer
from magvit_jax.aot.topology import get_topology
from magvit_jax.errors import UserError
from magvit_jax.partitioning import (
    BATCH_AXES,
    Rules,
    batch_sharding,
    batch_shards,
    logical_context,
    make_mesh,
    make_rules,
    replicated,
    unbox,
)
from magvit_jax.systems import multimodal_lm
from magvit_jax.tokens.videopoet import Words
from magvit_jax.training.sharded import abstract_state, jit_train_step
from magvit_jax.training.system import System
from magvit_jax.typing import PyTree

IMAGES = "train-images"
WHAT = ("train", IMAGES, "sample")


@dataclass(frozen=True)
class Step:
    """A program that can be lowered.

    Attributes:
      what: "train", "train-images" or "sample".
      jitted, arguments: the function, and the shapes and layouts it is called with.
      batch: examples of one call, over all devices.
      microbatch: examples that are computed at once, over all devices.
      params: shapes of the parameters in training, or of the network that samples.
    """

    what: str
    jitted: Any
    arguments: tuple[Any, ...]
    batch: int
    microbatch: int
    mesh: Mesh
    rules: Rules
    params: PyTree

    def lower(self) -> jax.stages.Lowered:
        with logical_context(self.mesh, self.rules):
            return self.jitted.lower(*self.arguments)


def build_system(
    config: ConfigDict,
    tokenizer: AbstractTokenizer | None,
    classes: int,
    what: str = "train",
    sound: AbstractSoundTokenizer | None = None,
) -> System:
    """The system of a config, its tokenizers' parameters shapes only.

    Args:
      tokenizer: of a generator.
      classes: of the training data.
      what: as of `Request`; sampling has no loss and needs no network of one.
      sound: of a multimodal generator, whose small text vocabulary has to be in `config.text.words`.

    Raises:
      UserError: frozen networks of the loss that are not there.
    """
    words = Words(tuple(config.text.words)) if "text" in config and config.text.words else None
    system = systems.build(config, tokenizer=tokenizer, num_classes=classes, sound=sound, words=words)
    if system.kind == "tokenizer" and what != "sample":
        system.load_networks()
    return system


@dataclass(frozen=True)
class Request:
    """What is to be compiled, in a form that another process can be sent.

    Attributes:
      what: "train" for the training step; "train-images" for that of a batch of images between those of videos;
        "sample" for one call of sampling.
      task: what a generator samples; the first of its tasks by default.
      sound: the sound tokenizer of a multimodal generator.
    """

    config: ConfigDict
    tokenizer: AbstractTokenizer | None
    topology: str
    slices: int = 1
    what: str = "train"
    task: str | None = None
    classes: int = 0
    sound: AbstractSoundTokenizer | None = None


def build_step(request: Request, devices: Sequence[Any] | None = None) -> Step:
    """The program that training or sampling runs.

    Args:
      devices: those to compile for; of the request's topology by default.

    Raises:
      UserError: a bad config, an unknown topology, `what` or task, a mesh that does not divide the devices, or a batch
        that does not divide by mesh and microbatches.
    """
    config, what = request.config, request.what
    if what not in WHAT:
        raise UserError(f"what: {what!r}; expected one of {', '.join(WHAT)}")
    if devices is None:
        devices = get_topology(request.topology, request.slices).devices
    mesh = make_mesh(config.mesh.to_dict(), devices)
    system = build_system(config, request.tokenizer, request.classes, request.what, request.sound)
    rules, impl = make_rules(config.sharding_rules), config.training.rng_impl
    if what != "sample":
        require_divisible("data.batch_size", config.data.batch_size, mesh, config.training.microbatches)
    else:
        require_divisible("data.eval_batch_size", config.data.eval_batch_size, mesh, 1)
    state = abstract_state(system, mesh, rules, impl)
    if what == "sample":
        return _sample_step(system, config, mesh, rules, state.system, request.task)
    per_row, keys = _rows_and_keys(system, what)
    batch, microbatches = config.data.batch_size * per_row, config.training.microbatches
    arguments = (
        state,
        _on(abstract_batch(system, config, batch, keys), batch_sharding(mesh)),
        _on(_key(impl), replicated(mesh)),
    )
    jitted = jit_train_step(system, microbatches, state, mesh)
    params = system.abstract_params()
    return Step(what, jitted, arguments, batch, batch // microbatches, mesh, rules, params)


def _rows_and_keys(system: System, what: str) -> tuple[int, Sequence[str]]:
    """How many examples a batch of the training step has for each of `data.batch_size`, and what is in it."""
    if what != IMAGES:
        return 1, system.data_keys
    images = system.rows.images if system.kind == multimodal_lm.KIND else None
    if images is None:
        raise UserError(f"what: {what!r} of a config without batches of images; expected train, or data.images.source")
    return images.per_row, system.image_keys


def _sample_step(
    system: System, config: ConfigDict, mesh: Mesh, rules: Rules, state: PyTree, task: str | None
) -> Step:
    batch = config.data.eval_batch_size
    function, arguments = _sampling(system, config, batch, task)
    shapes = (state, *_on(arguments[0:1], batch_sharding(mesh)), *_on(arguments[1:], replicated(mesh)))
    params = system.abstract_params()
    return Step("sample", jax.jit(function), shapes, batch, batch, mesh, rules, params)


def _sampling(system: System, config: ConfigDict, size: int, task: str | None) -> tuple[Callable[..., Any], tuple]:
    """(function of state, batch and the rest; shapes of batch and the rest) of one call of sampling."""
    batch = abstract_batch(system, config, size)
    if system.kind == "tokenizer":
        return lambda state, clips: system._reconstruct_batch(state.eval_params, clips["video"]), (batch,)
    multimodal = system.kind == multimodal_lm.KIND
    tasks = system.evaluation.tasks if multimodal else system.vocabulary.tasks
    name = tasks[0] if task is None else task
    if name not in tasks:
        raise UserError(f"task {name!r}; expected one of {', '.join(tasks)}")
    if multimodal:
        return system.evaluation.sampling(name), (batch,)
    decoding = system.decoding_of(name)
    function = lambda state, clips, index: system._generate_videos(state, clips, index, decoding)  # noqa: E731
    return function, (batch, jax.ShapeDtypeStruct((), jnp.int32))


def flops_per_batch(request: Request) -> float:
    """`model_flops` of a training step's gradients or of a sampling call, on all devices together.

    Counted for one example, or for the fewest that make a batch, without recomputation, with the implementations that
    run anywhere; the update itself has no matrix products.
    """
    config = without_recomputation(request.config)
    system = build_system(config, request.tokenizer, request.classes, request.what, request.sound)
    key = _key(config.training.rng_impl)
    state = jax.eval_shape(lambda key: unbox(system.init(key)), key)
    if request.what == "sample":
        function, arguments = _sampling(system, config, 1, request.task)
        return config.data.eval_batch_size * model_flops(function, state, *arguments)
    per_row, keys = _rows_and_keys(system, request.what)
    fewest = per_row
    if request.what == "train" and system.kind == multimodal_lm.KIND:
        fewest = system.rows.fewest_examples
    batch = abstract_batch(system, config, fewest, keys)
    return config.data.batch_size * per_row / fewest * model_flops(system.gradients, state, batch, key)


def abstract_batch(
    system: System, config: ConfigDict, size: int, keys: Sequence[str] | None = None
) -> dict[str, jax.ShapeDtypeStruct]:
    """Shapes of what `keys` name, by default `system.data_keys`, for `size` examples of the config's data."""
    clip = (config.data.frames, config.data.height, config.data.width)
    known = {
        "video": lambda: ((size, *clip, 3), jnp.uint8),
        "image": lambda: ((size, 1, *clip[1:], 3), jnp.uint8),
        "flow": lambda: ((size, *clip, 3), jnp.uint8),
        "depth": lambda: ((size, *clip, 3), jnp.uint8),
        "audio": lambda: ((size, config.data.samples), jnp.float32),
        "has_audio": lambda: ((size,), jnp.bool_),
        "text_ids": lambda: ((size, config.text.slots), jnp.int32),
        "text_embedding": lambda: ((size, config.text.slots, config.text.width), jnp.float32),
        "text_count": lambda: ((size,), jnp.int32),
        "ids": lambda: ((size, *system.mixture.grid.shape), jnp.int32),
        "label": lambda: ((size,), jnp.int32),
        "index": lambda: ((size,), jnp.uint32),
    }
    return {key: jax.ShapeDtypeStruct(*known[key]()) for key in (system.data_keys if keys is None else keys)}


def require_divisible(name: str, size: int, mesh: Mesh, microbatches: int) -> None:
    """UserError unless every device gets as many examples of every microbatch."""
    parts = batch_shards(mesh) * microbatches
    if size % parts:
        data, fsdp = (mesh.shape[axis] for axis in BATCH_AXES)
        raise UserError(
            f"{name} {size}: does not divide by data={data} x fsdp={fsdp} x microbatches={microbatches}; "
            f"expected a multiple of {parts} ({math.ceil(size / parts) * parts} is the next)"
        )


def _key(impl: str) -> jax.ShapeDtypeStruct:
    return jax.eval_shape(lambda: jax.random.key(0, impl=impl))


def _on(tree: PyTree, sharding: Any) -> PyTree:
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding), tree)
