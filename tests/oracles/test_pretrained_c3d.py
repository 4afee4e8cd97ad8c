"""C3D beside the same layers in PyTorch, with random weights copied over."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs torch and the extra `oracles`")
pytestmark = pytest.mark.oracle

from pretrained_checks import assert_close, ours, randomise  # noqa: E402
from torch.nn import functional  # noqa: E402

WIDTHS = {"conv1a": (3, 64), "conv2a": (64, 128), "conv3a": (128, 256), "conv3b": (256, 256)}
WIDTHS |= {"conv4a": (256, 512), "conv4b": (512, 512), "conv5a": (512, 512), "conv5b": (512, 512)}


def network():
    layers = {name: torch.nn.Conv3d(*widths, 3, padding=1) for name, widths in WIDTHS.items()}
    layers |= {"fc6": torch.nn.Linear(8192, 4096), "fc7": torch.nn.Linear(4096, 4096)}
    layers["fc8"] = torch.nn.Linear(4096, 101)
    return randomise(torch, torch.nn.ModuleDict(layers))


def run(layers, x):
    """x is [B, C, T, H, W], the mean subtracted. `ceil_mode` is what Chainer and Caffe do."""
    for name in WIDTHS:
        x = functional.relu(layers[name](x))
        if name in ("conv1a", "conv2a", "conv3b", "conv4b", "conv5b"):
            window = (1, 2, 2) if name == "conv1a" else (2, 2, 2)
            x = functional.max_pool3d(x, window, window, ceil_mode=True)
    x = x.flatten(1)
    for name in ("fc6", "fc7"):
        x = functional.relu(layers[name](x))
    return {"features": x, "logits": layers["fc8"](x)}


def test_parity():
    layers, rng = network(), np.random.default_rng(0)
    assert sum(value.numel() for value in layers.parameters()) == 78_409_573
    video = rng.uniform(0, 255, (1, 16, 112, 112, 3)).astype(np.float32)
    mean = rng.uniform(80, 120, (3, 16, 128, 171)).astype(np.float32)
    x = torch.from_numpy(video.transpose(0, 4, 1, 2, 3) - mean[:, :, 8:120, 8:120])
    with torch.no_grad():
        expected = run(layers, x)
    names = {"weight": "W", "bias": "b"}
    weights = {
        f"{module}/{names[leaf]}": value.numpy()
        for module, leaf, value in ((*key.split("."), value) for key, value in layers.state_dict().items())
    }
    found = ours("c3d_ucf101", weights, {"mean": mean[None]}, video=video)
    for name, value in expected.items():
        assert_close(found[name], value.numpy())
