"""Inception-v3, ResNet-50 and the LPIPS networks in PyTorch, with random weights copied over.

Each test runs beside the networks written down in `tests/torch_vision.py`, and beside torchvision's and lpips'
own where these can be imported.
"""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs torch and the extra `oracles`")
pytestmark = [pytest.mark.oracle, pytest.mark.filterwarnings("ignore:.*deprecated.*:UserWarning")]

import torch_vision  # noqa: E402
from pretrained_checks import assert_close, numpy_state, ours, randomise, torchvision_models  # noqa: E402
from torch.nn import functional  # noqa: E402

from magvit_jax.metrics.lpips import lpips_distance  # noqa: E402

written_down_and_original = pytest.mark.parametrize("original", [False, True], ids=["written", "original"])


def pictures(size, seed=0):
    return np.random.default_rng(seed).uniform(-1, 1, (2, *size, 3)).astype(np.float32)


def torch_pictures(x_NHWC):
    return torch.from_numpy(x_NHWC).permute(0, 3, 1, 2)


def logits_and_pooled(network, x_NHWC):
    seen = {}
    network.avgpool.register_forward_hook(lambda *args: seen.update(pooled=args[-1].flatten(1).numpy()))
    with torch.no_grad():
        return {"logits": network(torch_pictures(x_NHWC)).numpy(), **seen}


def torchvision_fid_inception():
    """torchvision's Inception-v3, with branches that pool as TensorFlow's graph has it."""

    def mean(x):
        return functional.avg_pool2d(x, 3, 1, 1, count_include_pad=False)

    network = torchvision_models().inception_v3(num_classes=1008, aux_logits=False, init_weights=False)
    for name in ("5b", "5c", "5d", "6b", "6c", "6d", "6e", "7b"):
        pool_by(getattr(network, f"Mixed_{name}"), mean)
    pool_by(network.Mixed_7c, lambda x: functional.max_pool2d(x, 3, 1, 1))
    return network


def pool_by(block, pool):
    """`block` with its branch of pooling computed anew: the last channels of its output."""
    original = block.forward

    def forward(x):
        branch = block.branch_pool(pool(x))
        return torch.cat([original(x)[:, : -branch.shape[1]], branch], dim=1)

    block.forward = forward


@written_down_and_original
def test_inception(original):
    """Mean pools that do not count the padding, the maximum in the last block, and three outputs."""
    network = torchvision_fid_inception() if original else torch_vision.FidInception()
    randomise(torch, network)
    assert sum(value.numel() for value in network.parameters()) == 23_850_960
    x_NHWC = pictures((139, 107))
    expected = logits_and_pooled(network, x_NHWC)
    expected["logits_unbiased"] = expected["logits"] - network.fc.bias.detach().numpy()
    found = ours("inception", numpy_state(network), x=x_NHWC)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert_close(found[name], value)


@written_down_and_original
def test_resnet50(original):
    network = torchvision_models().resnet50() if original else torch_vision.ResNet50()
    randomise(torch, network)
    assert sum(value.numel() for value in network.parameters()) == 25_557_032
    x_NHWC = pictures((75, 64))
    expected = logits_and_pooled(network, x_NHWC)
    found = ours("resnet50", numpy_state(network), x=x_NHWC)
    for name, value in expected.items():
        assert_close(found[name], value)


def original_lpips(trunk, network, a, b):
    """The distance, the maps of `a`, and the published heads under the names of their file."""
    lpips = pytest.importorskip("lpips", reason="needs the extra `oracles`")
    theirs = lpips.LPIPS(net={"vgg16": "vgg", "alexnet": "alex"}[trunk], pnet_rand=True, verbose=False)
    for layers in theirs.net.children():
        for number, layer in layers.named_children():
            layer.load_state_dict(network.features[int(number)].state_dict())
    state = theirs.state_dict()
    heads = {key: state[key] for key in (f"lin{number}.model.1.weight" for number in range(5))}
    with torch.no_grad():
        return theirs(a, b).flatten(), theirs.net(theirs.scaling_layer(a)), heads


def written_lpips(trunk, network, a, b):
    widths = {"vgg16": (64, 128, 256, 512, 512), "alexnet": (64, 192, 384, 256, 256)}[trunk]
    heads = {f"lin{number}.model.1.weight": torch.rand(1, width, 1, 1) for number, width in enumerate(widths)}
    with torch.no_grad():
        return *torch_vision.lpips(trunk, network.features, heads, a, b), heads


@pytest.mark.parametrize(("name", "trunk"), [("lpips_vgg", "vgg16"), ("lpips_alex", "alexnet")])
@written_down_and_original
def test_lpips(name, trunk, original):
    """The maps of a random trunk, and the distance: with the published heads where lpips is there."""
    network = getattr(torchvision_models() if original else torch_vision, trunk)()
    randomise(torch, network)
    a_NHWC, b_NHWC = pictures((67, 91), seed=1), pictures((67, 91), seed=2)
    measure = original_lpips if original else written_lpips
    distance, maps, heads = measure(trunk, network, torch_pictures(a_NHWC), torch_pictures(b_NHWC))
    heads = {key: value.numpy() for key, value in heads.items()}
    found_a, found_b = (ours(name, numpy_state(network), heads, x=x) for x in (a_NHWC, b_NHWC))
    for found, wanted in zip(found_a["maps"], maps, strict=True):
        assert_close(found, wanted.permute(0, 2, 3, 1).numpy())
    found = lpips_distance(found_a["maps"], found_b["maps"], found_a["heads"])
    np.testing.assert_allclose(found, distance.numpy(), rtol=1e-4)
