"""VideoPoet's transformer against a Llama of Hugging Face with the same parameters: logits, and greedy tokens."""

import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from magvit_jax.generation.multimodal import blank_sequences
from magvit_jax.partitioning import unbox
from magvit_jax.transformer.multimodal import MultimodalTransformer

torch = pytest.importorskip("torch", reason="needs torch and the extra `oracles`")
pytest.importorskip("transformers", reason="needs torch and the extra `oracles`")
pytestmark = pytest.mark.oracle

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))


def test_a_causal_prefix_makes_it_a_llama():
    """Grouped queries, head widths that are not width / heads, random norms: all of them matter."""
    import bench_decode_lm
    import torch_llama

    sizes = dict(vocabulary_size=50, width=24, layers=2, heads=4, kv_heads=2, head_width=10, mlp_dim=40)
    module = MultimodalTransformer(**bench_decode_lm.SHARED, **sizes)
    shapes = jax.eval_shape(module.init, jax.random.key(0), blank_sequences(), None)["params"]
    rng = np.random.default_rng(0)
    params = jax.tree.map(lambda x: jnp.asarray(rng.normal(0, 0.4, x.shape), jnp.float32), unbox(shapes))
    params["embedding"]["bias"] = jnp.zeros_like(params["embedding"]["bias"])
    peer = torch_llama.llama(module, 40)
    torch_llama.load(peer, module, params)
    ids_BL = jnp.asarray(rng.integers(0, 50, (3, 12)), jnp.int32)
    mine = np.asarray(module.apply({"params": params}, bench_decode_lm.prefix_of(ids_BL), None))
    with torch.inference_mode():
        other = peer(torch.from_numpy(np.asarray(ids_BL, np.int64))).logits.numpy()
    np.testing.assert_allclose(mine, other, rtol=2e-4, atol=2e-4)
    for cached in (True, False):
        made = bench_decode_lm.ours(module, 8, cached)(params, ids_BL)
        np.testing.assert_array_equal(made, bench_decode_lm.theirs(peer, 8, cached)(ids_BL))
    params["embedding"]["bias"] += 1.0
    with pytest.raises(ValueError, match="expected a head without bias"):
        torch_llama.load(peer, module, params)
