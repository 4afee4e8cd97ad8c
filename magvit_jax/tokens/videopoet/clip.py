"""How many visual and audio tokens a clip has (thesis 8.3.1, 8.3.3)."""

import dataclasses
import math

from magvit_jax.errors import UserError
from magvit_jax.tokens.grid import LatentGrid


@dataclasses.dataclass(frozen=True)
class ClipShape:
    """Shape of a clip's tokens.

    Attributes:
        grid: of its visual tokens.
        fps: frames a second of the video.
        audio_rate: latent frames a second of the audio tokenizer.
        audio_levels: its residual levels; 0 for clips without sound.
    """

    grid: LatentGrid
    fps: float
    audio_rate: float
    audio_levels: int

    def __post_init__(self):
        if not self.grid.leading_frame:
            raise UserError("VideoPoet needs a tokenizer with a leading frame: an image is a 1-frame video")
        if self.fps <= 0 or self.audio_rate <= 0 or self.audio_levels < 0:
            raise UserError(
                f"clip of {self.fps} frames and {self.audio_rate} audio frames a second, {self.audio_levels} "
                "audio levels: expected more than 0 a second, and 0 levels or more"
            )

    @property
    def visual_tokens(self) -> int:
        return self.grid.num_tokens

    @property
    def frame_tokens(self) -> int:
        """Tokens of one latent frame, which is also how many an image has."""
        return self.grid.height * self.grid.width

    @property
    def audio_frames(self) -> int:
        return self.audio_frames_of(self.grid.frames)

    @property
    def audio_tokens(self) -> int:
        return self.audio_frames * self.audio_levels

    def pixel_frames_of(self, latents: int) -> int:
        """Frames of the first `latents` latent frames."""
        return self.grid.strides[0] * (latents - 1) + 1 if latents else 0

    def audio_frames_of(self, latents: int) -> int:
        """Whole audio frames within the first `latents` latent frames: 2.125 s at 50 Hz are 106 (8.3.1)."""
        if not self.audio_levels:
            return 0
        return math.floor(self.pixel_frames_of(latents) * self.audio_rate / self.fps + 1e-9)


def published_clip(frames: int, height: int, width: int) -> ClipShape:
    """The paper's clips: 17 or 41 frames at 8 a second, 128x128, or 224 high and 128 wide; audio at 50 Hz.

    MAGVIT-v2 makes one latent of 4 frames (the first has its own) and 8x8 pixels.
    """
    if frames % 4 != 1 or height % 8 or width % 8:
        raise UserError(f"clip of {frames}x{height}x{width}: expected 1 + 4k frames and sides of 8k pixels")
    grid = LatentGrid(1 + frames // 4, height // 8, width // 8, (4, 8, 8), leading_frame=True, causal=True)
    return ClipShape(grid, fps=8.0, audio_rate=50.0, audio_levels=4)
