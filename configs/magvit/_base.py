"""What all 3D-VQ models of thesis ch. 3 share (3.3.1): "the same learning recipe across all datasets, with
the only variation in the number of training epochs".

Where the thesis is silent: commitment 0.25, codebook 1, entropy 0.1 at temperature 0.01, reconstruction 1 and
one epoch of warm-up are those of the authors' code; LeCam's 0.001 is that of 5.4.1. docs/fidelity.md has the
rest.
"""

from ml_collections import ConfigDict

from .. import _data, _training
from .._adversary import ADVERSARY
from .._length import train_for
from .._optimizer import ADAM

BATCH = {"b": 128, "l": 256}
CHANNELS = {"b": 64, "l": 128}
# By pixels a side: the tokenizer's multipliers, whether time is halved between them, the discriminator's.
SIZES = {
    128: ((1, 2, 2, 4), (True, True, False), (2, 4, 4, 4, 4)),
    64: ((1, 2, 4), (True, True), (2, 4, 4, 4)),
}

#: Of both players.
OPTIMIZER = dict(ADAM, warmup_steps=0)  # `train_for` makes it one epoch


def video_config(
    name: str, variant: str, *, epochs: dict[str, int], videos: int, pixels: int = 128
) -> ConfigDict:
    """A 3D-VQ model: 16 frames of pixels x pixels to 4x16x16 tokens.

    Args:
      variant: "b" or "l".
      epochs: of each variant, Tab. 3.1; videos: in an epoch.
    """
    multipliers, temporal_downsample, discriminator_multipliers = SIZES[pixels]
    large = variant == "l"
    config = ConfigDict(
        dict(
            name=f"magvit_{name}_{variant}",
            system="video_tokenizer",
            seed=0,
            init_from="",
            inflation=dict(method="central", discriminator=True),
            data=dict(
                _data.FILES,
                frames=16,
                height=pixels,
                width=pixels,
                batch_size=BATCH[variant],
                eval_batch_size=BATCH[variant],
                seed=0,
            ),
            model=dict(
                architecture="magvit",
                base_channels=CHANNELS[variant],
                channel_multipliers=multipliers,
                temporal_downsample=temporal_downsample,
                blocks=2,
                mid_blocks=2,
                quantizer=dict(name="vq", size=1024, width=256),
                dims=3,
                padding="reflect",
                norm_groups=32,
                statistics="clip",
                remat=large,
                dtype="float32",
            ),
            loss=dict(
                reconstruction=1.0,
                commitment=0.25,
                codebook=1.0,
                entropy=0.1,
                entropy_annealing_factor=1.0,
                entropy_annealing_steps=0,
                entropy_temperature=0.01,
            ),
            discriminator=dict(
                base_channels=CHANNELS[variant],
                channel_multipliers=discriminator_multipliers,
                pooling="average",
                dims=3,
                remat=large,
                dtype="float32",
            ),
            adversarial=dict(ADVERSARY, optimizer=dict(OPTIMIZER)),
            perceptual=dict(weight=0.1, network="resnet50", path=""),
            optimizer=dict(OPTIMIZER),
            training=dict(_training.LONG, steps=1, ema_decay=0.999),
            **_training.LAYOUT,
        )
    )
    train_for(config, epochs[variant], videos, BATCH[variant])
    return config


def image_config(
    name: str, variant: str, *, epochs: int, images: int, batch_size: int, pixels: int = 128
) -> ConfigDict:
    """The 2D-VQ model in the architecture of `video_config`: no convolution sees a second frame."""
    config = video_config(name, variant, epochs={variant: epochs}, videos=images, pixels=pixels)
    config.inflation.update(method="", discriminator=False)
    config.data.update(source="image_folder", frames=1, flip=True, eval_batch_size=256)
    levels = len(config.model.channel_multipliers)
    config.model.update(dims=2, statistics="frame", temporal_downsample=(False,) * (levels - 1))
    config.discriminator.dims = 2
    train_for(config, epochs, images, batch_size)
    return config
