"""What is measured of a VideoPoet, on generators whose answers are known."""

import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict

from magvit_jax import metrics
from magvit_jax.cli.config_files import load_config
from magvit_jax.evaluation.small_features import shipped
from magvit_jax.experiments.multimodal_measures import BATCH, Clips, measure, parses, read_clips, values_of
from magvit_jax.generation.multimodal import Made
from magvit_jax.tokens.grid import LatentGrid
from magvit_jax.tokens.videopoet import (
    SEQUENCE_TASKS,
    ClipShape,
    Plan,
    UnifiedVocabulary,
    layout,
    next_ranges,
    sequence_task,
)
from magvit_jax.tokens.videopoet.vocabulary import SPECIAL

TASKS = ("unconditional", "text_to_video", "audio_to_video", "video_to_audio", "stylization")
TEXTS = ("a", "b", "c") * 12  # more clips than a batch
VOCABULARY = UnifiedVocabulary(
    visual_codes=4, audio_levels=2, audio_codes=4, text_ids=0, sources=(), resolutions=((32, 32),), durations=(9,)
)
CLIP = ClipShape(LatentGrid(3, 2, 2, (4, 16, 16), True, True), fps=8.0, audio_rate=8.0, audio_levels=2)


def whole_ids(task):
    """Ids of a task's outputs, each the first that may come."""
    spec = sequence_task(task)
    given = 1 if spec.given is None else None
    plan = Plan((layout(task, CLIP, VOCABULARY, text_slots=1, given=given),), VOCABULARY)
    return np.asarray(next_ranges(plan, jnp.zeros(1, jnp.int32)))[0, :, 0]


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
    vocabulary = VOCABULARY
    temperature = 1.0

    def __init__(self, shift):
        self.shift, self.real = shift, clips()

    def generate(self, task, *, prompt=None, video=None, audio=None, num=None, seed=0, first=0, temperature=1.0):
        assert num <= BATCH and temperature == self.temperature
        if prompt is not None:
            number = np.asarray(["abc".index(text) for text in prompt])
        elif audio is not None:
            number = np.asarray([int(np.argmin(np.abs(self.real.audio[:3] - sound).sum(1))) for sound in audio])
        else:
            number = (first + np.arange(num)) % 3
        number = (number + self.shift) % 3
        ids = np.tile(whole_ids("video_to_audio" if self.shift else task), (num, 1))
        codes = {"video": np.zeros((num, 2, 2, 2), np.int32)}
        if task == "video_to_audio":
            silent = np.tile(np.int32([[[0], [-1]]]), (num, 1, 1))
            return Made(None, jnp.asarray(self.real.audio[number]), 16000, 8.0, ids, {"audio": silent})
        return Made(jnp.asarray(self.real.video[number] / np.float32(255)), None, None, 8.0, ids, codes)


@pytest.fixture(scope="module")
def sounds():
    return clips().audio


def test_what_obeys_is_nearer_to_its_condition(sounds):
    found = measure(Obeying(0), clips(), sounds)
    assert found["clips"] == 36 and found["text_to_video valid"] == 1 and found["video_to_audio valid"] == 0.5
    assert all(found[f"{task} parses"] == 1 for task in TASKS[:4])
    for task in ("text_to_video", "audio_to_video"):
        assert found[f"{task} own"] < 1e-5 and found[f"{task} others"] > 0.01
    assert found["unconditional fd_small"] == pytest.approx(0, abs=1e-3)
    assert "stylization valid" not in found
    for suffix in ("", " within 40 dB", " of mel bands", " of mel bands within 40 dB"):
        assert found[f"video_to_audio distance{suffix}"] == pytest.approx(0)
        assert 0 < found[f"video_to_audio mean_spectrum{suffix}"] < found[f"video_to_audio silence{suffix}"]
    assert found["video_to_audio silence within 40 dB"] < found["video_to_audio silence"]


def test_what_makes_another_is_farther(sounds):
    other = Obeying(1)
    other.temperature = 0.5
    found = measure(other, clips(), sounds, temperature=0.5)
    features = shipped()(clips().video[:3])
    expected = np.mean([np.linalg.norm(features[(i + 1) % 3] - features[i]) for i in range(3)])
    for task in ("text_to_video", "audio_to_video"):
        assert found[f"{task} own"] == pytest.approx(expected, rel=1e-5)
        assert found[f"{task} others"] < found[f"{task} own"]
    assert found["video_to_audio distance"] > found["video_to_audio mean_spectrum"]
    real, made = clips().audio, clips().audio[(np.arange(36) + 1) % 3]
    bands_FM = metrics.mel_bands(16000)
    for suffix, convention in {"": {}, " of mel bands": dict(bands_FM=bands_FM)}.items():
        distance = metrics.log_spectral_distance(real, made, **convention).mean()
        assert found[f"video_to_audio distance{suffix}"] == pytest.approx(distance)
        mean = metrics.mean_spectrum_distance(real, metrics.mean_spectrum(sounds, **convention), **convention).mean()
        assert found[f"video_to_audio mean_spectrum{suffix}"] == pytest.approx(mean)
    assert found["unconditional parses"] == 0 and found["video_to_audio parses"] == 1


@pytest.mark.parametrize("task", SEQUENCE_TASKS)
def test_what_parses_is_the_outputs_of_its_task_and_nothing_else(task):
    ids_O = whole_ids(task)
    padded_O = np.concatenate([ids_O, np.full(3, SPECIAL["pad"])])
    assert parses(task, ids_O, VOCABULARY) and parses(task, padded_O, VOCABULARY)
    other = "unconditional" if task == "video_to_audio" else "video_to_audio"
    broken = [whole_ids(other), np.concatenate([ids_O, [SPECIAL["bos"]]]), ids_O[:0]]
    broken.append(np.insert(ids_O, 2, SPECIAL["pad"]))  # only what is behind a sequence is no part of it
    broken += [ids_O[:-1], ids_O[:-2]] if sequence_task(task).ends else []
    assert not any(parses(task, each, VOCABULARY) for each in broken)


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


def test_clips_that_are_measured_bring_what_their_data_has():
    sizes = dict(frames=9, height=8, width=8, samples=1024, seed=0, size=8)
    rendered = dict(flow="rendered", depth="rendered")
    config = ConfigDict(load_config("videopoet/small:smoke").data.to_dict() | sizes | rendered)
    found = read_clips(config, "test", 3)
    assert found.video.shape == found.flow.shape == found.depth.shape == (3, 9, 8, 8, 3)
    assert found.audio.shape == (3, 1024) and found.heard.all() and list(found.owners) == [0, 1, 2]
    assert set(values_of("stylization", found)) == {"flow", "depth", "prompt"}
    config.flow = config.depth = ""
    bare = read_clips(config, "test", 3)
    assert bare.flow is None and bare.depth is None and values_of("stylization", bare) is None


def test_values_of_several_draws_are_their_means(sounds):
    """The first draw makes the right clip, the second another."""

    class Changing(Obeying):
        def generate(self, task, *, seed=0, **arguments):
            self.shift = seed - 3
            return super().generate(task, **arguments)

    found = measure(Changing(0), clips(), sounds, seed=3, draws=2)
    first, second = (measure(Obeying(shift), clips(), sounds) for shift in (0, 1))
    for name in ("audio_to_video own", "audio_to_video others", "text_to_video gap", "video_to_audio distance"):
        assert found[name] == pytest.approx((first[name] + second[name]) / 2) and first[name] != second[name]
    assert found["unconditional parses"] == 1  # made once
