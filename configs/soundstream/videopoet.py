"""SoundStream as VideoPoet uses it (thesis 8.3): 50 latents a second at 16 kHz, 4 levels of 1,024 codes.

The network is that of Zeghidour et al. 2021: 32 channels, strides 2, 4, 5, 8, clips of 360 ms, loss weights 1, 1 and
100, and no loss of samples. Theirs takes 24 kHz; VideoPoet's 106 latents of 2.125 seconds are 50 a second, which the
same strides make of 16 kHz. The width of a latent, the batch and the number of steps are not published with it:
docs/fidelity.md. 9.8M parameters without the codebooks, and 0.5M of the discriminator.

Cost: 128 clips of 0.36 s a step. Not trained.

    magvit train --config=soundstream/videopoet --config.data.path=SOUNDS --workdir=runs/soundstream
"""

from ml_collections import ConfigDict

from .. import _training
from .._optimizer import ADAM

STEPS = 500_000


def get_config() -> ConfigDict:
    optimizer = dict(ADAM, learning_rate=1e-4, b1=0.5, b2=0.9, schedule="constant", warmup_steps=0)
    return ConfigDict(
        dict(
            name="soundstream_videopoet",
            system="soundstream",
            seed=0,
            init_from="",
            data=dict(
                source="sound_folder",
                path="",
                samples=5760,
                sample_rate=16_000,
                held_out=0.05,
                held_out_by="file",
                batch_size=512,  # 9 latents a code; with 2 the rule of `restart_below` would have no end
                eval_batch_size=64,
                eval_clips=1024,
                seed=0,
                workers=8,
            ),
            model=dict(channels=32, strides=(2, 4, 5, 8), latent_dim=128),
            quantizer=dict(levels=4, size=1024, decay=0.99, restart_below=2.0, dropout=1.0),
            discriminator=dict(channels=32, windows=(2048, 1024, 512, 256, 128)),
            windows=(64, 128, 256, 512, 1024, 2048),
            floor=1e-5,
            loss=dict(reconstruction=1.0, waveform=0.0, commitment=1.0, adversarial=1.0, features=100.0),
            samples_first=dict(steps=0, reconstruction=0.0),
            optimizer=optimizer,
            discriminator_optimizer=dict(optimizer),
            training=dict(_training.LONG, steps=STEPS, ema_decay=0.0),
            **_training.LAYOUT,
        )
    )
