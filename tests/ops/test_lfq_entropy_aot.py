"""The TPU kernel of the LFQ entropies through the real TPU compiler, for chips that are not here."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental import topologies
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from magvit_jax.errors import UserError
from magvit_jax.nn.entropy import lfq_entropy
from magvit_jax.ops.lfq_entropy.plan import hbm_bytes, make_plan
from magvit_jax.partitioning import batch_sharding, logical_context, make_mesh

pytestmark = pytest.mark.aot
CHIPS = {"v4": "v4:2x2x1", "v5e": "v5e:2x2", "v5p": "v5p:2x2x1", "v6e": "v6e:2x2"}
MiB = 2**20


@pytest.fixture(scope="module")
def devices():
    pytest.importorskip("libtpu")

    @functools.cache
    def of(chip):
        return topologies.get_topology_desc(platform="tpu", topology_name=CHIPS[chip]).devices

    return of


def penalty(z, implementation=None):
    sample, mean = lfq_entropy(z, 0.01, implementation=implementation)
    return sample - mean


def compiled(mesh, rows, bits, implementation=None):
    """Value and gradient on a mesh of TPUs, rows split like examples; nothing says which implementation."""
    z = jax.ShapeDtypeStruct((rows, bits), jnp.float32, sharding=batch_sharding(mesh))
    with logical_context(mesh):
        function = functools.partial(penalty, implementation=implementation)
        return jax.jit(jax.value_and_grad(function)).lower(z).compile()


@pytest.mark.parametrize("chip", CHIPS)
def test_18_bits_fit_everywhere(devices, chip):
    """10,240 rows: the half-probabilities alone would be 40 MiB."""
    program = compiled(make_mesh({}, devices(chip)[:1]), 10240, 18)
    assert program.memory_analysis().temp_size_in_bytes <= 4 * MiB


def test_traffic_of_the_whole_program(devices):
    """The compiler's count, with what XLA does beside the kernels: padding, the table's slope."""
    program = compiled(make_mesh({}, devices("v5e")[:1]), 10240, 18)
    moved = program.cost_analysis()["bytes accessed"]
    assert moved < 1.1e9 / 50 and moved < 3 * sum(hbm_bytes(make_plan(10240, 18)))


@pytest.mark.parametrize(("rows", "bits"), [(33, 1), (1281, 15), (10240, 24)])
def test_small_odd_and_large(devices, rows, bits):
    program = compiled(make_mesh({}, devices("v5e")[:1]), rows, bits)
    assert program.memory_analysis().temp_size_in_bytes <= 1.1 * 4 * 2**bits + MiB  # the table and its slope


@pytest.mark.parametrize("implementation", [None, "pallas_tpu"])
def test_four_chips_reduce_the_table_and_gather_nothing(devices, implementation):
    mesh = make_mesh({"data": 2, "fsdp": 2}, devices("v5e"))
    text = compiled(mesh, 10240, 18, implementation).as_text()
    reductions = [line for line in text.splitlines() if "all-reduce" in line]
    assert any("f32[512,512]" in line for line in reductions)
    assert "all-gather" not in text and text.count("tpu_custom_call") >= 2


def test_the_precisions_compile(devices):
    from magvit_jax import ops

    mesh = Mesh(np.array(devices("v5e")[:1]), ("data",), axis_types=(AxisType.Auto,))
    z = jax.ShapeDtypeStruct((512, 18), jnp.float32, sharding=NamedSharding(mesh, PartitionSpec()))
    for precision in jax.lax.Precision:

        def mean_entropy(z, precision=precision):
            return ops.lfq_entropy(z, 0.01, precision=precision)[1]

        with jax.set_mesh(mesh):
            assert "tpu_custom_call" in jax.jit(jax.grad(mean_entropy)).lower(z).as_text()
            jax.jit(jax.grad(mean_entropy)).lower(z).compile()


def test_named_without_a_mesh_of_tpus_is_refused():
    with pytest.raises(UserError, match="'pallas_tpu' needs a TPU"):
        penalty(jnp.zeros((4, 4)), "pallas_tpu")
