"""tools/measure_videopoet.py around its runs: configs, comparisons and page."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))

import measure_videopoet as tool  # noqa: E402

LOWER = {"text_to_video own": 1.0, "audio_to_video own": 3.0, "video_to_audio distance": 5.0}
HIGHER = {"text_to_video others": 2.0, "audio_to_video others": 2.0, "video_to_audio silence": 9.0}


def results():
    """Five seeds: text is carried, sound is the wrong way round, and the mean spectrum is sometimes nearer."""
    made = []
    for seed in range(5):
        values = {name: value + 0.1 * seed for name, value in (LOWER | HIGHER).items()}
        values["video_to_audio mean_spectrum"] = 5.0 + 0.1 * seed + (0.2 if seed % 2 else -0.2)
        sound = {name: value for name, value in values.items() if name.startswith("video_to_audio")}
        for convention in (" within 40 dB", " of mel bands", " of mel bands within 40 dB"):
            values |= {f"{name}{convention}": value for name, value in sound.items()}
        made.append(dict(seed=seed, values=values))
    return made


def test_what_is_nearer_over_the_seeds_is_said_so():
    verdicts = {(one["measure"], one["than"]): one["verdict"] for one in tool.comparisons(results())}
    assert list(verdicts) == list(tool.PAIRS)
    assert list(verdicts.values()) == ["nearer", "farther", *4 * ("nearer", "undecided")]


def test_the_page_has_every_comparison_and_every_mean():
    page = tool.page(results(), tool.comparisons(results()))
    assert "| text_to_video own | 1.200 | text_to_video others | 2.200 | -1.000 (-1.000 to -1.000) | nearer |" in page
    assert "over 5 seeds" in page and "| video_to_audio silence | 9.2000 | 0.1414 |" in page


@pytest.mark.parametrize("videos", [None, tool.Videos(Path("clips")), tool.Videos(Path("clips"), "flow", "depth")])
def test_a_seed_is_a_run_of_its_own_on_the_same_tokenizers(videos):
    configs = [tool.run_config(videos, Path("a"), Path("b"), steps=40, seed=seed) for seed in (0, 1)]
    assert [config.seed for config in configs] == [config.data.seed for config in configs] == [0, 1]
    first = configs[0]
    assert (first.tokenizer, first.sound_tokenizer) == ("a", "b")
    assert (first.training.steps, first.optimizer.warmup_steps) == (40, 4)
    assert first.data.source == ("embedded_sounding" if videos is None else "multimodal_folder")
    assert (first.tasks.stylization.weight > 0) == bool(videos and videos.flow)
    assert first.tasks.video_to_audio.weight > 0
    assert (first.data.flow, first.data.depth) == (("flow", "depth") if videos and videos.flow else ("", ""))


def test_the_sound_tokenizer_hears_some_of_every_recording():
    own, embedded = tool.sound_config(tool.Videos(Path("clips"))), tool.sound_config(None)
    assert (own.data.path, own.data.held_out_by) == ("clips", "time") and 0 < own.data.held_out < 0.5
    assert embedded.data.source == "embedded_sounding"
    assert own.samples_first.steps > 0 == embedded.samples_first.steps
