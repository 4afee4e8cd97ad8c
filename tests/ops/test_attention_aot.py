"""The TPU kernels of attention through the real TPU compiler, for chips that are not here."""

import functools
import math

import jax
import jax.numpy as jnp
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from magvit_jax.nn.attention import attend, cache_length
from magvit_jax.ops.attention.masks import Mask
from magvit_jax.ops.attention.shapes import DECODE, MAGVIT, PREFIX_LM, Shape
from magvit_jax.partitioning import logical_context, make_mesh

pytestmark = pytest.mark.aot
CHIPS = {"v4": "v4:2x2x1", "v5e": "v5e:2x2", "v5p": "v5p:2x2x1", "v6e": "v6e:2x2"}


@pytest.fixture(scope="module")
def devices():
    pytest.importorskip("libtpu")
    from jax.experimental import topologies

    @functools.cache
    def of(chip):
        return topologies.get_topology_desc(platform="tpu", topology_name=CHIPS[chip]).devices

    return of


def compiled(mesh, shape: Shape, dtype=jnp.bfloat16, segments=False, dropout=0.0, implementation=None):
    """Value and, but for decoding, gradients; nothing says which implementation."""

    def abstract(*dimensions, dtype=jnp.int32):
        spec = PartitionSpec("data", *[None] * (len(dimensions) - 1))
        return jax.ShapeDtypeStruct(dimensions, dtype, sharding=NamedSharding(mesh, spec))

    q = abstract(shape.batch, shape.queries, shape.heads, shape.width, dtype=dtype)
    k = abstract(shape.batch, shape.keys, shape.groups, shape.width, dtype=dtype)
    mask = Mask(shape.kind, prefix_B=abstract(shape.batch) if shape.kind == "prefix" else None)
    if shape.queries == 1:
        mask = mask.replace(query_offset=abstract(shape.batch))
    if segments:
        ids = abstract(shape.batch, shape.queries)
        mask = mask.replace(q_segment_BL=ids, k_segment_BS=ids)

    options = dict(dropout=dropout, implementation=implementation)

    def run(q, k, v, up, mask, data):
        key = jax.random.wrap_key_data(data)
        out, pull = jax.vjp(lambda q, k, v: attend(q, k, v, mask, dropout_key=key, **options), q, k, v)
        return out if shape.queries == 1 else (out, *pull(up))

    with logical_context(mesh):
        return jax.jit(run).lower(q, k, k, q, mask, jax.ShapeDtypeStruct((2,), jnp.uint32)).compile()


@pytest.mark.parametrize("shape", MAGVIT + PREFIX_LM + DECODE, ids=lambda shape: shape.name)
@pytest.mark.parametrize("chip", CHIPS)
def test_every_shape_compiles_for_every_chip_in_a_few_copies_of_its_operands(devices, chip, shape):
    program = compiled(make_mesh({}, devices(chip)[:1]), shape)
    # As they lie in HBM: the head width in whole rows of 128 lanes, lengths in whole blocks of at most 1,024.
    length = max(-(-size // 1024) * 1024 for size in (shape.queries, shape.keys))
    operand = 2 * shape.batch * shape.heads * length * -(-shape.width // 128) * 128
    assert program.memory_analysis().temp_size_in_bytes < 8 * operand


def test_memory_is_linear_in_length(devices):
    mesh = make_mesh({}, devices("v5e")[:1])
    shape = Shape("", 1, 16384, 16384, 4, 4, 64, "causal")
    temporaries = compiled(mesh, shape).memory_analysis().temp_size_in_bytes
    assert temporaries < 8 * 2 * shape.heads * shape.queries * 128  # copies of an operand; the scores are 2 GiB


@pytest.mark.parametrize("chip", CHIPS)
def test_float32_segments_and_dropout(devices, chip):
    shape = Shape("", 1, 2048, 2048, 4, 2, 256, "causal")
    compiled(make_mesh({}, devices(chip)[:1]), shape, jnp.float32, segments=True, dropout=0.1)


def test_the_kernel_is_chosen_on_every_shard_of_a_mesh(devices):
    shape = Shape("", 4, 1026, 1026, 4, 1, 64, "prefix")
    mesh = make_mesh(dict(data=2, tensor=2), devices("v5e"))
    assert compiled(mesh, shape).as_text().count("tpu_custom_call") >= 3
    assert "tpu_custom_call" not in compiled(mesh, shape, implementation="chunked").as_text()


@pytest.mark.parametrize("shape", DECODE, ids=lambda shape: shape.name)
def test_a_cache_is_read_where_it_lies(devices, shape):
    mesh = make_mesh({}, devices("v5e")[:1])
    on = NamedSharding(mesh, PartitionSpec())
    q = jax.ShapeDtypeStruct((shape.batch, 1, shape.heads, shape.width), jnp.bfloat16, sharding=on)
    kept_BGSE = (shape.batch, shape.groups, shape.keys, shape.width)
    cache = jax.ShapeDtypeStruct(kept_BGSE, jnp.bfloat16, sharding=on)
    at = jax.ShapeDtypeStruct((), jnp.int32, sharding=on)

    def step(q, k_BGSE, v_BGSE, at):
        mask = Mask.causal(query_offset=at)
        return attend(q, jnp.swapaxes(k_BGSE, 1, 2), jnp.swapaxes(v_BGSE, 1, 2), mask, implementation="pallas_tpu")

    with logical_context(mesh):
        program = jax.jit(step).lower(q, cache, cache, at).compile()
        assert cache_length(shape.keys, shape.heads, shape.groups, shape.width, jnp.bfloat16) == shape.keys
    assert program.memory_analysis().temp_size_in_bytes < 2 * math.prod(kept_BGSE) / 20
