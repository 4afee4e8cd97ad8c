"""How metrics use the published networks: what goes in, what is taken; and weights that are missing or damaged."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import unflatten_dict

from magvit_jax.errors import UserError
from magvit_jax.evaluation import networks
from magvit_jax.evaluation.networks import ADAPTERS, USUAL, load_networks
from magvit_jax.evaluation.protocols import MODEL_CLIPS, PROTOCOLS, protocol
from magvit_jax.pretrained import NETWORKS
from magvit_jax.pretrained.networks import DEFINITIONS, FrozenNetwork, abstract_params


def shapes_only(name, weights_dir=None):
    """A network without its weights."""
    definition = DEFINITIONS[name](jnp.float32)
    return FrozenNetwork(name, definition, unflatten_dict(abstract_params(definition), sep="/"), "none")


def toy(name, weights_dir=None):
    """A network whose only feature map is the picture itself."""

    def apply(params, x):
        return {"seen": x, "maps": (x.astype(jnp.float32),), "heads": (jnp.ones(3),)}

    return SimpleNamespace(name=name, params={}, fingerprint="toy", apply=apply)


def test_the_first_frame_counts_for_pictures(monkeypatch):
    monkeypatch.setattr(networks, "load", shapes_only)
    network, video = ADAPTERS["inception"]("inception", None), jax.ShapeDtypeStruct((2, 3, 64, 48, 3), jnp.uint8)
    found = jax.eval_shape(network.apply, network.params, video)
    assert found["pooled"].shape == (2, 2048) and found["logits_unbiased"].shape == (2, 1008)
    monkeypatch.setattr(networks, "load", toy)
    pixels = np.arange(2 * 3 * 4 * 4 * 3).reshape(2, 3, 4, 4, 3)
    np.testing.assert_array_equal(ADAPTERS["inception"]("inception", None).apply({}, pixels)["seen"], pixels[:, 0])


def test_c3d_sees_the_first_sixteen_frames(monkeypatch):
    monkeypatch.setattr(networks, "load", toy)
    network = ADAPTERS["c3d_ucf101"]("c3d_ucf101", None)
    pixels = np.arange(17).reshape(1, 17, 1, 1, 1)
    np.testing.assert_array_equal(network.apply({}, pixels)["seen"], pixels[:, :16])
    with pytest.raises(UserError, match="video_is: clips of 9 frames; C3D takes 16"):
        network.apply({}, pixels[:, :9])


def test_every_usual_network_and_those_of_protocols_are_there():
    wanted = set(USUAL.values()) | {name for chosen in PROTOCOLS.values() for _, name in chosen.networks}
    assert wanted <= set(NETWORKS)
    assert wanted - {"vggish"} <= set(ADAPTERS)  # sounds go their own way


def test_lpips_of_a_clip_is_the_mean_over_its_frames(monkeypatch):
    monkeypatch.setattr(networks, "load", toy)
    a, b = np.random.default_rng(1).integers(1, 255, size=(2, 2, 3, 4, 5, 3), dtype=np.uint8)
    found = ADAPTERS["lpips_vgg"]("lpips_vgg", None).apply({}, jnp.asarray(a), jnp.asarray(b))["distance"]
    units = [x / np.linalg.norm(x.astype(float), axis=-1, keepdims=True) for x in (a, b)]
    expected = ((units[0] - units[1]) ** 2).sum(-1).mean(axis=(1, 2, 3))
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_missing_weights_leave_a_metric_out(tmp_path):
    found, missing = load_networks(["psnr", "fvd", "fid", "is"], MODEL_CLIPS, tmp_path)
    assert not found and list(missing) == ["fvd", "fid", "is"]
    assert missing["fvd"].startswith(f"i3d: no weights; expected i3d.safetensors in {tmp_path}")
    assert "magvit convert --source=inception" in missing["fid"]


def test_damaged_weights_stop_everything(tmp_path):
    (tmp_path / "i3d.safetensors").write_bytes(b"nothing")
    with pytest.raises(UserError, match="i3d.safetensors: not readable as weights of i3d"):
        load_networks(["fvd"], MODEL_CLIPS, tmp_path)


def test_a_network_of_two_metrics_is_loaded_once_and_a_protocol_can_name_another(monkeypatch):
    loaded = []

    def load(name, weights_dir):
        loaded.append(name)
        return toy(name)

    monkeypatch.setattr(networks, "load", load)
    assert list(load_networks(["fid", "is", "fvd"], MODEL_CLIPS, None)[0]) == ["inception", "i3d"]
    assert loaded == ["inception", "i3d"]
    assert list(load_networks(["lpips"], protocol("bair_pixels"), None)[0]) == ["lpips_vgg"]
