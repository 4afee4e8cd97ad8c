"""Windows of a clip, in pixels or in latents by the same formula (thesis 6.4.2 and the authors' code)."""

import dataclasses

import numpy as np

from magvit_jax.errors import UserError

#: Direction -> the axis it runs along (0 rows, 1 columns), and whether the position grows with time.
DIRECTIONS = {
    "left_to_right": (1, True),
    "right_to_left": (1, False),
    "top_to_bottom": (0, True),
    "bottom_to_top": (0, False),
}


@dataclasses.dataclass(frozen=True)
class Window:
    """A rectangle of one size in every frame, in the centre or on its way from one border to the other.

    Attributes:
        height, width: shares of the frame in (0, 1]; 1 reaches from border to border.
        direction: a key of `DIRECTIONS`, or None for a window that stands still.
    """

    height: float
    width: float
    direction: str | None = None

    def __post_init__(self):
        for name in ("height", "width"):
            share = getattr(self, name)
            if not 0 < share <= 1:
                raise UserError(f"window: {name} is {share}; expected a share of the frame in (0, 1]")
        if self.direction is not None and self.direction not in DIRECTIONS:
            raise UserError(f"window: direction {self.direction!r}; expected one of {', '.join(DIRECTIONS)}")

    def inside(self, shape: tuple[int, int, int]) -> np.ndarray:
        """Which cells of (frames, height, width) are in the window -> bool [T, H, W].

        A share covers round(share * size) cells. A window that stands still begins at half of what is left,
        one that moves at round(linspace(0, left, frames)), frame by frame: 0, 3, 5, 8 for half of 16 columns
        in 4 frames.

        Raises:
            UserError: there are too few cells for a share.
        """
        frames = shape[0]
        axis, forward = (None, True) if self.direction is None else DIRECTIONS[self.direction]
        spans = []
        for i, name in enumerate(("height", "width")):
            size = shape[i + 1]
            extent = _extent(getattr(self, name), size, name)
            start_T = np.full(frames, (size - extent) // 2)
            if i == axis:
                start_T = np.round(np.linspace(0, size - extent, frames)).astype(int)
                start_T = start_T if forward else (size - extent) - start_T
            cell_TX = np.arange(size)[None]
            spans.append((cell_TX >= start_T[:, None]) & (cell_TX < start_T[:, None] + extent))
        return spans[0][:, :, None] & spans[1][:, None, :]


def _extent(share: float, size: int, name: str) -> int:
    extent = int(np.floor(share * size + 0.5))
    if not (0 < extent < size or share == 1):
        raise UserError(
            f"window: {share} of a {name} of {size} cells is {extent}; expected at least 1 and fewer than all"
        )
    return extent
