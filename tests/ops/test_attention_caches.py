"""Lengths of caches: whole blocks where the TPU kernel decodes, and what was asked for elsewhere."""

import jax.numpy as jnp
import pytest

from magvit_jax.ops.attention import caches
from magvit_jax.ops.attention.kernel_parts import block_sizes


@pytest.mark.parametrize("backend", ["cpu", "gpu"])
def test_without_the_kernel_it_is_what_was_asked_for(monkeypatch, backend):
    monkeypatch.setattr(caches, "target_backend", lambda: backend)
    assert caches.cache_length(2881, 16, 16, 128, jnp.bfloat16) == 2881


@pytest.mark.parametrize(("heads", "groups"), [(16, 16), (32, 8)])
@pytest.mark.parametrize("width", [64, 128, 256])
def test_the_kernel_needs_no_padding(monkeypatch, heads, groups, width):
    monkeypatch.setattr(caches, "target_backend", lambda: "tpu")
    kind = "full" if heads > groups else "causal"
    for keys in range(1024, 6000, 37):
        length = caches.cache_length(keys, heads, groups, width, jnp.bfloat16)
        sizes = block_sizes(kind, 1, length, width, jnp.bfloat16)
        assert length % sizes.block_k == 0
        assert keys <= length <= 1.25 * keys
    assert caches.cache_length(1000, heads, groups, width, jnp.bfloat16) == 1000  # XLA decodes
