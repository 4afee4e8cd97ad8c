"""Every shipped quickstart config, shrunk, trains a step; the paper's are built in tests/configs."""

import io

import pytest
import tiny_models

from magvit_jax.cli.config_files import load_config
from magvit_jax.workflows import train


@pytest.mark.parametrize("variant", ["smoke", "small", "full"])
@pytest.mark.parametrize("stage", ["tokenizer", "generator"])
def test_a_step(stage, variant, tiny, tmp_path):
    more = ["training.steps=1", "training.checkpoint_every=1"]
    if stage == "generator":
        more.append(f"tokenizer={tiny.tokenizer.bundle}")
    config = load_config(f"quickstart/{stage}:{variant}", tiny_models.overrides(stage, *more))
    state = train(config, tmp_path / "run", stream=io.StringIO())
    assert int(state.step) == 1
    assert int(state.skipped) == 0
