"""The steps of a decoding as pictures (Fig. 6.3): which tokens are known after each step, and the clip as it
is then."""

import jax.numpy as jnp
import numpy as np

from magvit_jax.generation.generator import Generator
from magvit_jax.generation.pixels import Given
from magvit_jax.media import states as drawing
from magvit_jax.media.given import given_only
from magvit_jax.sampling.parallel import States
from magvit_jax.systems.pixels import to_uint8

FRAMES = 5  # of a clip in the picture, at most


def draw_states(generator: Generator, states: States, given: Given) -> list[tuple[np.ndarray, np.ndarray]]:
    """For each clip of a batch a still picture of all steps, uint8 [H', W', 3], and one that moves, [K + 1,
    H', W', 3].

    The first row is what decoding begins with. Clips of more than `FRAMES` latent frames are shown
    down-sampled in time, tokens and pixels alike: of each latent frame the last pixel frame.

    Args:
      states: of `Generator.generate_states`, of B clips.
      given: of `Generator.given`, with the same arguments.
    """
    grid = generator.mixture.grid
    shown_t = np.unique(np.rint(np.linspace(0, grid.frames - 1, min(FRAMES, grid.frames))).astype(int))
    shown_T = grid.pixel_frames - 1 - (grid.frames - 1 - shown_t) * grid.strides[0]
    steps, batch, _ = np.shape(states.ids_KBN)
    kept = generator.keep_condition or given.exact
    pictures = []
    for i in range(batch):
        one = States(*(np.asarray(part_KBN[:, i]) for part_KBN in states))
        region_N = given.region_Bthw[i % len(given.region_Bthw)].reshape(-1)
        kinds_KN = token_kinds(one, region_N, kept)
        videos = [_begin(generator, given, i)[shown_T]]
        videos += [_decoded(generator, ids_N)[shown_T] for ids_N in one.ids_KBN]
        left = [int(np.isin(kinds_N, (drawing.CONDITION, drawing.MASK)).sum()) for kinds_N in kinds_KN]
        labels = ["start", *(f"step {k}: {left[k]} left" for k in range(1, steps)), f"step {steps}"]
        shown = kinds_KN.reshape(steps + 1, *grid.shape)[:, shown_t], np.stack(videos), labels
        pictures.append((drawing.states_picture(*shown), drawing.states_clip(*shown)))
    return pictures


def token_kinds(states: States, region_N: np.ndarray, kept: bool) -> np.ndarray:
    """What every token of one clip is at the start and after each of K steps, [K + 1, N] as in
    `media.states`.

    A token that is not decoded yet is a condition token in the region, [MASK] outside. After the last step
    all of them are decoded, though the schedule still counts one as unknown.

    Args:
      states: of one clip, [K, N] each.
      region_N: bool, the condition region.
      kept: condition tokens are returned as they are, and never decoded.
    """
    waiting = np.where(region_N, drawing.CONDITION, drawing.MASK)
    unknown_KN = np.array(states.unknown_KBN)
    unknown_KN[-1] = False
    before_N = np.ones_like(region_N)
    kinds = [waiting]
    for after_N in unknown_KN:
        known_N = np.where(before_N, drawing.NEW, drawing.KEPT)
        kind_N = np.where(after_N, waiting, known_N)
        kinds.append(np.where(region_N, drawing.CONDITION, kind_N) if kept else kind_N)
        before_N = after_N
    return np.stack(kinds)


def _begin(generator: Generator, given: Given, index: int) -> np.ndarray:
    """What is given of a clip, uint8 [T, H, W, 3]."""
    given_THW = given.given_BTHW[index % len(given.given_BTHW)]
    if given.video_BTHWC is None:
        return given_only(np.zeros((*given_THW.shape, 3), np.uint8), given_THW)
    return given_only(to_uint8(given.video_BTHWC[index]), given_THW)


def _decoded(generator: Generator, ids_N: np.ndarray) -> np.ndarray:
    return to_uint8(generator.tokenizer.decode(jnp.asarray(ids_N).reshape(1, *generator.mixture.grid.shape)))[
        0
    ]
