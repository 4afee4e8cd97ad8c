"""Group normalisation against float64 formulas, and what it may see."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from magvit_jax.errors import UserError
from magvit_jax.nn.norm import AdaptiveGroupNorm, GroupNorm, MomentsGroupNorm, align_latents

EPS = 1e-6


def normalized(x_BTHWC, groups, statistics):
    """The formula, group by group, in float64."""
    x = np.asarray(x_BTHWC, np.float64)
    out = np.empty_like(x)
    width = x.shape[-1] // groups
    frames = [slice(i, i + 1) for i in range(x.shape[1])] if statistics == "frame" else [slice(None)]
    for b in range(x.shape[0]):
        for frame in frames:
            for g in range(groups):
                part = x[b, frame, :, :, g * width : (g + 1) * width]
                scaled = (part - part.mean()) / np.sqrt(part.var() + EPS)
                out[b, frame, :, :, g * width : (g + 1) * width] = scaled
    return out


def video(shape=(2, 3, 4, 5, 8), offset=0.0):
    rng = np.random.default_rng(0)
    return jnp.asarray(rng.normal(rng.normal(size=shape[1:2] + (1, 1, 1)) + offset, 2.0, shape), jnp.float32)


@pytest.mark.parametrize("statistics", ["frame", "clip"])
def test_group_norm_is_the_formula(statistics):
    x = video()
    rng = np.random.default_rng(1)
    scale, bias = rng.normal(size=(2, 8)).astype(np.float32)
    norm = GroupNorm(groups=2, statistics=statistics, eps=EPS)
    y = norm.apply({"params": {"scale": jnp.asarray(scale), "bias": jnp.asarray(bias)}}, x)
    np.testing.assert_allclose(y, normalized(x, 2, statistics) * scale + bias, atol=2e-5)


def test_group_norm_keeps_its_digits_far_from_zero():
    # E[x^2] - E[x]^2 in float32 would have no correct digit left here.
    x = video(offset=3000.0)
    y = GroupNorm(groups=2, eps=EPS).apply({"params": {"scale": jnp.ones(8), "bias": jnp.zeros(8)}}, x)
    np.testing.assert_allclose(y, normalized(x, 2, "frame"), atol=2e-3)


@pytest.mark.parametrize("statistics", ["frame", "clip"])
def test_only_clip_statistics_see_other_frames(statistics):
    norm = GroupNorm(groups=2, statistics=statistics)
    x = video((1, 4, 3, 3, 4))
    params = norm.init(jax.random.key(0), x)
    slope = jax.jit(jax.grad(lambda x: jnp.square(norm.apply(params, x)[:, 1, 0]).sum()))(x)
    others = np.asarray(slope)[:, [0, 2, 3]]
    assert np.any(np.asarray(slope)[:, 1])
    assert np.any(others) == (statistics == "clip")


def test_latents_are_aligned_with_the_frames_that_they_came_from():
    z = jnp.arange(3, dtype=jnp.float32).reshape(1, 3, 1, 1, 1)
    shown = align_latents(z, frames=9, height=1, width=1)[0, :, 0, 0, 0]
    assert shown.tolist() == [0, 1, 1, 1, 1, 2, 2, 2, 2]
    assert align_latents(z, 5, 1, 1)[0, :, 0, 0, 0].tolist() == [0, 1, 1, 2, 2]
    assert align_latents(z, 3, 1, 1)[0, :, 0, 0, 0].tolist() == [0, 1, 2]
    assert align_latents(z[:, :1], 1, 1, 1)[0, :, 0, 0, 0].tolist() == [0]


def test_latents_are_repeated_over_their_pixels():
    z = jnp.arange(4, dtype=jnp.float32).reshape(1, 1, 2, 2, 1)
    shown = align_latents(z, 1, 4, 6)[0, 0, :, :, 0]
    assert shown.tolist() == [[0, 0, 0, 1, 1, 1]] * 2 + [[2, 2, 2, 3, 3, 3]] * 2


@pytest.fixture
def adaptive_case():
    rng = np.random.default_rng(2)
    x = video((1, 5, 4, 4, 4))
    z = jnp.asarray(rng.choice([-1.0, 1.0], (1, 3, 2, 2, 3)), jnp.float32)
    style = {"kernel": rng.normal(size=(3, 8)), "bias": rng.normal(size=8)}
    return x, z, {"style": jax.tree.map(lambda v: jnp.asarray(v, jnp.float32), style)}


@pytest.mark.parametrize("control", ["pooled", "spatial"])
def test_adaptive_norm_is_the_formula(adaptive_case, control):
    x, z, params = adaptive_case
    y = AdaptiveGroupNorm(groups=2, control=control, eps=EPS).apply({"params": params}, x, z)
    kernel, bias = (np.asarray(params["style"][name], np.float64) for name in ("kernel", "bias"))
    z = np.asarray(z, np.float64)
    if control == "pooled":
        z = np.broadcast_to(z.mean((2, 3), keepdims=True), z.shape)
    style = (z @ kernel + bias)[:, [0, 1, 1, 2, 2]].repeat(2, axis=2).repeat(2, axis=3)
    expected = normalized(x, 2, "frame") * (1.0 + style[..., :4]) + style[..., 4:]
    np.testing.assert_allclose(y, expected, atol=2e-5)


@pytest.mark.parametrize("control", ["pooled", "spatial"])
def test_a_latent_steers_its_own_frames_only(adaptive_case, control):
    x, z, params = adaptive_case
    norm = AdaptiveGroupNorm(groups=2, control=control)
    slope = jax.jit(jax.grad(lambda x, z: norm.apply({"params": params}, x, z)[:, 2].sum(), argnums=1))(x, z)
    touched = np.any(np.asarray(slope), axis=(0, 2, 3, 4))
    assert touched.tolist() == [False, True, False]  # frame 2 shows latent frame 1


def test_spatial_control_stays_in_its_place(adaptive_case):
    x, z, params = adaptive_case
    moved = z.at[:, 0, 0, 0].multiply(-1.0)
    for control, share in (("spatial", 4), ("pooled", 16)):
        norm = AdaptiveGroupNorm(groups=2, control=control)
        before, after = (norm.apply({"params": params}, x, latents) for latents in (z, moved))
        changed = np.any(np.asarray(before != after), axis=(0, 4))
        assert changed.sum(axis=(1, 2)).tolist() == [share, 0, 0, 0, 0]


def moments_params(gamma, beta):
    def linear(slope, offset):
        return {"kernel": jnp.full((1, 1), slope), "bias": jnp.full((1,), offset)}

    return {"params": {"gamma": linear(*gamma), "beta": linear(*beta)}}


def test_moments_norm_written_out():
    """gamma(std) norm(x) + beta(mean), the variance divided by n - 1, nothing added to the scale.

    The latents 1, 1, 1, -1 have mean 1/2 and variance (1/4 + 1/4 + 1/4 + 9/4) / 3 = 1, so std 1. The pixels -1 and 1
    are their own normalisation.
    """
    z = jnp.asarray([1.0, 1.0, 1.0, -1.0]).reshape(1, 2, 1, 2, 1)
    x = jnp.asarray([-1.0, 1.0] * 3).reshape(1, 3, 1, 2, 1)
    params = moments_params(gamma=(3.0, 0.25), beta=(4.0, 0.5))
    y = MomentsGroupNorm(groups=1, statistics="clip").apply(params, x, z)
    shift = 4.0 * 0.5 + 0.5
    np.testing.assert_allclose(y[0, :, 0, :, 0], [[-3.25 + shift, 3.25 + shift]] * 3, atol=1e-5)


def test_moments_norm_of_a_frame_written_out():
    """The latent frames have (mean, std) (1, sqrt(1e-6)) and (0, sqrt 2); frames 1 and 2 became the second."""
    z = jnp.asarray([1.0, 1.0, 1.0, -1.0]).reshape(1, 2, 1, 2, 1)
    x = jnp.asarray([-1.0, 1.0] * 3).reshape(1, 3, 1, 2, 1)
    params = moments_params(gamma=(3.0, 0.25), beta=(4.0, 0.5))
    y = MomentsGroupNorm(groups=1, statistics="frame").apply(params, x, z)[0, :, 0, :, 0]
    first, second = 3.0 * 1e-3 + 0.25, 3.0 * np.sqrt(2.0) + 0.25
    expected = [[4.5 - first, 4.5 + first], [0.5 - second, 0.5 + second], [0.5 - second, 0.5 + second]]
    np.testing.assert_allclose(y, expected, atol=1e-5)


def test_moments_of_one_position_are_refused():
    norm = MomentsGroupNorm(groups=1, statistics="frame")
    with pytest.raises(UserError, match="needs the variance of two positions or more"):
        norm.init(jax.random.key(0), jnp.ones((1, 1, 2, 2, 1)), jnp.ones((1, 1, 1, 1, 3)))
