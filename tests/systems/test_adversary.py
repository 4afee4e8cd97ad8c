"""The adversary alone: schedules of penalty and start, on a discriminator small enough to compile in no time."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from magvit_jax.errors import UserError
from magvit_jax.partitioning import unbox
from magvit_jax.systems.adversary import Adversary
from magvit_jax.tokenizer.adversarial import LecamAverages
from magvit_jax.tokenizer.discriminator import Discriminator

SETTINGS = dict(
    optimizer=optax.sgd(0.1),
    weight=0.1,
    loss="non_saturating",
    r1_cost=10.0,
    r1_every=1,
    lecam_weight=0.5,
    lecam_decay=0.9,
    start_step=0,
    ema_decay=0.0,
)
ADVERSARY = Adversary(discriminator=Discriminator(2, (1,)), **SETTINGS)
CLIP = (2, 4, 4, 3)
REAL, FAKE = jax.random.uniform(jax.random.key(0), (2, 3, *CLIP))
AVERAGES = LecamAverages(jnp.float32(0.7), jnp.float32(-2.0))


@pytest.fixture(scope="module")
def params():
    shapes = jax.eval_shape(ADVERSARY.discriminator.init, jax.random.key(0), REAL)["params"]
    rng = np.random.default_rng(0)
    return jax.tree.map(lambda x: jnp.asarray(rng.normal(0, 0.5, x.shape), x.dtype), unbox(shapes))


def judge(params, updates, **changes):
    return compiled(dataclasses.replace(ADVERSARY, **changes))(params, AVERAGES, jnp.int32(updates), REAL, FAKE)


@functools.cache
def compiled(adversary):
    return jax.jit(adversary.judge)


def assert_close(actual, expected):
    for (path, a), (_, b) in zip(*(jax.tree_util.tree_leaves_with_path(x) for x in (actual, expected)), strict=True):
        distance, size = (float(jnp.linalg.norm(x.ravel())) for x in (a - b, b))
        assert distance <= 1e-4 * size + 1e-7, jax.tree_util.keystr(path)


def test_the_penalty_every_second_update_counts_twice(params):
    """At an even update with twice the cost, at an odd one not at all; the mean is that of a penalty at each."""
    full, none = judge(params, 1), judge(params, 1, r1_cost=0.0)
    due, skipped = (judge(params, updates, r1_every=2) for updates in (2, 1))
    penalty = float(full.metrics["r1_penalty"])
    assert penalty > 0 and float(none.metrics["r1_penalty"]) == 0.0
    assert float(skipped.metrics["r1_penalty"]) == 0.0
    assert float(due.metrics["r1_penalty"]) == pytest.approx(2 * penalty, rel=1e-5)
    assert_close(skipped.grads, none.grads)
    assert_close(jax.tree.map(lambda a, b: 0.5 * (a + b), due.grads, skipped.grads), full.grads)
    assert_close(due.slope_BTHWC, full.slope_BTHWC)  # the penalty is no business of the generator's


def test_before_its_start_it_says_nothing(params):
    before, after, always = (judge(params, updates, start_step=start) for updates, start in ((4, 5), (5, 5), (5, 0)))
    assert all(float(jnp.abs(x).max()) == 0.0 for x in jax.tree.leaves(before))
    assert_close(after, always)
    assert jax.tree.structure(before) == jax.tree.structure(always)


def test_lecam_is_part_of_the_loss_by_its_weight(params):
    with_it, without = judge(params, 0), judge(params, 0, lecam_weight=0.0)
    lecam, lost = with_it.metrics["lecam_loss"], with_it.metrics["discriminator_loss"]
    assert float(lecam) > 0
    assert float(lost - without.metrics["discriminator_loss"]) == pytest.approx(0.5 * float(lecam), rel=1e-4)
    real, fake = (float(with_it.metrics[f"logits_{name}"]) for name in ("real", "fake"))
    assert float(lecam) == pytest.approx(max(real + 2.0, 0) ** 2 + max(0.7 - fake, 0) ** 2, rel=1e-4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(loss="wasserstein"), "adversarial.loss: 'wasserstein'; expected one of non_saturating, hinge"),
        (dict(r1_every=0), "adversarial.r1_every: 0; expected 1 or more"),
        (dict(r1_cost=-1.0), "adversarial.r1_cost: -1.0; expected 0 or more"),
        (dict(lecam_decay=1.0), "adversarial.lecam_decay: 1.0; expected 0 or more, below 1"),
        (dict(weight=-0.1), "adversarial.weight: -0.1; expected 0 or more"),
    ],
)
def test_what_does_not_fit_is_named(change, message):
    with pytest.raises(UserError, match=message):
        dataclasses.replace(ADVERSARY, **change)
