"""Convolutions whose batch, input and output channels are all split over a mesh: the gradients of one device."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from magvit_jax.nn.conv import CausalConv3D
from magvit_jax.partitioning import (
    batch_sharding,
    logical_context,
    make_mesh,
    make_rules,
    state_shardings,
    unbox,
)


class TwoConvs(nn.Module):
    @nn.compact
    def __call__(self, x):
        return CausalConv3D(64)(nn.swish(CausalConv3D(64)(x)))


def gradients(mesh, x, boxed, params):
    model, rules = TwoConvs(), make_rules(())
    with logical_context(mesh, rules):
        params = jax.device_put(params, state_shardings(boxed, mesh, rules))
        x = jax.device_put(x, batch_sharding(mesh))
        assert mesh.size == 1 or not params["CausalConv3D_0"]["kernel"].sharding.is_fully_replicated
        loss = lambda params, x: jnp.sum(jnp.sin(model.apply({"params": params}, x)))  # noqa: E731
        return jax.tree.map(np.asarray, jax.jit(jax.grad(loss, argnums=(0, 1)))(params, x))


def test_gradients_of_stacked_convolutions_on_data_fsdp_and_tensor_axes():
    """With the kernels left split over fsdp, XLA's partitioner gave the first one wrong gradients, silently."""
    x = jax.random.normal(jax.random.key(0), (8, 3, 8, 8, 64))
    boxed = TwoConvs().init(jax.random.key(1), x)["params"]
    one = gradients(make_mesh({}, jax.devices()[:1]), x, boxed, unbox(boxed))
    eight = gradients(make_mesh(dict(data=2, fsdp=2, tensor=2)), x, boxed, unbox(boxed))
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(eight), strict=True):
        assert np.linalg.norm(a - b) < 1e-5 * np.linalg.norm(a)
