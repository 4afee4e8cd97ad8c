"""The published settings, as the thesis prints them; choosing and changing them."""

import dataclasses

import pytest

from magvit_jax.cli.config_files import load_config
from magvit_jax.errors import UserError
from magvit_jax.generation.autoregressive import TokenwiseDecoding
from magvit_jax.generation.settings import DECODINGS, Decoding, choose

# name: steps, schedule, temperature, guidance scale and schedule (6.5.6; 5.4.2; Tab. 5.1, 5.2, 5.3)
PUBLISHED = {
    "magvit": (12, "cosine", 4.5, 0, "constant"),
    "magvit_bair": (12, "exp", 400, 0, "constant"),
    "magvit_kinetics600": (12, "uniform", 7.5, 0, "constant"),
    "magvit2_kinetics600": (12, "cosine", 32, 0, "constant"),
    "magvit2_kinetics600_24": (24, "cosine", 32, 0, "constant"),
    "magvit2_imagenet512_12": (12, "cosine", 30, 0, "constant"),
    "magvit2_imagenet512": (64, "cosine", 30, 0, "constant"),
    "magvit2_imagenet256": (64, "cosine", 15, 0, "constant"),
    "magvit2_imagenet_guided": (64, "cosine", 15, 25, "power_cosine"),
}
OWN = Decoding(steps=2, schedule="log", temperature=1.0, sampling_temperature=0.5, guidance_scale=3.0)


def test_published_settings_are_those_of_the_thesis():
    found = {
        name: (d.steps, d.schedule, d.temperature, d.guidance_scale, d.guidance_schedule)
        for name, d in DECODINGS.items()
    }
    assert found == PUBLISHED
    assert all(d.sampling_temperature == 1 and d.top_k is None for d in DECODINGS.values())
    assert DECODINGS["magvit2_imagenet_guided"].guidance_power == 4


def test_settings_by_name_and_changes_on_top():
    assert choose(OWN, None, {}) == OWN
    assert choose(OWN, "magvit", {}) == DECODINGS["magvit"]
    changed = choose(OWN, "magvit", {"steps": 2, "guidance_scale": [0.0, 1]})
    assert changed == dataclasses.replace(DECODINGS["magvit"], steps=2, guidance_scale=(0.0, 1.0))
    assert hash(changed)  # static arguments of jit are hashed


def test_guided_or_not():
    assert OWN.guided and not OWN.unguided().guided
    assert choose(OWN, None, {"guidance_scale": [0, 1]}).guided
    assert not choose(OWN, None, {"guidance_scale": [0, 0]}).guided


def test_a_model_that_decodes_token_by_token_has_its_own_fields():
    own = TokenwiseDecoding(temperature=1.0, top_k=0, top_p=1.0, guidance_scale=0.0, cached=True)
    assert choose(own, None, {"cached": False}).cached is False
    with pytest.raises(UserError, match="'steps' is unknown; expected one of cached, guidance_scale"):
        choose(own, None, {"steps": 3})
    with pytest.raises(UserError, match="'magvit' is of parallel decoding"):
        choose(own, "magvit", {})


def test_unknown_names_are_refused():
    with pytest.raises(UserError, match="decoding 'bair' is unknown; expected one of magvit, magvit_bair"):
        choose(OWN, "bair", {})
    with pytest.raises(UserError, match="'temprature' is unknown; expected one of confidence"):
        choose(OWN, "magvit", {"temprature": 1.0})


def test_guidance_that_cannot_be_is_refused_before_anything_runs():
    """Also of a clip without a class, which would never be guided."""
    for changes, message in (
        ({"guidance_scale": (1.0, 2.0, 3.0)}, "one for each of 2 steps"),
        ({"guidance_schedule": "sine"}, "guidance schedule 'sine' is unknown"),
        ({"guidance_power": -1.0}, "guidance power -1.0"),
        ({"steps": 0}, "0 steps: expected 1 or more"),
    ):
        with pytest.raises(UserError, match=message):
            choose(OWN, None, changes)


@pytest.mark.parametrize(
    ("config", "name"),
    [
        ("magvit/bair_transformer", "magvit_bair"),
        ("magvit/kinetics600_transformer", "magvit_kinetics600"),
        ("magvit/ucf101_transformer", "magvit"),
        ("magvit2/masked_video", "magvit2_kinetics600"),
    ],
)
def test_published_configs_decode_by_the_published_settings(config, name):
    for task in load_config(config, []).tasks.values():
        if task.weight > 0:
            assert Decoding(**task.decoding) == DECODINGS[name]
