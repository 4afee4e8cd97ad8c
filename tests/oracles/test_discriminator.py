"""The discriminator, its slope penalty and that penalty's gradients against PyTorch's double backward pass."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from magvit_jax.partitioning import unbox
from magvit_jax.tokenizer.adversarial import logits_and_slope
from magvit_jax.tokenizer.discriminator import Discriminator

torch = pytest.importorskip("torch")
functional = torch.nn.functional

pytestmark = pytest.mark.oracle
MODEL = Discriminator(4, (2, 2))
CLIP = (3, 4, 8, 8, 3)


def torch_logits(params, video_BCTHW):
    """Written with torch's own layers; kernels are [O, I, T, H, W]."""

    def conv(x, layer, padding=1):
        return functional.conv3d(x, layer["kernel"], layer.get("bias"), padding=padding)

    def act(x):
        return functional.leaky_relu(x, 0.2)

    x = act(conv(video_BCTHW, params["conv_in"]))
    for name in ("block0", "block1"):
        block = params[name]
        h = functional.avg_pool3d(act(conv(x, block["conv1"])), 2)
        h = act(conv(h, block["conv2"]))
        x = (conv(functional.avg_pool3d(x, 2), block["shortcut"], padding=0) + h) / math.sqrt(2)
    x = act(conv(x, params["conv_out"]))
    x = x.permute(0, 2, 3, 4, 1).flatten(1)  # our order: time, height, width, channels
    x = act(x @ params["dense"]["kernel"] + params["dense"]["bias"])
    return (x @ params["logit"]["kernel"] + params["logit"]["bias"])[:, 0]


def test_logits_penalty_and_its_gradients():
    video = np.random.default_rng(0).uniform(size=CLIP).astype(np.float32)
    shapes = unbox(jax.eval_shape(MODEL.init, jax.random.key(0), jnp.zeros(CLIP))["params"])
    rng = np.random.default_rng(1)
    params = jax.tree.map(lambda x: rng.normal(0, 0.3, x.shape).astype(np.float32), shapes)

    def penalty(params):
        logits_B, slope = logits_and_slope(lambda x: MODEL.apply({"params": params}, x), jnp.asarray(video))
        return slope, logits_B

    (slope, logits_B), grads = jax.jit(jax.value_and_grad(penalty, has_aux=True))(params)

    def to_torch(x):
        x = torch.tensor(x, dtype=torch.float64)
        return (x.permute(4, 3, 0, 1, 2) if x.ndim == 5 else x).contiguous().requires_grad_()

    def from_torch(x):
        return (x.permute(2, 3, 4, 1, 0) if x.ndim == 5 else x).numpy()

    theirs = jax.tree.map(to_torch, params)
    clip = torch.tensor(video, dtype=torch.float64).permute(0, 4, 1, 2, 3).requires_grad_()
    logits = torch_logits(theirs, clip)
    (by_pixel,) = torch.autograd.grad(logits.sum(), clip, create_graph=True)
    expected = by_pixel.square().flatten(1).sum(1).mean()
    leaves, tree = jax.tree.flatten(theirs)
    found = torch.autograd.grad(expected, leaves, allow_unused=True)
    np.testing.assert_allclose(logits_B, logits.detach(), rtol=1e-4, atol=1e-5)
    assert float(slope) == pytest.approx(expected.item(), rel=1e-4)
    for ours, wanted in zip(jax.tree.leaves(grads), found, strict=True):
        wanted = np.zeros(ours.shape) if wanted is None else from_torch(wanted)
        assert np.linalg.norm(ours - wanted) <= 1e-4 * np.linalg.norm(wanted) + 1e-6
