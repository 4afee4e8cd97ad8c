"""The networks that read or hear, in other types of computing."""

import jax
import jax.numpy as jnp
import pytest

from magvit_jax.pretrained.language import LANGUAGE


@pytest.mark.parametrize("name", ["clip_vit_b32", "vggish", "t5_v1_1_small"])
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_features_are_float32(name, dtype):
    definition = LANGUAGE[name](dtype)
    features, _ = jax.eval_shape(definition.module.init_with_output, jax.random.key(0), *definition.example)
    assert {leaf.dtype for leaf in jax.tree.leaves(features)} == {jnp.dtype("float32")}
