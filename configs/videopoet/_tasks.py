"""The group `tasks` of VideoPoet: the eleven tasks of 8.3.3, their settings and weights, and Tab. 8.1's mixtures.

Tab. 8.1 weighs its columns alike: 20% of the samples for each of five video tasks (8.4.2), inpainting and outpainting
being one. Text-to-image has weight 1 where it is: it shares batches of images with no other task, and how many of those
there are is `data.images`' business.
"""

from .._decoding import TOKENWISE
from .._tasks import CENTRE, WINDOW

SETTINGS = dict(
    unconditional=dict(),
    text_to_image=dict(),
    text_to_video=dict(),
    image_to_video=dict(),
    frame_prediction=dict(given=()),  # latent frames that may be given; all counts equally often where none is named
    inpainting=dict(pixels="central_inpainting", **CENTRE, padding="zero", **WINDOW),
    outpainting=dict(pixels="central_outpainting", **CENTRE, padding="edge", **WINDOW),
    stylization=dict(),
    audio_to_video=dict(),
    video_to_audio=dict(),
    audio_video_continuation=dict(),
)

_SSL = dict(
    unconditional=1.0, frame_prediction=1.0, inpainting=0.5, outpainting=0.5, audio_video_continuation=1.0
)
#: Rows of Tab. 8.1; the printed row "T2V" ticks T2I too, as T2V+I does: read as T2V alone.
TAB_8_1 = {
    "t2v": dict(text_to_video=1.0),
    "t2v_i": dict(text_to_image=1.0, text_to_video=1.0),
    "ssl": _SSL,
    "no_t2i": dict(text_to_video=1.0, **_SSL),
    "all": dict(text_to_image=1.0, text_to_video=1.0, **_SSL),
}
#: Every task of 8.3.3, alike: the weights of the larger models are not published.
EVERY = dict.fromkeys(SETTINGS, 1.0) | dict(inpainting=0.5, outpainting=0.5)


def mixture(weights: dict[str, float], *, decoding: dict = TOKENWISE) -> dict:
    """All eleven tasks. Those that `weights` does not name have 0: they are left out, unless overridden."""
    return {
        name: dict(weight=weights.get(name, 0.0), settings=dict(settings), decoding=dict(decoding))
        for name, settings in SETTINGS.items()
    }
