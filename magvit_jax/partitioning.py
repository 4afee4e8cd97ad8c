"""The device mesh, the one table of logical axis rules, and the shardings that follow from them.

A parameter or an activation names its dimensions ("embed", "activation_batch", ...); the table says over
which mesh axis a name is split. Nothing else in the library names a mesh axis, so another layout is another
table. Where a dimension does not divide by its mesh axis it stays whole on every device: a layout never
changes a result.
"""

import contextlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax
import numpy as np
from flax.core import meta
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from magvit_jax.errors import UserError
from magvit_jax.typing import Array, PyTree

MeshAxes = str | tuple[str, ...] | None
Rules = tuple[tuple[str, MeshAxes], ...]

MESH_AXES = ("data", "fsdp", "tensor", "sequence")
BATCH_AXES = ("data", "fsdp")

DEFAULT_RULES: Rules = (
    # Parameters: one dimension over `fsdp`, another over `tensor`.
    ("embed", "fsdp"),
    ("mlp", "tensor"),
    ("heads", "tensor"),
    ("kv", None),
    ("vocab", "tensor"),
    ("conv_in", "fsdp"),
    ("conv_out", "tensor"),
    ("layers", None),
    ("norm", None),
    ("position", None),
    # Activations: examples over `data` and `fsdp`, the inside of a layer over `tensor`.
    ("activation_batch", BATCH_AXES),
    ("activation_length", "sequence"),
    ("activation_embed", None),
    ("activation_heads", "tensor"),
    ("activation_kv", None),
    ("activation_mlp", "tensor"),
    ("activation_vocab", "tensor"),
    ("activation_frames", None),
    ("activation_height", "sequence"),
    ("activation_width", None),
    ("activation_channels", "tensor"),
)


def make_mesh(shape: Mapping[str, int], devices: Sequence[Any] | None = None) -> Mesh:
    """Mesh with the four axes `MESH_AXES`, each of type Auto.

    Args:
      shape: size of each axis, 1 for an absent one; one axis may be -1 and takes the devices that are left.
      devices: devices to use, all of them; every device of every process by default.

    Raises:
      UserError: an unknown axis, a size that is neither -1 nor positive, two -1, or sizes that do not use the
        devices up exactly.
    """
    devices = list(jax.devices() if devices is None else devices)
    unknown = sorted(set(shape) - set(MESH_AXES))
    if unknown:
        raise UserError(f"mesh: unknown axis {unknown[0]!r}; expected one of {', '.join(MESH_AXES)}")
    sizes = {axis: int(shape.get(axis, 1)) for axis in MESH_AXES}
    asked = ", ".join(f"{axis}={size}" for axis, size in sizes.items())
    if any(size < 1 and size != -1 for size in sizes.values()):
        raise UserError(f"mesh: {asked}: expected sizes of 1 or more, or -1 for the devices that are left")
    free = [axis for axis, size in sizes.items() if size == -1]
    if len(free) > 1:
        raise UserError(f"mesh: {asked}: only one axis may be -1")
    fixed = math.prod(size for size in sizes.values() if size != -1)
    if len(devices) % fixed or (not free and fixed != len(devices)):
        raise UserError(
            f"mesh: {asked} makes {fixed} devices, but {len(devices)} are present; "
            "expected a product that uses all of them (-1 for one axis takes what is left)"
        )
    if free:
        sizes[free[0]] = len(devices) // fixed
    return jax.make_mesh(
        tuple(sizes.values()), MESH_AXES, axis_types=(AxisType.Auto,) * len(MESH_AXES), devices=devices
    )


def make_rules(overrides: Sequence[tuple[str, Any]] = ()) -> Rules:
    """`DEFAULT_RULES` with some names laid out differently, or names added.

    Args:
      overrides: pairs (logical name, mesh axis | sequence of mesh axes | None).

    Raises:
      UserError: a mesh axis that does not exist.
    """
    table = dict(DEFAULT_RULES)
    for name, axes in overrides:
        value = axes if axes is None or isinstance(axes, str) else tuple(axes)
        for axis in _axes(value):
            if axis not in MESH_AXES:
                raise UserError(f"rule {name!r}: mesh axis {axis!r}; expected one of {', '.join(MESH_AXES)}")
        table[name] = value
    return tuple(table.items())


@contextlib.contextmanager
def logical_context(mesh: Mesh, rules: Rules = DEFAULT_RULES) -> Iterator[None]:
    """Inside, `constrain` and Linen's logical names mean positions on `mesh`."""
    with jax.set_mesh(mesh), nn.logical_axis_rules(rules):
        yield


def constrain(x: Array, *logical_names: str | None) -> Array:
    """Lays `x` out as the rules say; does nothing outside `logical_context` and inside `jax.shard_map`.

    Args:
      x: any array.
      logical_names: one name a dimension, None for a dimension that stays whole.

    Raises:
      ValueError: another number of names than dimensions, or a name that the rules lack.
    """
    if len(logical_names) != x.ndim:
        raise ValueError(f"logical names {logical_names} for an array of shape {x.shape}")
    spec = logical_spec(logical_names, x.shape)
    return x if spec is None else jax.lax.with_sharding_constraint(x, spec)


def logical_spec(logical_names: Sequence[str | None], shape: Sequence[int]) -> PartitionSpec | None:
    """The mesh axes that each dimension of an array is split over, for `jax.shard_map` around a kernel.

    None outside `logical_context` and inside `jax.shard_map`: the array is whole there, and a kernel is called as it
    is.

    Raises:
      ValueError: a name that the rules lack.
    """
    rules, mesh = nn.get_logical_axis_rules(), jax.sharding.get_abstract_mesh()
    if not rules or mesh.empty or AxisType.Manual in mesh.axis_types:
        return None
    return _spec(logical_names, shape, mesh.shape, rules)


def param(init: Callable[..., Array], *logical_names: str | None) -> Callable[..., Any]:
    """An initializer whose parameter carries the logical names of its dimensions."""
    return nn.with_logical_partitioning(init, logical_names)


def unbox(tree: PyTree) -> PyTree:
    """Plain arrays in place of Linen's boxes of array and names."""
    return jax.tree.map(lambda x: x.value if _is_box(x) else x, tree, is_leaf=_is_box)


def state_shardings(abstract_boxed_state: PyTree, mesh: Mesh, rules: Rules = DEFAULT_RULES) -> PyTree:
    """A NamedSharding for each array of the unboxed state; arrays without a box are replicated.

    Optimizer moments are made by mapping over the boxed parameters, so they carry the same names.

    Args:
      abstract_boxed_state: `jax.eval_shape` of the function that makes the state.

    Raises:
      ValueError: a box whose names do not fit its array, or a name that the rules lack; says where.
    """

    def sharding(path, leaf):
        if not _is_box(leaf):
            return replicated(mesh)
        where = jax.tree_util.keystr(path)
        if len(leaf.names) != len(leaf.value.shape):
            raise ValueError(f"{where}: logical names {leaf.names} for an array of shape {leaf.value.shape}")
        try:
            return NamedSharding(mesh, _spec(leaf.names, leaf.value.shape, mesh.shape, rules))
        except ValueError as error:
            raise ValueError(f"{where}: {error}") from error

    return jax.tree_util.tree_map_with_path(sharding, abstract_boxed_state, is_leaf=_is_box)


def batch_sharding(mesh: Mesh) -> NamedSharding:
    """Examples (dimension 0) over `data` and `fsdp`, everything else whole."""
    return NamedSharding(mesh, PartitionSpec(BATCH_AXES))


def replicated(mesh: Mesh) -> NamedSharding:
    """The whole array on every device."""
    return NamedSharding(mesh, PartitionSpec())


def batch_shards(mesh: Mesh) -> int:
    """Into how many parts `batch_sharding` splits the examples."""
    return math.prod(mesh.shape[axis] for axis in BATCH_AXES)


def process_shard(mesh: Mesh, process_index: int | None = None) -> tuple[int, int]:
    """(shard index, shard count) of the examples that a process has to read.

    Processes that hold the same examples (the mesh splits something else between them) have the same index.

    Raises:
      UserError: the mesh gives processes examples that overlap without being the same.
    """
    process_index = jax.process_index() if process_index is None else process_index
    data_axes = [MESH_AXES.index(axis) for axis in BATCH_AXES]
    groups = np.moveaxis(mesh.devices, data_axes, (0, 1)).reshape(batch_shards(mesh), -1)
    owned: dict[int, set[int]] = {}
    for part, devices in enumerate(groups):
        for device in devices:
            owned.setdefault(device.process_index, set()).add(part)
    distinct = sorted({tuple(sorted(parts)) for parts in owned.values()})
    sizes = {len(parts) for parts in distinct}
    if len(sizes) != 1 or sum(len(parts) for parts in distinct) != batch_shards(mesh):
        raise UserError(
            f"mesh: {dict(mesh.shape)} splits the batch unevenly over the processes; "
            "expected data x fsdp to be a multiple or a divisor of their number"
        )
    return distinct.index(tuple(sorted(owned[process_index]))), len(distinct)


def _is_box(x: Any) -> bool:
    return isinstance(x, meta.AxisMetadata)


def _axes(value: MeshAxes) -> tuple[str, ...]:
    return () if value is None else (value,) if isinstance(value, str) else value


def _spec(
    names: Sequence[str | None], shape: Sequence[int], mesh_shape: Mapping[str, int], rules: Rules
) -> PartitionSpec:
    """The mesh axes of each dimension, less those that would not divide it."""
    known = {name for name, _ in rules}
    unknown = [name for name in names if name is not None and name not in known]
    if unknown:
        raise ValueError(f"no rule for the logical name {unknown[0]!r}")
    spec = nn.logical_to_mesh_axes(tuple(names), rules)
    parts = [
        axes if size % math.prod(mesh_shape[axis] for axis in _axes(axes)) == 0 else None
        for axes, size in zip(spec, shape, strict=True)
    ]
    return PartitionSpec(*parts)
