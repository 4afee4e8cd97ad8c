"""I3D beside its twin in PyTorch, with random weights copied over."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs torch and the extra `oracles`")
pytestmark = pytest.mark.oracle

from pretrained_checks import assert_close, numpy_state, ours, randomise  # noqa: E402
from torch_i3d import I3D  # noqa: E402


def test_parity_and_parameter_count():
    """An odd size and an odd number of frames, where SAME pads unequally."""
    network = randomise(torch, I3D())
    assert sum(value.numel() for value in network.parameters()) == 12_697_264
    video = np.random.default_rng(0).uniform(-1, 1, (1, 9, 193, 193, 3)).astype(np.float32)
    with torch.no_grad():
        expected = network(torch.from_numpy(video).permute(0, 4, 1, 2, 3))
    found = ours("i3d", numpy_state(network), video=video)
    for name, value in expected.items():
        assert_close(found[name], value.numpy())
