"""SoundStream (thesis 8.3) small enough for two CPU cores: 50 latents a second at 16 kHz, 4 levels of 128 codes.

The published network has 32 channels, codes of 128 numbers or more, 1,024 of them a level, and spectral windows up to
2,048 samples. Any folder with wav, mp3 or videos with sound will do; files of other rates are resampled.
Cost: half a CPU minute of compilation, then 0.5 CPU seconds a step: 10 CPU minutes for 1,200, which small and
embedded have. docs/sound.md has what came out. Variants: smoke (8 steps), small (the default), embedded (the moving
digits that sound).

Of a few recordings, --config.data.held_out_by=time holds out the end of each in place of whole files.

    magvit train --config=soundstream/small --config.data.path=DIR --workdir=runs/soundstream
"""

from ml_collections import ConfigDict

from .. import _multimodal, _training
from .._optimizer import ADAM

STEPS = {"smoke": 8, "small": 1200, "embedded": 1200}
VARIANTS = tuple(STEPS)
FOLDER = dict(source="sound_folder", path="", samples=3200, sample_rate=16_000, held_out=0.2, held_out_by="file")
#: The sound of the moving digits, or with source "multimodal_folder" of videos as VideoPoet is trained on; the frames
#: are read and not looked at, so they are as few and small as can be.
CLIPS = dict(_multimodal.EMBEDDED, frames=4, height=8, width=8, samples=3200)


def get_config(variant: str = "small") -> ConfigDict:
    steps = STEPS[variant]
    optimizer = dict(ADAM, learning_rate=3e-3, b1=0.5, b2=0.9, warmup_steps=0, final_fraction=0.1, clip_norm=1000.0)
    return ConfigDict(
        dict(
            name=f"soundstream_{variant}",
            system="soundstream",
            seed=0,
            init_from="",
            data=dict(
                CLIPS if variant == "embedded" else FOLDER,
                batch_size=16,
                eval_batch_size=16,
                eval_clips=64,
                seed=0,
                workers=0,
            ),
            model=dict(channels=8, strides=(2, 4, 5, 8), latent_dim=32),
            quantizer=dict(levels=4, size=128, decay=0.95, restart_below=0.1, dropout=0.5),
            discriminator=dict(channels=4, windows=(1024, 256)),
            windows=(64, 256, 1024),
            floor=0.01,  # what is 40 to 60 dB below a loud tone counts as silence
            # Samples lead at first: where the spectral distance weighs as much from the start, networks of this size
            # and so few steps settle for the loudness of each band, and latents say little else. A tone is its samples.
            loss=dict(
                reconstruction=0.01 if variant == "embedded" else 1.0,
                waveform=1000.0,
                commitment=1.0,
                adversarial=0.02,
                features=0.2,
            ),
            samples_first=dict(steps=0 if variant == "embedded" else steps * 3 // 5, reconstruction=0.01),
            optimizer=optimizer,
            discriminator_optimizer=dict(optimizer, learning_rate=3e-4),
            training=dict(
                _training.LONG,
                steps=steps,
                ema_decay=0.99,
                log_every=20,
                eval_every=steps,
                sample_every=0,
                checkpoint_every=max(steps // 2, 1),
                checkpoint_keep=2,
            ),
            **_training.LAYOUT,
        )
    )
