"""The discriminator: published sizes, independence of examples, and gradients of gradients."""

import functools
import math
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny_models import quick_compilation

from magvit_jax.aot import hlo_text, values
from magvit_jax.errors import UserError
from magvit_jax.partitioning import batch_sharding, logical_context, make_mesh, state_shardings, unbox
from magvit_jax.tokenizer.adversarial import logits_and_slope
from magvit_jax.tokenizer.discriminator import Discriminator

PUBLISHED = (2, 4, 4, 4, 4)
TINY = dict(base_channels=4, channel_multipliers=(2,))


def shapes(model, *clip):
    video = jax.ShapeDtypeStruct((1, *clip, 3), jnp.float32)
    return jax.eval_shape(model.init, jax.eval_shape(lambda: jax.random.key(0)), video)["params"]


def random_params(model, *clip):
    rng = np.random.default_rng(0)
    return jax.tree.map(lambda x: jnp.asarray(rng.normal(0, 0.3, x.shape), x.dtype), unbox(shapes(model, *clip)))


@functools.partial(jax.jit, static_argnums=0)
def judged(model, params, video):
    return model.apply({"params": params}, video)


@pytest.mark.parametrize(("base", "millions"), [(64, 15.3), (128, 61.3)])
@pytest.mark.parametrize("pooling", ["average", "blur"])
def test_param_count(base, millions, pooling):
    """Sec. 3.2.2 and Fig. 3.1, and the authors' code: B 15.3M, L 61.3M."""
    model = Discriminator(base, PUBLISHED, pooling)
    count = sum(math.prod(x.shape) for x in jax.tree.leaves(unbox(shapes(model, 16, 128, 128))))
    assert count == pytest.approx(millions * 1e6, rel=0.005)


def test_param_count_is_that_of_17_frames_and_of_what_is_written_down():
    """5 halvings of 16 or 17 frames leave one, of 128 pixels four."""
    model = Discriminator(64, PUBLISHED)
    params = unbox(shapes(model, 17, 128, 128))
    assert params == unbox(shapes(model, 16, 128, 128))
    assert params["dense"]["kernel"].shape == (1 * 4 * 4 * 256, 256)
    assert params["logit"]["kernel"].shape == (256, 1)
    assert params["conv_in"]["kernel"].shape == (3, 3, 3, 3, 64) and "bias" in params["conv_in"]
    assert params["block1"]["conv1"]["kernel"].shape == (3, 3, 3, 128, 128)
    assert params["block1"]["conv2"]["kernel"].shape == (3, 3, 3, 128, 256)
    assert set(params["block1"]["shortcut"]) == {"kernel"}
    assert params["block1"]["shortcut"]["kernel"].shape == (1, 1, 1, 128, 256)


def test_initial_kernels_are_xavier_uniform():
    init = jax.jit(Discriminator(16, (2,)).init)
    params = unbox(init(jax.random.key(0), jnp.zeros((1, 2, 4, 4, 3)))["params"])
    for kernel, fans in (
        (params["block0"]["conv2"]["kernel"], 27 * (16 + 32)),
        (params["dense"]["kernel"], 1 * 2 * 2 * 32 + 32),
    ):
        bound = math.sqrt(6 / fans)
        assert 0.95 * bound < float(jnp.abs(kernel).max()) <= bound
        assert float(kernel.std()) == pytest.approx(bound / math.sqrt(3), rel=0.05)


def test_a_block_by_hand():
    """One frame of one pixel: pooling changes nothing, only the middle tap counts."""
    model = Discriminator(2, (1,))
    params = random_params(model, 1, 1, 1)
    x = np.array([0.2, 0.5, 0.9])

    def leaky(h):
        return np.where(h > 0, h, 0.2 * h)

    def conv(h, layer):
        return h @ np.asarray(layer["kernel"], np.float64)[1, 1, 1] + np.asarray(layer["bias"], np.float64)

    block = params["block0"]
    h = leaky(conv(x, params["conv_in"]))
    inner = leaky(conv(leaky(conv(h, block["conv1"])), block["conv2"]))
    h = (inner + h @ np.asarray(block["shortcut"]["kernel"], np.float64)[0, 0, 0]) / np.sqrt(2)
    h = leaky(conv(h, params["conv_out"]))
    h = leaky(h @ np.asarray(params["dense"]["kernel"]) + np.asarray(params["dense"]["bias"]))
    expected = h @ np.asarray(params["logit"]["kernel"]) + np.asarray(params["logit"]["bias"])
    logits = judged(model, params, jnp.asarray(x, jnp.float32).reshape(1, 1, 1, 1, 3))
    np.testing.assert_allclose(logits, expected, rtol=1e-5)


@pytest.mark.parametrize("pooling", ["average", "blur"])
@pytest.mark.parametrize("frames", [4, 5, 1])
def test_no_example_sees_another_and_every_frame_counts(pooling, frames):
    model = Discriminator(**TINY, pooling=pooling)
    params = random_params(model, frames, 8, 8)
    video = jax.random.uniform(jax.random.key(1), (3, frames, 8, 8, 3))
    slopes = jax.jit(jax.jacrev(lambda x: model.apply({"params": params}, x)))(video)
    seen = np.abs(slopes).sum((3, 4, 5))  # [logit, example, frame]
    for logit in range(3):
        for example in range(3):
            assert (seen[logit, example] > 0).all() == (logit == example)
            assert (seen[logit, example] == 0).all() == (logit != example)


def test_an_image_model_judges_frames_one_by_one():
    model = Discriminator(**TINY, dims=2)
    params = random_params(model, 1, 8, 8)
    assert params["conv_in"]["kernel"].shape == (1, 3, 3, 3, 4)
    video = jax.random.uniform(jax.random.key(1), (2, 3, 8, 8, 3))
    logits = judged(model, params, video)
    alone = judged(model, params, video[1:, 2:])
    assert logits.shape == (6,)
    np.testing.assert_allclose(logits[5], alone[0], rtol=1e-5)


def test_bfloat16_is_the_same_network():
    models = [Discriminator(**TINY, dtype=dtype) for dtype in (jnp.float32, jnp.bfloat16)]
    params = random_params(models[0], 4, 8, 8)
    video = jax.random.uniform(jax.random.key(1), (4, 4, 8, 8, 3))
    exact, rounded = (judged(model, params, video) for model in models)
    assert rounded.dtype == jnp.float32
    np.testing.assert_allclose(rounded, exact, atol=0.05 * float(jnp.abs(exact).max()))


def penalty_gradient(model, params, video):
    def penalty(params):
        return logits_and_slope(lambda x: model.apply({"params": params}, x), video)[1]

    return jax.grad(penalty)(params)


def test_the_slope_penalty_differentiates_by_the_parameters():
    """By Euler's theorem: without biases the slope is linear in each layer's kernel, so <gradient, kernel> = 2 penalty.

    (Differences would not do: the slope of a leaky ReLU network jumps where a unit changes sides.)
    """
    model = Discriminator(**TINY, pooling="blur")
    video = jax.random.uniform(jax.random.key(1), (2, 3, 6, 6, 3))
    params = jax.tree_util.tree_map_with_path(
        lambda path, x: x * float(path[-1].key == "kernel"), random_params(model, 3, 6, 6)
    )
    penalty = jax.jit(lambda p: logits_and_slope(lambda x: model.apply({"params": p}, x), video)[1])(params)
    grads = jax.jit(penalty_gradient, static_argnums=0)(model, params, video)
    along = jax.tree.map(lambda g, p: float((g * p).sum()), grads, params)
    for layer in ("conv_in", "conv_out", "dense", "logit"):
        assert along[layer]["kernel"] == pytest.approx(2 * float(penalty), rel=1e-4), layer
    block = {name: layer["kernel"] for name, layer in along["block0"].items()}
    assert block["conv1"] == pytest.approx(block["conv2"], rel=1e-4)  # one after the other
    assert block["conv2"] + block["shortcut"] == pytest.approx(2 * float(penalty), rel=1e-4)  # side by side
    biases = [x for path, x in jax.tree_util.tree_leaves_with_path(grads) if path[-1].key == "bias"]
    assert biases and all(float(jnp.abs(x).max()) == 0.0 for x in biases)


def test_remat_changes_no_gradient_of_a_gradient():
    video = jax.random.uniform(jax.random.key(1), (2, 3, 6, 6, 3))
    params = random_params(Discriminator(**TINY), 3, 6, 6)
    gradient = jax.jit(penalty_gradient, static_argnums=0)
    plain, again = (gradient(Discriminator(**TINY, remat=remat), params, video) for remat in (False, True))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), plain, again)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (dict(pooling="max"), "discriminator.pooling: 'max'; expected one of average, blur"),
        (dict(dims=4), "discriminator.dims: 4; expected 2 or 3"),
        (dict(channel_multipliers=()), "expected one multiplier or more"),
        (dict(base_channels=0), "base_channels 0"),
    ],
)
def test_bad_fields(fields, message):
    with pytest.raises(UserError, match=re.escape(message)):
        Discriminator(**(TINY | fields))


def test_on_a_mesh_no_device_holds_all_examples():
    model, batch = Discriminator(8, (2,)), 40  # no other dimension is 40
    mesh = make_mesh(dict(fsdp=8))
    boxed = shapes(model, 4, 8, 8)
    placed = jax.tree.map(
        lambda x, on: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=on), unbox(boxed), state_shardings(boxed, mesh)
    )
    video = jax.ShapeDtypeStruct((batch, 4, 8, 8, 3), jnp.float32, sharding=batch_sharding(mesh))
    with logical_context(mesh), quick_compilation():
        slopes = jax.jit(jax.grad(lambda p, x: jnp.sum(model.apply({"params": p}, x) ** 2), (0, 1)))
        program = slopes.lower(placed, video).compile().as_text()
    assert values.leading(hlo_text.parse(program), batch) == []
