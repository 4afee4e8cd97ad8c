"""The metric "tasks" of a generator: every task that is given pixels, by its own mask and padding."""

import numpy as np
import pytest
import tiny_generators

from magvit_jax import metrics
from magvit_jax.workflows.task_scores import measure_tasks, task_rows

NAMES = ("central_outpainting", "class_conditional", "frame_prediction")


@pytest.fixture(scope="module")
def measured():
    generator, video = tiny_generators.generator(tasks=NAMES), tiny_generators.video(clips=3)
    batches = [{"video": video[:2]}, {"video": video[2:]}]
    return generator, video, measure_tasks(generator, iter(batches))


def test_tasks_that_are_given_pixels_are_measured(measured):
    generator, video, scores = measured
    assert sorted(scores) == ["central_outpainting", "frame_prediction"]
    assert [scores[name].clips for name in scores] == [3, 3]
    assert scores["central_outpainting"].unseen_share == 0.75
    assert scores["frame_prediction"].unseen_share == pytest.approx(4 / 9)
    for name, score in scores.items():
        task = generator.mixture.tasks[generator.tasks.index(name)]
        given = task.given((9, 16, 16))
        made = np.asarray(generator.generate(name, video=video))  # not in batches: clip i is clip i
        ceiling = np.asarray(generator.tokenizer.reconstruct(video))
        padded = np.asarray(task.pad(video / np.float32(255)))
        assert score.psnr_unseen == pytest.approx(metrics.psnr_where(video, made, ~given).mean())
        assert score.psnr_given == pytest.approx(metrics.psnr_where(video, made, given).mean())
        assert score.psnr_unseen_padded == pytest.approx(metrics.psnr_where(video, padded, ~given).mean())
        assert score.psnr_given_ceiling == pytest.approx(metrics.psnr_where(video, ceiling, given).mean())


def test_two_rows_a_task(measured):
    rows = task_rows(measured[2])
    assert [row.measure for row in rows] == [
        "central_outpainting, PSNR of the 75% unseen pixels, 3 clips",
        "central_outpainting, PSNR of the given pixels",
        "frame_prediction, PSNR of the 44% unseen pixels, 3 clips",
        "frame_prediction, PSNR of the given pixels",
    ]
    assert rows[0].baseline_name == "padded clip" and rows[1].baseline is None


def test_images_are_clips_of_one_frame():
    names = ("central_inpainting", "class_conditional")
    generator, video = tiny_generators.generator("image", names), tiny_generators.video("image")
    scores = measure_tasks(generator, iter([{"video": video}]))
    assert list(scores) == ["central_inpainting"] and scores["central_inpainting"].unseen_share == 0.25
