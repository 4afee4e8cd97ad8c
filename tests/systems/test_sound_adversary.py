"""One forward pass for both players gives what two losses, each by itself, would."""

import jax
import jax.numpy as jnp
import numpy as np

from magvit_jax.partitioning import unbox
from magvit_jax.systems.sound_adversary import SoundAdversary
from magvit_jax.tokenizer.soundstream.discriminator import StftDiscriminator
from magvit_jax.tokenizer.soundstream.initial import initial_params

ADVERSARY = SoundAdversary(StftDiscriminator(2, (16,)), adversarial=0.5, features=3.0)


def test_both_players_get_the_gradients_of_their_own_loss():
    draw = np.random.default_rng(0)
    audio, output = (jnp.asarray(draw.normal(size=(3, 64)), jnp.float32) for _ in range(2))
    params = unbox(initial_params(ADVERSARY.discriminator, jax.random.key(0), audio))

    def judge(params, x):
        return ADVERSARY.discriminator.apply({"params": params}, x)

    def generator(output):
        (real,), (fake,) = judge(params, audio), judge(params, output)
        layers = [jnp.abs(a - b).mean() for a, b in zip(real.features, fake.features, strict=True)]
        return -0.5 * fake.logits_BTF.mean() + 3.0 * sum(layers) / len(layers)

    def discriminator(params):
        (real,), (fake,) = judge(params, audio), judge(params, output)
        return jax.nn.relu(1 - real.logits_BTF).mean() + jax.nn.relu(1 + fake.logits_BTF).mean()

    found, slope, grads = jax.jit(
        lambda p, a, o: (ADVERSARY.judge(p, a, o), jax.grad(generator)(o), jax.grad(discriminator)(p))
    )(params, audio, output)
    np.testing.assert_allclose(found.slope_BS, slope, atol=1e-6)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), found.grads, grads)
    assert np.abs(slope).max() > 1e-3
    # All but the last bias, which real and reconstructed sounds pull in opposite directions.
    assert sum(np.abs(leaf).max() > 1e-5 for leaf in jax.tree.leaves(grads)) >= len(jax.tree.leaves(grads)) - 1
