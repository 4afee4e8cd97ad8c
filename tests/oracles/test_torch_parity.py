"""Parity with independent PyTorch code, where a package has it. Skips without the extra `oracles`."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from magvit_jax import ops
from magvit_jax.nn.norm import normalize_groups
from magvit_jax.nn.transformer import EncoderLayer

torch = pytest.importorskip("torch", reason="needs torch and the extra `oracles`")
pytestmark = pytest.mark.oracle


def tensor(x: np.ndarray) -> "torch.Tensor":
    return torch.from_numpy(np.asarray(x, np.float64).astype(np.float32))


@pytest.mark.parametrize("strides", [(1, 1, 1), (1, 2, 2), (2, 2, 2), (2, 1, 1)])
@pytest.mark.parametrize("implementation", ["xla_conv3d", "sum_conv2d", "stacked_conv2d"])
def test_causal_conv3d_is_a_left_padded_conv3d(strides, implementation):
    rng = np.random.default_rng(0)
    x_BTHWC = rng.normal(size=(2, 5, 6, 8, 4)).astype(np.float32)
    kernel_THWIO = rng.normal(size=(3, 3, 3, 4, 6)).astype(np.float32)
    ours = ops.causal_conv3d(jnp.asarray(x_BTHWC), jnp.asarray(kernel_THWIO), strides, implementation)
    x_BCTHW = torch.nn.functional.pad(tensor(x_BTHWC.transpose(0, 4, 1, 2, 3)), (1, 1, 1, 1, 2, 0))
    theirs = torch.nn.functional.conv3d(x_BCTHW, tensor(kernel_THWIO.transpose(4, 3, 0, 1, 2)), stride=strides)
    np.testing.assert_allclose(ours, theirs.numpy().transpose(0, 2, 3, 4, 1), atol=2e-5)


@pytest.mark.parametrize("statistics", ["clip", "frame"])
def test_group_norm(statistics):
    x_BTHWC = np.random.default_rng(1).normal(1.0, 3.0, size=(2, 3, 4, 5, 8)).astype(np.float32)
    ours = normalize_groups(jnp.asarray(x_BTHWC), 4, statistics, 1e-6)
    if statistics == "clip":
        theirs = torch.nn.functional.group_norm(tensor(x_BTHWC.transpose(0, 4, 1, 2, 3)), 4, eps=1e-6)
        theirs = theirs.numpy().transpose(0, 2, 3, 4, 1)
    else:
        frames = tensor(x_BTHWC.reshape(6, 4, 5, 8).transpose(0, 3, 1, 2))
        theirs = torch.nn.functional.group_norm(frames, 4, eps=1e-6).numpy().transpose(0, 2, 3, 1)
        theirs = theirs.reshape(x_BTHWC.shape)
    np.testing.assert_allclose(ours, theirs, atol=2e-5)


@pytest.mark.parametrize("norm", ["post", "pre"])
def test_encoder_layer(norm):
    width, heads, mlp = 24, 3, 48
    layer = EncoderLayer(
        heads=heads,
        mlp_dim=mlp,
        dropout=0.0,
        attention_dropout=0.0,
        norm=norm,
        kernel_init=nn.initializers.normal(0.2),
        dtype=jnp.float32,
    )
    x_BLD = np.random.default_rng(2).normal(size=(2, 7, width)).astype(np.float32)
    params = nn.unbox(layer.init(jax.random.key(0), jnp.asarray(x_BLD), True))["params"]
    params = jax.tree.map(lambda p: p + 0.1 * jax.random.normal(jax.random.key(p.size), p.shape), params)
    ours = layer.apply({"params": params}, jnp.asarray(x_BLD), True)
    theirs = torch.nn.TransformerEncoderLayer(
        width,
        heads,
        mlp,
        dropout=0.0,
        activation=lambda x: torch.nn.functional.gelu(x, approximate="tanh"),
        layer_norm_eps=1e-12,
        batch_first=True,
        norm_first=norm == "pre",
    )
    _load(theirs, params, width)
    with torch.no_grad():
        np.testing.assert_allclose(ours, theirs(tensor(x_BLD)).numpy(), atol=2e-5)


def _load(module: "torch.nn.Module", params: dict, width: int) -> None:
    """Copies our parameters under PyTorch's names; prints ours if they are not the expected ones."""
    attention = params["attention"]
    qkv = np.asarray(attention["qkv_kernel"])  # [D, 3, N, E]
    state = {
        "self_attn.in_proj_weight": qkv.reshape(width, -1).T,
        "self_attn.in_proj_bias": np.asarray(attention["qkv_bias"]).reshape(-1),
        "self_attn.out_proj.weight": np.asarray(attention["out_kernel"]).reshape(-1, width).T,
        "self_attn.out_proj.bias": attention["out_bias"],
        "linear1.weight": np.asarray(params["mlp_in"]["kernel"]).T,
        "linear1.bias": params["mlp_in"]["bias"],
        "linear2.weight": np.asarray(params["mlp_out"]["kernel"]).T,
        "linear2.bias": params["mlp_out"]["bias"],
        "norm1.weight": params["attention_norm"]["scale"],
        "norm1.bias": params["attention_norm"]["bias"],
        "norm2.weight": params["mlp_norm"]["scale"],
        "norm2.bias": params["mlp_norm"]["bias"],
    }
    module.load_state_dict({name: tensor(value) for name, value in state.items()})


def test_lfq_entropy_against_vector_quantize_pytorch():
    """Theirs clamps probabilities at 1e-5 inside the logarithm, so it is compared where no code is that rare."""
    lfq = pytest.importorskip("vector_quantize_pytorch").LFQ
    bits, temperature = 6, 1.0
    z_NK = np.random.default_rng(3).normal(0.0, 0.3, size=(50, bits)).astype(np.float32)
    theirs = lfq(dim=bits, codebook_size=2**bits, entropy_loss_weight=1.0, diversity_gamma=1.0)
    theirs.train()
    breakdown = theirs(tensor(z_NK)[None], inv_temperature=1.0 / temperature, return_loss_breakdown=True)[1]
    sample, mean = ops.lfq_entropy(jnp.asarray(z_NK), temperature)
    np.testing.assert_allclose(sample, breakdown.per_sample_entropy.item(), rtol=1e-4)
    np.testing.assert_allclose(mean, breakdown.batch_entropy.item(), rtol=1e-4)
