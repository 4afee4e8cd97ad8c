"""Every shipped quickstart config, shrunk, trains; the paper's are built in tests/configs."""

import pytest
import tiny_models

from magvit_jax.cli.config_files import load_config


@pytest.mark.parametrize("variant", ["smoke", "small", "full"])
@pytest.mark.parametrize("stage", ["tokenizer", "generator"])
def test_it_trains(stage, variant, tiny, tmp_path):
    same = "loss.entropy_annealing_steps=8"  # that of `tiny`: then its program is the one of every variant
    more = [same if stage == "tokenizer" else f"tokenizer={tiny.tokenizer.bundle}"]
    config = load_config(f"quickstart/{stage}:{variant}", tiny_models.overrides(stage, *more))
    state = tiny_models.quiet_train(config, tmp_path / "run")
    assert int(state.step) == 4
    assert int(state.skipped) == 0
