"""For which kind of device a program is being traced."""

import jax


def target_backend() -> str:
    """Platform of the devices that the traced program is for: "cpu", "tpu" or "gpu".

    That of the mesh that `jax.set_mesh` (or `partitioning.logical_context`) has set, and without a mesh JAX's default.
    The two differ in an ahead-of-time compilation: a process without a TPU traces for the mesh of a TPU topology, and
    has to pick what is fast there.
    """
    device = jax.sharding.get_abstract_mesh().abstract_device
    return jax.default_backend() if device is None else device.platform
