"""What is measured of a VideoPoet, on generators whose answers are known."""

import jax.numpy as jnp
import numpy as np
import pytest

from magvit_jax.evaluation.small_features import shipped
from magvit_jax.experiments.multimodal_measures import BATCH, Clips, measure, values_of
from magvit_jax.generation.multimodal import Made

TASKS = ("unconditional", "text_to_video", "audio_to_video", "video_to_audio", "stylization")
TEXTS = ("a", "b", "c") * 12  # more clips than a batch


def clips(count=36):
    """Three videos, each with a tone of its own, over and over."""
    rng = np.random.default_rng(0)
    video = rng.integers(0, 255, (3, 9, 32, 32, 3), dtype=np.uint8)
    tones = [np.sin(np.arange(1024) * step) for step in (0.2, 0.5, 0.9)]
    audio = np.stack(tones).astype(np.float32)
    number = np.arange(count) % 3
    return Clips(video[number], audio[number], np.ones(count, bool), TEXTS[:count], number)


class Obeying:
    """Makes the clip that it is asked for, or with `shift` another one; half of the codes of sound are none."""

    tasks = TASKS

    def __init__(self, shift):
        self.shift, self.real = shift, clips()

    def generate(self, task, *, prompt=None, video=None, audio=None, num=None, seed=0, first=0):
        assert num <= BATCH
        if prompt is not None:
            number = np.asarray(["abc".index(text) for text in prompt])
        elif audio is not None:
            number = np.asarray([int(np.argmin(np.abs(self.real.audio[:3] - sound).sum(1))) for sound in audio])
        else:
            number = (first + np.arange(num)) % 3
        number = (number + self.shift) % 3
        codes = {"video": np.zeros((num, 2, 2, 2), np.int32)}
        if task == "video_to_audio":
            silent = np.tile(np.int32([[[0], [-1]]]), (num, 1, 1))
            return Made(None, jnp.asarray(self.real.audio[number]), 16000, 8.0, number[:, None], {"audio": silent})
        return Made(jnp.asarray(self.real.video[number] / np.float32(255)), None, None, 8.0, number[:, None], codes)


@pytest.fixture(scope="module")
def sounds():
    return clips().audio


def test_what_obeys_is_nearer_to_its_condition(sounds):
    found = measure(Obeying(0), clips(), sounds)
    assert found["clips"] == 36 and found["text_to_video valid"] == 1 and found["video_to_audio valid"] == 0.5
    for task in ("text_to_video", "audio_to_video"):
        assert found[f"{task} own"] < 1e-5 and found[f"{task} others"] > 0.01
    assert found["unconditional fd_small"] == pytest.approx(0, abs=1e-3)
    assert "stylization valid" not in found
    for suffix in ("", " within 40 dB"):
        assert found[f"video_to_audio distance{suffix}"] == pytest.approx(0)
        assert 0 < found[f"video_to_audio mean_spectrum{suffix}"] < found[f"video_to_audio silence{suffix}"]
    assert found["video_to_audio silence within 40 dB"] < found["video_to_audio silence"]


def test_what_makes_another_is_farther(sounds):
    found = measure(Obeying(1), clips(), sounds)
    features = shipped()(clips().video[:3])
    expected = np.mean([np.linalg.norm(features[(i + 1) % 3] - features[i]) for i in range(3)])
    for task in ("text_to_video", "audio_to_video"):
        assert found[f"{task} own"] == pytest.approx(expected, rel=1e-5)
        assert found[f"{task} others"] < found[f"{task} own"]
    assert found["video_to_audio distance"] > found["video_to_audio mean_spectrum"]


def test_silent_clips_are_asked_for_no_sound(sounds):
    some = clips()._replace(heard=np.arange(36) % 3 < 2)
    found = measure(Obeying(0), some, sounds)
    assert (found["clips"], found["clips with sound"]) == (36, 24) and found["audio_to_video own"] < 1e-5
    assert some.with_sound().texts == ("a", "b") * 12 and set(some.with_sound().owners) == {0, 1}


def test_a_task_is_given_what_it_needs_and_no_more():
    whole = clips(4)
    assert set(values_of("text_to_video", whole)) == {"prompt"}
    assert set(values_of("audio_to_video", whole)) == {"audio"}
    assert set(values_of("audio_video_continuation", whole)) == {"video", "audio"}
    assert set(values_of("inpainting", whole)) == {"video"}
    assert values_of("unconditional", whole) == {"num": 4}
    assert values_of("stylization", whole) is None and values_of("video_to_audio", whole._replace(audio=None)) is None
