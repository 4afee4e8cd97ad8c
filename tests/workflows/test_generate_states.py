"""The picture of decoding: the kind of every token after every step, and the clip as it is then."""

import numpy as np
import pytest
import tiny_generators

from magvit_jax import workflows
from magvit_jax.media.pixels import colour
from magvit_jax.media.states import COLOURS, CONDITION, KEPT, MASK, NEW
from magvit_jax.media.video_io import read_video, write_gif
from magvit_jax.sampling.parallel import States
from magvit_jax.systems.pixels import to_uint8
from magvit_jax.workflows.generate_states import draw_states, token_kinds

STEPS = 3


@pytest.fixture(scope="module")
def generator():
    return tiny_generators.generator("causal")


def written_out(kept):
    """Four tokens, the first two of them condition; one token more is known after each step."""
    unknown_KN = np.array([[0, 1, 1, 1], [0, 1, 0, 1], [0, 0, 0, 1]], bool)
    if kept:
        unknown_KN[:, :2] = False
    ids_KN = np.zeros((3, 4), int)
    states = States(inputs_KBN=ids_KN, ids_KBN=ids_KN, unknown_KBN=unknown_KN)
    return token_kinds(states, np.array([True, True, False, False]), kept).tolist()


def test_kinds_of_tokens_are_as_written_out():
    assert written_out(kept=False) == [
        [CONDITION, CONDITION, MASK, MASK],
        [NEW, CONDITION, MASK, MASK],
        [KEPT, CONDITION, NEW, MASK],
        [KEPT, NEW, KEPT, NEW],  # all are decoded in the end, though one still counts as unknown
    ]


def test_exact_condition_tokens_stay_what_they_are():
    assert written_out(kept=True) == [
        [CONDITION, CONDITION, MASK, MASK],
        [CONDITION, CONDITION, MASK, MASK],
        [CONDITION, CONDITION, NEW, MASK],
        [CONDITION, CONDITION, KEPT, NEW],
    ]


def decoded(generator, task):
    video = tiny_generators.video("causal", clips=2)
    clips, states = generator.generate_states(task, video=video, steps=STEPS)
    given = generator.given(task, video=video)
    return to_uint8(clips), states, given, draw_states(generator, states, given)


def area(image_HWC, value):
    return int((image_HWC == colour(value)).all(-1).sum())


@pytest.mark.parametrize("task", ["central_outpainting", "frame_prediction", "class_conditional"])
def test_every_step_has_its_row_with_every_token_in_it(generator, task):
    if task == "class_conditional":
        _, states = generator.generate_states(task, label=[0, 1], steps=STEPS)
        given = generator.given(task, num=2)
        pictures = draw_states(generator, states, given)
    else:
        _, states, given, pictures = decoded(generator, task)
    assert len(pictures) == 2
    token = (24 - 1) ** 2  # pixels of one: a map of 4x4 tokens is 96 wide
    for i, (still, moving) in enumerate(pictures):
        assert len(moving) == STEPS + 1 and still.shape[0] > STEPS * 100
        legend = [area(moving[0], value) % token for value in COLOURS]
        unknown_KN = np.asarray(states.unknown_KBN[:, i])
        region_N = given.region_Bthw[0].reshape(-1)
        counts = [
            [(area(frame, value) - rest) // token for value, rest in zip(COLOURS, legend, strict=True)]
            for frame in moving
        ]
        held = 0 if task == "frame_prediction" else None
        expected = [[int(region_N.sum()), int((~region_N).sum()), 0, 0]]
        before_N = ~region_N if held == 0 else np.ones_like(region_N)
        for step, after_N in enumerate(unknown_KN):
            after_N = np.zeros_like(after_N) if step == STEPS - 1 else after_N
            condition = int(region_N.sum()) if held == 0 else int((after_N & region_N).sum())
            new, kept = int((before_N & ~after_N).sum()), int((~before_N & ~after_N).sum())
            kept -= int(region_N.sum()) if held == 0 else 0
            expected.append([condition, int((after_N & ~region_N).sum()), new, kept])
            before_N = after_N
        base = [(area(moving[0], value) - rest) // token for value, rest in zip(COLOURS, legend, strict=True)]
        offset = [found - wanted for found, wanted in zip(base, expected[0], strict=True)]  # of the legend
        assert [[n - o for n, o in zip(row, offset, strict=True)] for row in counts] == expected


def test_the_last_row_shows_the_clip_that_was_generated(generator):
    clips, _, _, pictures = decoded(generator, "central_outpainting")
    for clip, (_, moving) in zip(clips, pictures, strict=True):
        left = 112 + 4 + 3 * (96 + 4) + 4 + 4 + 4  # label, maps of tokens, gaps
        shown = moving[-1, 18 + 4 * 2 + 4 + 4 :, left:]
        for k, frame in enumerate((0, 4, 8)):  # of each of the three latent frames the last
            found = shown[:96, k * 100 : k * 100 + 96][::6, ::6]
            np.testing.assert_array_equal(found, clip[frame])


def test_generate_writes_them_beside_the_clips(generator, tmp_path):
    source = write_gif(tmp_path / "film.gif", tiny_generators.video("causal", clips=1)[0])
    drawn = workflows.generate(
        generator,
        "central_outpainting",
        tmp_path / "a",
        source=source,
        num=2,
        states=True,
        say=lambda _: None,
    )
    plain = workflows.generate(
        generator, "central_outpainting", tmp_path / "b", source=source, num=2, say=lambda _: None
    )
    np.testing.assert_array_equal(drawn, plain)
    for i in range(2):
        assert len(read_video(tmp_path / "a" / f"central_outpainting_{i:04d}_states.gif")) == STEPS + 1
        assert read_video(tmp_path / "a" / f"central_outpainting_{i:04d}_states.png").shape[0] == 1
    assert not list((tmp_path / "b").glob("*states*"))
