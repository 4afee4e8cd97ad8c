"""The groups `training`, `mesh` and `profile`: what configs have in common. A config adds steps and `ema_decay`."""

#: A run of days.
LONG = dict(
    microbatches=1,
    log_every=100,
    eval_every=5000,
    sample_every=5000,
    checkpoint_every=1000,
    checkpoint_keep=3,
    max_nonfinite=10,
    tensorboard=False,
    rng_impl="threefry2x32",
)

#: Batches are spread over all devices, parameters over none; docs/sharding.md has other layouts. As many steps as
#: `profile` says are traced, from the one after `start` more have been made.
LAYOUT = dict(
    mesh=dict(data=-1, fsdp=1, tensor=1, sequence=1), sharding_rules=(), profile=dict(start=10, steps=0)
)
