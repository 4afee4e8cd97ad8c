"""Tiny trained models, quick compilation, and a folder of good and bad files."""

import sys
from pathlib import Path

import numpy as np
import pytest

from magvit_jax.media.video_io import write_gif, write_mp4, write_png

sys.path.insert(0, str(Path(__file__).parents[1]))

import tiny_models  # noqa: E402


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """`tiny.tokenizer` and `tiny.generator`: workdir, bundle, state, config. Read only."""
    return tiny_models.trained(tmp_path_factory)


@pytest.fixture(autouse=True)
def quick_compilation():
    with tiny_models.quick_compilation():
        yield


@pytest.fixture(scope="session")
def mixed(tmp_path_factory):
    """Good files of many shapes, a truncated one and one of no bytes. Read only."""
    folder = tmp_path_factory.mktemp("mixed")
    write_mp4(folder / "square.mp4", tiny_models.moving_square(11), fps=12)
    write_mp4(folder / "sub" / "portrait.mp4", tiny_models.moving_square(6, 48, 26, seed=1))
    write_gif(folder / "odd.gif", tiny_models.moving_square(5, 21, 33, seed=2))
    write_png(folder / "image.png", tiny_models.moving_square(1, 20, 24, seed=3)[0])
    write_png(folder / "alpha.png", np.full((17, 19, 4), 128, np.uint8))
    whole = (folder / "square.mp4").read_bytes()
    (folder / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    (folder / "nothing.mp4").write_bytes(b"")
    (folder / "notes.txt").write_text("no video")
    return folder
