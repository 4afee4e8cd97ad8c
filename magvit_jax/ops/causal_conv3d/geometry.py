"""The sizes of a causal convolution: paddings, output lengths, and which frame meets which tap."""

SpatialPadding = tuple[tuple[int, int], tuple[int, int]]  # zeros (before, after) height and width


def spatial_padding(size: int) -> tuple[int, int]:
    """Zeros before and after one spatial axis for a kernel of `size`: output i is centred on input s * i.

    Odd sizes are symmetric at every stride, as in PyTorch's `padding=size // 2`. (TensorFlow's and JAX's own "SAME"
    pads a stride-2 kernel of 3 by (0, 1) on even inputs, which moves the whole picture by half an output pixel.)
    Even sizes put the odd zero after.
    """
    return (size - 1) // 2, size // 2


def output_length(length: int, stride: int) -> int:
    """Outputs on one axis: one at every multiple of `stride`. 1 + s * t frames give 1 + t."""
    return (length - 1) // stride + 1


def frames_of_tap(tap: int, frames: int, zero_frames: int, taps: int, stride: int) -> tuple[int, int, int]:
    """(first output, first input, count) of the outputs that meet a frame of the input at temporal tap `tap`.

    Output i reads input stride * i + tap - zero_frames at this tap; those before the input's start read zeros and
    drop out.
    """
    outputs = (frames + zero_frames - taps) // stride + 1
    first_output = min(outputs, max(0, -(-(zero_frames - tap) // stride)))
    return first_output, stride * first_output + tap - zero_frames, outputs - first_output
