"""A converted Open-MAGVIT2 tokenizer against PyTorch: a network written here from the documented behaviour alone.

What the documentation says of each layer is also worked out by hand, without PyTorch, in `tests/nn`.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from open_magvit2_keys import Settings, random_tensors, temporal_stride

from magvit_jax import load_tokenizer
from magvit_jax.tokenizer import lfq
from magvit_jax.workflows import convert

torch = pytest.importorskip("torch", reason="needs torch and the extra `oracles`")
pytestmark = pytest.mark.oracle

IMAGE = Settings(32, (1, 2, 2), 2, 6, video=False)
VIDEO = Settings(32, (1, 2, 2, 1), 1, 6, video=True)  # halves time twice
CASES = {
    "image": (IMAGE, (2, 1, 16, 24)),
    "video": (VIDEO, (2, 5, 16, 24)),
    "one frame": (VIDEO, (2, 1, 16, 24)),
}


class Reference:
    """The documented network, channels first: [B, C, H, W] of images, [B, C, T, H, W] of videos, in [-1, 1]."""

    def __init__(self, settings: Settings, weights: dict[str, np.ndarray]):
        self.settings, self.levels = settings, len(settings.multipliers)
        self.weights = {name: torch.from_numpy(value) for name, value in weights.items()}

    def conv(self, x, name, stride=(1, 1, 1)):
        name = f"{name}.conv_1" if self.settings.video else name
        weight, bias = self.weights[f"{name}.weight"], self.weights.get(f"{name}.bias")
        border = weight.shape[-1] // 2
        if not self.settings.video:
            return torch.nn.functional.conv2d(x, weight, bias, stride[1:], padding=border)
        padding = (border, border, border, border, weight.shape[2] - 1, 0)
        return torch.nn.functional.conv3d(torch.nn.functional.pad(x, padding), weight, bias, stride)

    def norm(self, x, name):
        weight, bias = self.weights[f"{name}.weight"], self.weights[f"{name}.bias"]
        return torch.nn.functional.group_norm(x, 32, weight, bias, eps=1e-6)

    def activated(self, x, name):
        x = self.norm(x, name)
        return x * torch.sigmoid(x)

    def blocks(self, x, name):
        for i in range(self.settings.blocks):
            block = f"{name}.{i}"
            h = self.conv(self.activated(x, f"{block}.norm1"), f"{block}.conv1")
            h = self.conv(self.activated(h, f"{block}.norm2"), f"{block}.conv2")
            if x.shape[1] != h.shape[1]:
                x = self.conv(x, f"{block}.nin_shortcut")
            x = x + h
        return x

    def encode(self, x):
        x = self.conv(x, "encoder.conv_in")
        for i in range(self.levels):
            x = self.blocks(x, f"encoder.down.{i}.block")
            if i < self.levels - 1:
                x = self.conv(x, f"encoder.down.{i}.downsample", (temporal_stride(self.settings, i), 2, 2))
        x = self.activated(self.blocks(x, "encoder.mid_block"), "encoder.norm_out")
        return self.conv(x, "encoder.conv_out")

    def decode(self, codes):
        x = self.blocks(self.conv(codes, "decoder.conv_in"), "decoder.mid_block")
        for i in reversed(range(self.levels)):
            x = self.blocks(self.adapt(x, codes, f"decoder.adaptive.{i}"), f"decoder.up.{i}.block")
            if i > 0:
                x = self.upsample(x, f"decoder.up.{i}.upsample.conv1", temporal_stride(self.settings, i - 1))
        return self.conv(self.activated(x, "decoder.norm_out"), "decoder.conv_out")

    def adapt(self, x, codes, name):
        codes = codes.flatten(2)
        std, mean = torch.sqrt(codes.var(-1, unbiased=True) + 1e-6), codes.mean(-1)
        linear = torch.nn.functional.linear
        scale = linear(std, self.weights[f"{name}.gamma.weight"], self.weights[f"{name}.gamma.bias"])
        shift = linear(mean, self.weights[f"{name}.beta.weight"], self.weights[f"{name}.beta.bias"])
        x = torch.nn.functional.group_norm(x, 32, eps=1e-6)
        ones = (1,) * (x.ndim - 2)
        return scale.reshape(*scale.shape, *ones) * x + shift.reshape(*shift.shape, *ones)

    def upsample(self, x, name, st):
        x = self.conv(x, name)
        if not self.settings.video:
            return self.unfold(x[:, :, None], 1)[:, :, 0]
        x = self.unfold(x, st)
        return torch.cat([x[:, :, :1], x[:, :, 2:]], 2) if st == 2 else x

    def unfold(self, x, st):
        """Output frame st t + bt, row 2 h + bh, column 2 w + bw, channel c has channel ((bt 2 + bh) 2 + bw) C + c."""
        b, depth, t, h, w = x.shape
        channels = depth // (4 * st)
        out = x.new_zeros(b, channels, st * t, 2 * h, 2 * w)
        for bt, bh, bw in np.ndindex(st, 2, 2):
            first = ((bt * 2 + bh) * 2 + bw) * channels
            out[:, :, bt::st, bh::2, bw::2] = x[:, first : first + channels]
        return out


def converted(settings, folder):
    """Our tokenizer, from a training checkpoint as PyTorch saves it, and theirs."""
    weights, last = random_tensors(settings, seed=1), random_tensors(settings, seed=2)
    state = dict(last)
    state |= {"model_ema." + name.replace(".", ""): value for name, value in weights.items()}
    state["loss.discriminator.main.0.weight"] = np.ones((4, 3, 4, 4), np.float32)
    state = {name: torch.from_numpy(value) for name, value in state.items()}
    path = folder / f"{settings.video}.ckpt"
    torch.save({"state_dict": state, "epoch": 3, "optimizer_states": [{"state": {0: torch.zeros(3)}}]}, path)
    convert("open-magvit2", path, folder / f"bundle{settings.video}")
    return load_tokenizer(folder / f"bundle{settings.video}"), Reference(settings, weights)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("open_magvit2")
    return {settings: converted(settings, folder) for settings in (IMAGE, VIDEO)}


def channels_first(x_BTHWC, video):
    x = torch.from_numpy(np.array(x_BTHWC)).permute(0, 4, 1, 2, 3)
    return x if video else x[:, :, 0]


def channels_last(x, video):
    return (x if video else x[:, :, None]).permute(0, 2, 3, 4, 1).numpy()


@pytest.mark.parametrize("case", CASES)
def test_encoder_and_indices(models, case):
    settings, shape = CASES[case]
    ours, theirs = models[settings]
    video = np.random.default_rng(0).uniform(size=(*shape, 3)).astype(np.float32)
    z = np.asarray(
        jax.jit(lambda p, x: ours.model.apply({"params": p}, x, method="encode"))(ours.params, video)
    )
    with torch.no_grad():
        expected = channels_last(
            theirs.encode(channels_first(2.0 * video - 1.0, settings.video)), settings.video
        )
    assert z.std() > 0.1 and z.shape == expected.shape == (
        shape[0],
        *ours.model.latent_shape(*shape[1:]),
        settings.bits,
    )
    np.testing.assert_allclose(z, expected, atol=1e-4)
    indices = sum((expected[..., bit] > 0).astype(np.int64) << bit for bit in range(settings.bits))
    sure = np.all(np.abs(expected) > 1e-4, axis=-1)
    assert sure.mean() > 0.9 and len(np.unique(indices)) > 2
    np.testing.assert_array_equal(np.asarray(ours.encode(video))[sure], indices[sure])


@pytest.mark.parametrize("case", CASES)
def test_decoder(models, case):
    settings, shape = CASES[case]
    ours, theirs = models[settings]
    latent = (shape[0], *ours.model.latent_shape(*shape[1:]))
    ids = np.random.default_rng(1).integers(0, 2**settings.bits, latent)
    pixels = jax.jit(lambda p, x: ours.model.apply({"params": p}, x, method="decode_from_ids"))(
        ours.params, ids
    )
    codes = np.where(ids[..., None] >> np.arange(settings.bits) & 1, 1.0, -1.0).astype(np.float32)
    np.testing.assert_array_equal(lfq.ids_to_codes(jnp.asarray(ids), settings.bits), codes)
    with torch.no_grad():
        expected = channels_last(theirs.decode(channels_first(codes, settings.video)), settings.video)
    assert pixels.shape == expected.shape == (*shape, 3) and expected.std() > 0.1
    np.testing.assert_allclose(2.0 * np.asarray(pixels) - 1.0, expected, atol=1e-4)


def test_an_image_model_takes_each_frame_of_a_video_by_itself(models):
    ours, theirs = models[IMAGE]
    video = np.random.default_rng(2).uniform(size=(1, 3, 16, 16, 3)).astype(np.float32)
    z = jax.jit(lambda p, x: ours.model.apply({"params": p}, x, method="encode"))(ours.params, video)
    with torch.no_grad():
        frames = theirs.encode(channels_first(2.0 * video.swapaxes(0, 1) - 1.0, False))
    np.testing.assert_allclose(z[0], channels_last(frames, False)[:, 0], atol=1e-4)
