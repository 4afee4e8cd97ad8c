"""Counts of real programs: scanned against unrolled layers, with and without constraints on activations.

Compiled for the eight simulated devices; marked `aot`, the same for a TPU slice.
"""

import functools

import jax
import jax.numpy as jnp
import pytest
from tiny_models import quick_compilation

from magvit_jax import partitioning
from magvit_jax.aot import hlo, hlo_text, values
from magvit_jax.aot.topology import get_topology
from magvit_jax.partitioning import batch_sharding, logical_context, make_mesh, state_shardings, unbox
from magvit_jax.transformer.masked import MaskedTransformer

LAYERS, BATCH, LENGTH = 4, 104, 66  # 13 examples on each of 8 devices; no other dimension is 104
MESHES = {"data": dict(data=8), "fsdp": dict(fsdp=8), "tensor": dict(fsdp=2, tensor=4)}


def compiled(mesh, scan_layers, **sizes):
    """Gradients of a masked transformer, as the optimised program of one device."""
    sizes = dict(width=64, heads=4, mlp_dim=256) | sizes
    model = MaskedTransformer(
        codes=64, num_special=3, max_length=LENGTH, factors=1, layers=LAYERS, dropout=0.0, attention_dropout=0.0,
        norm="pre", dtype=jnp.float32, scan_layers=scan_layers, remat="full", **sizes,
    )  # fmt: skip
    boxed = jax.eval_shape(model.init, jax.eval_shape(lambda: jax.random.key(0)), jnp.zeros((1, LENGTH), jnp.int32))
    shardings = state_shardings(boxed, mesh)
    params = jax.tree.map(lambda x, s: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=s), unbox(boxed), shardings)
    ids_BL = jax.ShapeDtypeStruct((BATCH, LENGTH), jnp.int32, sharding=batch_sharding(mesh))

    def loss(params, ids_BL):
        return jnp.mean(jnp.square(model.apply(params, ids_BL)))

    with logical_context(mesh):
        step = jax.jit(jax.grad(loss), out_shardings=shardings).lower(params, ids_BL)
    with quick_compilation():
        return step.compile().as_text()


@functools.cache
def simulated(name, scan_layers):
    return compiled(make_mesh(MESHES[name], jax.devices()), scan_layers)


def shares(scanned, unrolled):
    """Of each number the scanned program's share of the unrolled one's."""
    ours, theirs = hlo.count(scanned, 8), hlo.count(unrolled, 8)
    assert not ours.unknown_loops
    return {
        name: getattr(ours, name) / getattr(theirs, name) for name in ("flops", "hbm_bytes", "wire_bytes")
    }


@pytest.mark.parametrize("name", ["data", "fsdp"])
def test_scanned_layers_count_as_unrolled_ones(name):
    found = shares(simulated(name, True), simulated(name, False))
    assert found["flops"] == pytest.approx(1.0, rel=1e-6)
    assert found["wire_bytes"] == pytest.approx(1.0, rel=0.05)
    assert found["hbm_bytes"] == pytest.approx(1.0, rel=0.05)


def test_no_activation_carries_the_global_batch_unless_constraints_are_gone(monkeypatch):
    kept = simulated("tensor", True)
    assert values.leading(hlo_text.parse(kept), BATCH) == []
    monkeypatch.setattr(partitioning, "logical_spec", lambda names, shape: None)
    gone = compiled(make_mesh(MESHES["tensor"], jax.devices()), True)
    ours, theirs = hlo.count(kept, 8), hlo.count(gone, 8)
    assert theirs.flops > 1.05 * ours.flops or theirs.wire_bytes > 1.05 * ours.wire_bytes


@pytest.mark.aot
def test_scanned_layers_count_as_unrolled_ones_on_a_tpu():
    mesh = make_mesh(dict(data=8), get_topology("v5e:2x4").devices)
    found = shares(*(compiled(mesh, scan, width=512, heads=8, mlp_dim=2048) for scan in (True, False)))
    assert found["flops"] == pytest.approx(1.0, rel=0.05)
    assert found["wire_bytes"] == pytest.approx(1.0, rel=0.05)
    assert found["hbm_bytes"] == pytest.approx(1.0, rel=0.05)
