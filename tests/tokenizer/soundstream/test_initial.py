"""Initial parameters from one draw are those of the modules' own initializers, but for the numbers."""

import jax
import jax.numpy as jnp
import numpy as np

from magvit_jax.partitioning import unbox
from magvit_jax.tokenizer.soundstream.initial import initial_params
from magvit_jax.tokenizer.soundstream.layers import Encoder


def test_kernels_have_the_spread_of_the_modules_own_and_biases_are_zero():
    model, audio = Encoder(channels=16, strides=(2,), latent_dim=16), jnp.zeros((1, 4, 1))
    one, own = jax.jit(lambda k: (initial_params(model, k, audio), model.init(k, audio)["params"]))(jax.random.key(0))
    jax.tree.map(lambda a, b: None, one, own)  # of the same structure, boxes included
    ours, theirs = (jax.tree_util.tree_leaves_with_path(unbox(tree)) for tree in (one, own))
    for (path, a), (_, b) in zip(ours, theirs, strict=True):
        assert a.shape == b.shape and a.dtype == b.dtype
        if path[-1].key == "bias":
            assert not a.any()
            continue
        # Of n samples the deviation is known to 1 / sqrt(2 n), both to sqrt(2) of that.
        np.testing.assert_allclose(a.std(), b.std(), rtol=4 / np.sqrt(a.size))
        assert np.abs(a).max() < 2.5 * a.std()
    values = np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(unbox(one))])
    values = values[values != 0]
    assert len(np.unique(values)) > 0.99 * len(values)  # no two kernels share a part of the draw
