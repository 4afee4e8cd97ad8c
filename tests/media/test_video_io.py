"""Files written for people: read back as written, at the right speed, whole or not at all."""

import io

import numpy as np
import pytest
from PIL import Image

from magvit_jax.errors import UserError
from magvit_jax.media import animation
from magvit_jax.media.atomic import replacing, write_bytes
from magvit_jax.media.video_io import read_video, write_gif, write_mp4, write_png


def smooth_video(frames=9, height=32, width=48):
    """A coloured gradient that moves: [T, H, W, 3]."""
    t, y, x = np.meshgrid(np.arange(frames), np.arange(height), np.arange(width), indexing="ij")
    channels = [8 * t + 3 * x, 60 + 4 * y, 200 - 2 * x - 5 * t]
    return np.stack(channels, axis=-1).clip(0, 255).astype(np.uint8)


def noise_video(frames=5, height=8, width=8):
    return np.random.default_rng(0).integers(0, 256, (frames, height, width, 3), dtype=np.uint8)


def psnr(a, b):
    return 10 * np.log10(255**2 / np.mean((a.astype(float) - b) ** 2))


def durations_ms(data):
    with Image.open(io.BytesIO(data)) as image:
        times = []
        for index in range(image.n_frames):
            image.seek(index)
            image.load()
            times.append(image.info["duration"])
        return times, image.info.get("loop")


def test_mp4_keeps_frames_colours_and_rate(tmp_path):
    import av

    video = smooth_video()
    path = write_mp4(tmp_path / "new" / "clip.mp4", video, fps=12.5)
    back = read_video(path)
    assert back.shape == video.shape and back.dtype == np.uint8
    assert psnr(video, back) > 38  # swapped channels or a wrong colour matrix fall far below
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name == "h264" and stream.codec_context.pix_fmt == "yuv420p"
        assert stream.average_rate == 12.5
        assert stream.frames == len(video)


@pytest.mark.parametrize("size", [(31, 47), (32, 47), (31, 48), (1, 1)])
def test_mp4_pads_odd_sizes_with_the_edge(tmp_path, size):
    video = smooth_video(2, *size)
    back = read_video(write_mp4(tmp_path / "odd.mp4", video))
    height, width = size
    assert back.shape[1:3] == (height + height % 2, width + width % 2)
    assert psnr(video, back[:, :height, :width]) > 33
    assert abs(back[:, -1, -1].astype(int) - video[:, -1, -1]).max() < 16


def test_mp4_scale_is_nearest_and_exact_in_colour(tmp_path):
    video = noise_video()
    back = read_video(write_mp4(tmp_path / "big.mp4", video, scale=6))
    assert back.shape == (5, 48, 48, 3)
    assert psnr(video, back[:, 3::6, 3::6]) > 36  # at scale 1, four noise pixels would share a colour
    with pytest.raises(ValueError, match="scale"):
        write_mp4(tmp_path / "big.mp4", video, scale=1.5)


def test_gif_is_exact_up_to_256_colours_a_frame(tmp_path):
    video = noise_video()  # 64 colours a frame, 320 in all: a palette for the whole clip could not hold them
    assert np.array_equal(read_video(write_gif(tmp_path / "a.gif", video)), video)
    big = write_gif(tmp_path / "b.gif", video, scale=3)
    assert np.array_equal(read_video(big), video.repeat(3, 1).repeat(3, 2))


def test_gif_of_many_colours_is_close(tmp_path):
    video = smooth_video(height=64, width=64)
    assert psnr(video, read_video(write_gif(tmp_path / "a.gif", video))) > 36


@pytest.mark.parametrize(("fps", "expected"), [(8.0, [130, 120] * 2 + [130]), (30.0, [30, 40, 30, 30, 40])])
def test_gif_durations_do_not_drift(fps, expected):
    times, loop = durations_ms(animation.gif_bytes(noise_video(5), fps))
    assert times == expected and loop == 0


def test_gif_time_is_kept_where_frames_repeat():
    video = noise_video(3).repeat(4, axis=0)
    times, _ = durations_ms(animation.gif_bytes(video, 10.0))
    assert sum(times) == 1200


def test_gif_faster_than_it_can_be_drops_frames_not_speed():
    video = noise_video(12)
    data = animation.gif_bytes(video, 120.0)
    times, _ = durations_ms(data)
    assert np.array_equal(animation.read_animation(data), video[::3])
    assert min(times) >= 20 and abs(sum(times) - 100) <= 10


def test_webp_is_exact_and_moves():
    video = smooth_video(7)
    data = animation.webp_bytes(video, fps=30.0)
    times, loop = durations_ms(data)
    assert np.array_equal(animation.read_animation(data), video)
    assert len(times) == 7 and sum(times) == 233 and loop == 0
    lossy = animation.webp_bytes(video, fps=30.0, lossless=False)
    assert psnr(video, animation.read_animation(lossy)) > 30


@pytest.mark.parametrize("fps", [0, -1, float("nan"), float("inf")])
def test_impossible_rates_are_refused(tmp_path, fps):
    for write in (write_mp4, write_gif):
        with pytest.raises(ValueError, match="fps"):
            write(tmp_path / "a.gif", noise_video(), fps)


def test_png_round_trip(tmp_path):
    image = noise_video()[0]
    assert np.array_equal(
        read_video(write_png(tmp_path / "a.png", image, scale=2))[0], image.repeat(2, 0).repeat(2, 1)
    )


@pytest.mark.parametrize(
    "wrong", [np.zeros((2, 4, 4, 3)), np.zeros((4, 4, 3), np.uint8), np.zeros((0, 4, 4, 3), np.uint8)]
)
def test_other_arrays_are_refused_and_the_old_file_stays(tmp_path, wrong):
    for write, name in ((write_mp4, "a.mp4"), (write_gif, "a.gif")):
        path = write(tmp_path / name, noise_video())
        before = path.read_bytes()
        with pytest.raises(ValueError, match=r"expected uint8 \[T,H,W,3\]"):
            write(path, wrong)
        assert path.read_bytes() == before


def test_a_write_that_fails_leaves_nothing_behind(tmp_path):
    path = write_bytes(tmp_path / "a.txt", b"old")
    with pytest.raises(RuntimeError), replacing(path) as temporary:
        assert temporary.suffix == ".txt" and temporary.parent == tmp_path
        temporary.write_bytes(b"half")
        raise RuntimeError
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_files_have_the_usual_permissions(tmp_path):
    (tmp_path / "usual").write_bytes(b"")
    path = write_bytes(tmp_path / "ours", b"")
    assert path.stat().st_mode == (tmp_path / "usual").stat().st_mode


def test_read_video_names_the_file(tmp_path):
    with pytest.raises(UserError, match=r"none\.mp4: no such file"):
        read_video(tmp_path / "none.mp4")
    for name in ("bad.mp4", "bad.gif", "empty.mp4", "empty.gif"):
        (tmp_path / name).write_bytes(b"not a video" if "bad" in name else b"")
        with pytest.raises(UserError, match=f"{name}: not a readable video"):
            read_video(tmp_path / name)
