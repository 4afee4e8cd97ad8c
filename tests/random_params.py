"""Random parameters of a frozen network, without compiling its initializers. Not a test module."""

import flax.traverse_util
import jax.numpy as jnp
import numpy as np

from magvit_jax.pretrained.networks import Definition, abstract_params


def random_params(module, *example, seed=0):
    """Kernels that keep activations near 1, everything else around 0; `example` are the module's inputs."""
    rng = np.random.default_rng(seed)
    flat = {}
    for path, leaf in abstract_params(Definition(module, example)).items():
        scale = np.prod(leaf.shape[:-1]) ** -0.5 if len(leaf.shape) > 1 else 0.5
        flat[path] = jnp.asarray(rng.normal(0, scale, leaf.shape), jnp.float32)
    return flax.traverse_util.unflatten_dict(flat, sep="/")
