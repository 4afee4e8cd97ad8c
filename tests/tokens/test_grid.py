"""Which pixels a latent token spans, with and without a leading frame."""

from types import SimpleNamespace

import numpy as np
import pytest
from grids import MAGVIT, MAGVIT2

from magvit_jax.errors import UserError
from magvit_jax.tokenizer.magvit2 import MagvitV2
from magvit_jax.tokens import LatentGrid, latent_grid


def test_a_grid_knows_its_clip():
    assert (MAGVIT2.pixel_shape, MAGVIT2.num_tokens) == ((17, 128, 128), 1280)
    assert (MAGVIT.pixel_shape, MAGVIT.num_tokens) == ((16, 128, 128), 1024)
    image = LatentGrid(1, 16, 16, strides=(4, 16, 16), leading_frame=True, causal=True)
    assert image.pixel_shape == (1, 256, 256)


@pytest.mark.parametrize(
    ("grid", "owners"),
    [
        (MAGVIT, [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3]),
        (MAGVIT2, [0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4]),
    ],
)
def test_every_pixel_belongs_to_one_token(grid, owners):
    for frame, owner in enumerate(owners):
        for row, column, place in ((0, 127, (0, 15)), (63, 64, (7, 8))):
            given = np.zeros(grid.pixel_shape, bool)
            given[frame, row, column] = True
            assert np.argwhere(grid.holding(given)).tolist() == [[owner, *place]]


def test_masks_of_a_batch_are_looked_at_one_by_one():
    given = np.zeros((2, 3, *MAGVIT2.pixel_shape), bool)
    given[1, 2, 16] = True
    tokens = MAGVIT2.holding(given)
    assert tokens.shape == (2, 3, 5, 16, 16)
    assert tokens[1, 2, 4].all() and tokens.sum() == 256


def test_a_mask_of_another_size_is_refused():
    with pytest.raises(UserError, match=r"mask of 16x128x128 pixels .* expected the clip's 17x128x128"):
        MAGVIT2.holding(np.ones((16, 128, 128), bool))


@pytest.mark.parametrize(
    ("grid", "frames", "touched", "filled"),
    [
        (MAGVIT2, 0, 0, True),
        (MAGVIT2, 1, 1, True),
        (MAGVIT2, 2, 2, False),
        (MAGVIT2, 5, 2, True),
        (MAGVIT2, 6, 3, False),
        (MAGVIT, 0, 0, True),
        (MAGVIT, 1, 1, False),
        (MAGVIT, 4, 1, True),
        (MAGVIT, 5, 2, False),
    ],
)
def test_latent_frames_of_the_first_frames(grid, frames, touched, filled):
    assert grid.latent_frames_of(frames) == touched
    assert grid.fills_latent_frames(frames) is filled


def test_layout_and_causality_are_two_things():
    """MAGVIT-v2 with norm statistics over the clip has a leading frame, but its latents see the future."""
    model = SimpleNamespace(compression=(4, 8, 8), latent_shape=lambda *clip: (5, 16, 16))
    for statistics, causal in (("frame", True), ("clip", False)):
        model.leading_frame, model.causal = (
            getattr(MagvitV2, name).fget(SimpleNamespace(statistics=statistics))
            for name in ("leading_frame", "causal")
        )
        grid = latent_grid(model, (17, 128, 128))
        assert (grid.leading_frame, grid.causal) == (True, causal)
        assert (grid.shape, grid.pixel_shape) == ((5, 16, 16), (17, 128, 128))
