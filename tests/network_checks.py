"""What the tests of several networks check alike. Not a test module: a folder's conftest.py makes it importable."""

import jax
import jax.numpy as jnp
import numpy as np


def pixels_seen(function, x_BTHWC):
    """bool [frames out, frames in, H, W]: whether a frame's gradient is anything but exactly zero."""

    @jax.jit
    def slopes(x_BTHWC):
        out, vjp = jax.vjp(function, x_BTHWC)
        weight = jax.random.normal(jax.random.key(3), out.shape)
        one_frame = jnp.eye(out.shape[1])[:, None, :, None, None, None] * weight[None]
        return jax.vmap(lambda cotangent: vjp(cotangent)[0])(one_frame)

    return np.any(np.asarray(slopes(x_BTHWC)), axis=(1, 5))


def frames_seen(function, x_BTHWC):
    """bool [frames out, frames in], as `pixels_seen`."""
    return pixels_seen(function, x_BTHWC).any((2, 3))


def require_same_slopes(model, other, params, video_BTHWC):
    """The gradients of both models' reconstructions agree, as those of a model that recomputes its layers must."""

    def slopes(model):
        loss = lambda p: jnp.square(model.apply(p, video_BTHWC)[0]).mean()  # noqa: E731
        return jax.jit(jax.grad(loss))(params)

    pairs = zip(*(jax.tree.leaves(slopes(m)) for m in (model, other)), strict=True)
    for expected, actual in pairs:
        np.testing.assert_allclose(actual, expected, atol=1e-4, rtol=1e-3)
