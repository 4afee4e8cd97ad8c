"""What the chips of a topology can do."""

from dataclasses import dataclass

from magvit_jax.errors import UserError

#: Where the numbers below are from.
SOURCE = "cloud.google.com/tpu/docs, system architecture: pages v4, v5e, v5p, v6e"


@dataclass(frozen=True)
class Chip:
    """Published figures of one chip, or of one TensorCore where the compiler takes each of a chip's two as a device.

    Attributes:
      devices: of the compiler on a chip.
      peak_tflops: bfloat16 matrix products, 10^12 operations a second.
      hbm_gib: memory. The compiler keeps a little of it for itself.
      hbm_gbps: memory bandwidth, 10^9 bytes a second.
      clock_ghz: by which the compiler's cycles become seconds.
      ici_gbps: what all links to other chips together send, in one direction, 10^9 bytes a second.
    """

    name: str
    devices: int
    peak_tflops: float
    hbm_gib: float
    hbm_gbps: float
    ici_gbps: float
    clock_ghz: float


CHIPS = {
    chip.name: chip
    for chip in (
        Chip("v4", 2, peak_tflops=137.5, hbm_gib=16.0, hbm_gbps=614.0, ici_gbps=150.0, clock_ghz=1.05),
        Chip("v5e", 1, peak_tflops=197.0, hbm_gib=16.0, hbm_gbps=819.0, ici_gbps=200.0, clock_ghz=1.5),
        Chip("v5p", 1, peak_tflops=459.0, hbm_gib=95.0, hbm_gbps=2765.0, ici_gbps=600.0, clock_ghz=1.75),
        Chip("v6e", 1, peak_tflops=918.0, hbm_gib=32.0, hbm_gbps=1640.0, ici_gbps=400.0, clock_ghz=1.75),
    )
}


def chip(name: str) -> Chip:
    """The chip of that name. UserError for one that is not in the table."""
    if name not in CHIPS:
        raise UserError(f"topology: chip {name!r}; expected one of {', '.join(CHIPS)}")
    return CHIPS[name]
