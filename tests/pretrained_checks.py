"""What every comparison of a frozen network with its PyTorch original does."""

import flax.traverse_util
import jax
import numpy as np
import pytest

from magvit_jax.converters.pretrained import CONVERTERS, Source
from magvit_jax.pretrained.networks import DEFINITIONS

TOLERANCE = 1e-4


def torchvision_models():
    """`torchvision.models`; the test skips where it is missing, or made for another PyTorch."""
    try:
        import torchvision.models
    except (ImportError, RuntimeError) as error:
        pytest.skip(f"torchvision cannot be imported: {error}")
    return torchvision.models


def randomise(torch, network, seed=0):
    """Random weights that keep activations near 1, and statistics of normalisation that are not 0 and 1."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
                module.weight.uniform_(0.5, 1.5)
                module.bias.uniform_(-0.3, 0.3)
                module.running_mean.uniform_(-0.3, 0.3)
                module.running_var.uniform_(0.5, 1.5)
            elif getattr(module, "weight", None) is not None:
                fan_in = module.weight[0].numel()
                module.weight.normal_(0, (2 / fan_in) ** 0.5)
                if module.bias is not None:
                    module.bias.uniform_(-0.1, 0.1)
    return network.eval()


def numpy_state(network):
    return {key: value.numpy() for key, value in network.state_dict().items()}


def ours(name, *sources, **inputs):
    """Outputs of our network with converted weights, for inputs that are prepared already."""
    arrays = CONVERTERS[name](*(Source(tensors, "random") for tensors in sources))
    params = flax.traverse_util.unflatten_dict(arrays, sep="/")
    module = DEFINITIONS[name](np.float32).module
    return jax.jit(module.apply)({"params": params}, *inputs.values())


def assert_close(found, expected):
    """Within 1e-4 of the largest value, in each output."""
    found, expected = np.asarray(found), np.asarray(expected)
    assert found.shape == expected.shape
    scale = np.abs(expected).max()
    assert scale > 1e-3
    np.testing.assert_allclose(found / scale, expected / scale, rtol=0, atol=TOLERANCE)
