"""A sound tokenizer on the held-out ends of recordings: SI-SDR and spectral distances by number of levels.

    python tools/measure_soundstream.py --model=WORKDIR_OR_BUNDLE --sounds=DIR [--held-out=0.2] [--seconds=0.2]

DIR holds sounds, or videos with sound, whose ends training has not heard: `--config.data.held_out_by=time` with the
same `--config.data.held_out`. The end of every recording is cut into clips side by side; silent ones are left out.

Of each recording, and of all clips, the mean over clips of SI-SDR (higher is better) and of log spectral distances
(lower is better), frequency by frequency and by mel bands, over 80 dB and within 40 dB of the loudest: for sounds
decoded from 1, 2, ... levels, for a constant noise with the mean spectrum of what was trained on, and for silence. As
Markdown.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

import magvit_jax
from magvit_jax import metrics
from magvit_jax.data import SoundFolder, SoundSpec
from magvit_jax.errors import UserError
from magvit_jax.experiments import paired


def clips_of(source: SoundFolder) -> Iterator[tuple[str, np.ndarray]]:
    """The clips of each recording that are heard, by its path; nothing of silent ones."""
    rng, first = np.random.default_rng(0), 0
    for path, count in source.recordings:
        found = [source.clip(number, rng, source.spec, False)["audio"] for number in range(first, first + count)]
        heard = [audio_S for audio_S in found if audio_S.any()]
        first += count
        if heard:
            yield path, np.stack(heard)


def rows_of(tokenizer, audio_NS: np.ndarray, trained_NS: np.ndarray) -> dict[str, np.ndarray]:
    """By name SI-SDR and all `spectral_conventions` of every clip, float64 [5, N]; NaN where there is no such value."""
    conventions = list(metrics.spectral_conventions(tokenizer.sample_rate).values())
    none_N = np.full(len(audio_NS), np.nan)

    def against(made_NS: np.ndarray) -> list[np.ndarray]:
        return [metrics.log_spectral_distance(audio_NS, made_NS, **convention) for convention in conventions]

    ids_NTQ, rows = tokenizer.encode(audio_NS), {}
    for levels in range(1, tokenizer.levels + 1):
        made_NS = np.asarray(tokenizer.decode(ids_NTQ[..., :levels]))[:, : audio_NS.shape[1]]
        rows[f"{levels} level{'s' * (levels > 1)}"] = np.stack([metrics.si_sdr(audio_NS, made_NS), *against(made_NS)])
    spectra = [metrics.mean_spectrum(trained_NS, **convention) for convention in conventions]
    noise = [
        metrics.mean_spectrum_distance(audio_NS, spectrum_F, **convention)
        for spectrum_F, convention in zip(spectra, conventions, strict=True)
    ]
    rows["mean spectrum"] = np.stack([none_N, *noise])
    rows["silence"] = np.stack([none_N, *against(np.zeros_like(audio_NS))])
    return rows


def page(by_recording: dict[str, dict[str, np.ndarray]], sample_rate: int) -> str:
    """Means over the clips of each recording, and over all clips."""
    together = list(by_recording.values())
    every = {name: np.concatenate([rows[name] for rows in together], axis=1) for name in together[0]}
    parts, head = [], ["", "SI-SDR", *(f"LSD{words}" for words in metrics.spectral_conventions(sample_rate))]
    for title, rows in (*by_recording.items(), ("all", every)):
        count = next(iter(rows.values())).shape[1]
        table = [[name, *map(_shown, values.mean(1))] for name, values in rows.items()]
        parts.append(f"{title}, {count} clips\n\n" + paired.markdown(head, table))
    return "\n".join(parts)


def _shown(value: float) -> str:
    return "" if np.isnan(value) else f"{value:.2f}"


def measure(model: Path, sounds: Path, held_out: float, seconds: float) -> str:
    """The page of a model.

    Raises:
        UserError: no sound tokenizer, or no recording that is long enough.
    """
    tokenizer = magvit_jax.load_sound_tokenizer(model)
    latents = max(round(seconds * tokenizer.latent_rate), 1)
    spec = SoundSpec(latents * tokenizer.samples_per_latent, tokenizer.sample_rate)
    train, test = (
        SoundFolder(str(sounds), split, spec, held_out=held_out, held_out_by="time") for split in ("train", "test")
    )
    trained_NS = np.concatenate([audio_NS for _, audio_NS in clips_of(train)])
    rows = {Path(path).name: rows_of(tokenizer, audio_NS, trained_NS) for path, audio_NS in clips_of(test)}
    return page(rows, tokenizer.sample_rate)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, help="a sound tokenizer: a bundle or a training workdir")
    parser.add_argument("--sounds", type=Path, required=True, help="folder of sounds or of videos with sound")
    parser.add_argument("--held-out", type=float, default=0.2, help="share at the end of each (default: 0.2)")
    parser.add_argument("--seconds", type=float, default=0.2, help="length of a clip (default: 0.2)")
    flags = parser.parse_args()
    try:
        print(measure(flags.model, flags.sounds, flags.held_out, flags.seconds))
    except UserError as error:
        sys.exit(f"measure_soundstream: {error}")


if __name__ == "__main__":
    main()
