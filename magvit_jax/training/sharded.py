"""The system's state, the step and the batches, laid out on a mesh."""

from collections.abc import Iterable, Iterator, Mapping

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh

from magvit_jax.errors import UserError
from magvit_jax.partitioning import (
    BATCH_AXES,
    DEFAULT_RULES,
    Rules,
    batch_sharding,
    batch_shards,
    process_shard,
    replicated,
    state_shardings,
    unbox,
)
from magvit_jax.training.state import LoopState
from magvit_jax.training.step import TrainStep, make_train_step
from magvit_jax.training.system import System
from magvit_jax.typing import Array, Batch, PRNGKey, PyTree


def run_keys(seed: int, rng_impl: str) -> tuple[PRNGKey, PRNGKey]:
    """(key of the initialisation, key of the steps). Make them outside `logical_context`.

    They are split because `split(key)` inside a model and `fold_in(key, step)` would yield the same keys.

    Args:
      rng_impl: "threefry2x32" (the same numbers on every mesh), "rbg" or "unsafe_rbg" (faster on TPU; numbers
        that depend on the mesh).
    """
    if rng_impl not in ("threefry2x32", "rbg", "unsafe_rbg"):
        raise UserError(f"training.rng_impl: {rng_impl!r}; expected threefry2x32, rbg or unsafe_rbg")
    init_key, step_key = jax.random.split(jax.random.key(seed, impl=rng_impl))
    return init_key, step_key


def abstract_state(
    system: System, mesh: Mesh, rules: Rules = DEFAULT_RULES, rng_impl: str = "threefry2x32"
) -> LoopState:
    """Shapes, dtypes and shardings of the unboxed state; computes and allocates nothing."""
    rng = jax.eval_shape(lambda: jax.random.key(0, impl=rng_impl))
    boxed = jax.eval_shape(lambda key: LoopState.create(system.init(key)), rng)
    return jax.tree.map(
        lambda x, sharding: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding),
        unbox(boxed),
        state_shardings(boxed, mesh, rules),
    )


def init_state(system: System, key: PRNGKey, abstract: LoopState) -> LoopState:
    """The initial state, each device making its own part, with the same numbers on every mesh.

    Call it inside `logical_context`.

    Args:
      abstract: from `abstract_state`.
    """
    make = jax.jit(lambda rng: unbox(LoopState.create(system.init(rng))), out_shardings=_shardings(abstract))
    return make(key)


def place_state(state: LoopState, abstract: LoopState) -> LoopState:
    """A state laid out as `abstract` says; its arrays may come from the host.

    Raises:
      ValueError: an array of another shape or dtype; says where.
    """

    def place(path, x, like):
        if x.shape != like.shape or x.dtype != like.dtype:
            where = jax.tree_util.keystr(path)
            raise ValueError(f"state{where}: {x.dtype} {x.shape}; expected {like.dtype} {like.shape}")
        return x if isinstance(x, jax.Array) and x.sharding == like.sharding else _put(x, like.sharding)

    return jax.tree_util.tree_map_with_path(place, state, abstract)


def _put(x: np.ndarray | jax.Array, sharding) -> jax.Array:
    """A host array of which every process has the whole, on the mesh."""
    host = np.asarray(x)
    return jax.make_array_from_callback(host.shape, sharding, lambda index: host[index])


def jit_train_step(system: System, microbatches: int, abstract: LoopState, mesh: Mesh) -> TrainStep:
    """The jitted step. It donates the state it is handed; call and lower it inside `logical_context`.

    Args:
      abstract: from `abstract_state`.
    """
    shardings = _shardings(abstract)
    return jax.jit(
        make_train_step(system, microbatches),
        in_shardings=(shardings, batch_sharding(mesh), replicated(mesh)),
        out_shardings=(shardings, replicated(mesh)),
        donate_argnums=0,
    )


def global_batches(
    local_batches: Iterator[Mapping[str, np.ndarray]],
    keys: Iterable[str],
    mesh: Mesh,
    microbatches: int,
    image_keys: Iterable[str] = (),
) -> Iterator[Batch]:
    """Batches on the mesh from this process's rows of them.

    Args:
      local_batches: dicts of arrays [B / shard_count, ...], see `partitioning.process_shard`.
      keys: those to move to the devices.
      microbatches: into how many parts a step splits the batch.
      image_keys: those of a batch that has "image", for a system that takes batches of videos and of images.

    Raises:
      UserError: a key is missing, or B does not divide by the microbatches and the mesh.
    """
    video_keys, image_keys, sharding = tuple(keys), tuple(image_keys), batch_sharding(mesh)
    _, shard_count = process_shard(mesh)
    for local in local_batches:
        keys = image_keys if image_keys and "image" in local else video_keys
        _require_keys(local, keys)
        rows = {len(local[key]) for key in keys}
        if len(rows) != 1:
            raise ValueError(f"batch: arrays of different length {sorted(rows)}")
        size = rows.pop() * shard_count
        _require_divisible(size, mesh, microbatches)
        yield {
            key: jax.make_array_from_process_local_data(sharding, local[key], (size, *local[key].shape[1:]))
            for key in keys
        }


def whole_batches(batches: Iterable[Mapping[str, np.ndarray]], mesh: Mesh) -> Iterator[Batch]:
    """Batches on the mesh from batches of which every process has all rows.

    A batch that does not divide by the mesh (the last one) is replicated.
    """
    shards = batch_shards(mesh)
    for batch in batches:
        rows = {len(x) for x in batch.values()}
        whole = any(size % shards for size in rows)
        sharding = replicated(mesh) if whole else batch_sharding(mesh)
        yield {
            key: jax.make_array_from_callback(x.shape, sharding, lambda index, x=x: x[index])
            for key, x in batch.items()
        }


def _shardings(abstract: LoopState) -> LoopState:
    return jax.tree.map(lambda x: x.sharding, abstract)


def to_host(tree: PyTree) -> PyTree:
    """Numpy arrays of a tree that may be spread over several processes; every process calls it."""

    def fetch(x: Array) -> np.ndarray:
        if not isinstance(x, jax.Array) or x.is_fully_addressable or x.is_fully_replicated:
            return np.asarray(x)
        return multihost_utils.process_allgather(x, tiled=True)

    return jax.tree.map(fetch, tree)


def _require_keys(batch: Mapping[str, np.ndarray], keys: Iterable[str]) -> None:
    missing = [key for key in keys if key not in batch]
    if missing:
        raise UserError(f"batch: no {missing[0]!r} among {', '.join(sorted(batch))}; the system needs it")


def _require_divisible(size: int, mesh: Mesh, microbatches: int) -> None:
    parts = batch_shards(mesh) * microbatches
    if size % parts:
        data, fsdp = (mesh.shape[axis] for axis in BATCH_AXES)
        raise UserError(
            f"batch size {size}: does not divide by data={data} x fsdp={fsdp} x microbatches={microbatches}; "
            f"expected a multiple of {parts}"
        )
