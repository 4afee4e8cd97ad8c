import jax
import jax.numpy as jnp
import numpy as np

from magvit_jax.nn.transformer import LayerNorm, gelu


def test_gelu_and_its_gradient_equal_the_tanh_form():
    x = jnp.linspace(-8, 8, 999)
    np.testing.assert_allclose(gelu(x), jax.nn.gelu(x, approximate=True), atol=2e-6)
    ours = jax.vmap(jax.grad(gelu))(x)
    np.testing.assert_allclose(ours, jax.vmap(jax.grad(lambda x: jax.nn.gelu(x, approximate=True)))(x), atol=5e-6)
    assert np.all(np.isfinite(jax.vmap(jax.grad(gelu))(jnp.array([-1e4, -60.0, 60.0, 1e4]))))


def test_layer_norm_written_out_and_in_float32_for_bfloat16():
    module = LayerNorm(jnp.float32)
    x = jnp.array([[[1.0, 2.0, 3.0, 6.0]]])
    variables = {"params": {"scale": jnp.array([1.0, 1.0, 1.0, 2.0]), "bias": jnp.array([0.0, 0.0, 1.0, 0.0])}}
    expected = np.array([-2.0, -1.0, 0.0, 6.0]) / np.sqrt(3.5) + np.array([0, 0, 1, 0])
    np.testing.assert_allclose(module.apply(variables, x)[0, 0], expected, rtol=1e-6)
    far = (x + 1000).astype(jnp.bfloat16)  # spacing 4 at 1000: its own float32 statistics, not bfloat16's
    exact = np.asarray(far, np.float64)[0, 0]
    exact = (exact - exact.mean()) / exact.std() * [1, 1, 1, 2] + [0, 0, 1, 0]
    np.testing.assert_allclose(module.apply(variables, far)[0, 0], exact, rtol=1e-5, atol=1e-5)
