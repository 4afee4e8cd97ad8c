"""Sounds read from files, and FAD of two folders by a toy network."""

from types import SimpleNamespace

import numpy as np
import pytest
import tiny_models
from scipy.io import wavfile

from magvit_jax import metrics
from magvit_jax.errors import UserError
from magvit_jax.evaluation.protocols import GIVEN_CLIPS
from magvit_jax.evaluation.sounds import measure_fad, sound_features
from magvit_jax.evaluation.streams import Seconds
from magvit_jax.media.video_io import write_mp4

RATE = 8000


class ToyEncoder:
    """Four numbers of each second."""

    network = SimpleNamespace(name="vggish", fingerprint="toy")

    def __call__(self, audio, rate, *, framing):
        assert framing == "fad" and rate == RATE
        if len(audio) < rate:
            raise UserError("a sound of 0.50 s: VGGish needs 1.000 s or more")
        seconds = audio[: len(audio) // rate * rate].mean(axis=1).reshape(-1, rate)
        change = np.abs(np.diff(seconds, axis=1)).mean(axis=1)
        return np.stack([seconds.mean(1), seconds.std(1), change, seconds.max(1)], axis=1)


def sound(seconds, seed, level=0.3):
    rng = np.random.default_rng(seed)
    tone = np.sin(np.arange(int(seconds * RATE)) * rng.uniform(0.01, 0.5))
    return (level * tone + 0.1 * rng.normal(size=tone.shape)).astype(np.float32)


@pytest.fixture
def folders(tmp_path):
    """Two folders of six sounds, of one to three seconds."""
    paths = tmp_path / "real", tmp_path / "made"
    for side, path in enumerate(paths):
        path.mkdir()
        for number in range(6):
            wavfile.write(path / f"{number}.wav", RATE, sound(1 + number % 3, 10 * side + number, 0.3 + 0.2 * side))
    return paths


def test_fad_is_the_distance_of_all_seconds_of_all_files(folders):
    seconds, said = Seconds(), []
    result = measure_fad(*folders, GIVEN_CLIPS, ToyEncoder(), seconds, resamples=50, say=said.append)
    features = [sound_features(folder, ToyEncoder(), Seconds())[0] for folder in folders]
    assert [len(x) for x in features] == [12, 12]
    assert result.value == pytest.approx(metrics.frechet_distance(*features))
    assert (result.metric, result.network, result.protocol) == ("fad", "vggish@toy", "given_clips")
    assert result.low < result.value < result.high and (result.real, result.made) == (12, 12)
    assert said == ["fad: 6 real sounds, 12 examples", "fad: 6 made sounds, 12 examples"]
    owners = sound_features(folders[0], ToyEncoder(), Seconds())[1]
    np.testing.assert_array_equal(owners, [0, 1, 1, 2, 2, 2, 3, 4, 4, 5, 5, 5])


def test_files_without_sound_are_named(folders, tmp_path):
    def measure():
        return measure_fad(*folders, GIVEN_CLIPS, ToyEncoder(), Seconds(), say=lambda _: None)

    short = folders[1] / "9.wav"
    wavfile.write(short, RATE, sound(0.5, 0))
    with pytest.raises(UserError, match="9.wav: a sound of 0.50 s"):
        measure()
    short.write_bytes(b"RIFF")
    with pytest.raises(UserError, match="9.wav: not a readable sound"):
        measure()
    short.unlink()
    write_mp4(folders[1] / "silent.mp4", tiny_models.moving_square(4))
    with pytest.raises(UserError, match="silent.mp4: has no sound track"):
        measure()
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(UserError, match="has no sound or video file"):
        sound_features(empty, ToyEncoder(), Seconds())
