"""The trace of a few steps that `--config.profile.steps` asks for."""

import io

import jax
import pytest
from training_toys import toy_config, toy_train

from magvit_jax.errors import UserError


def run(workdir, **profile):
    config = toy_config()
    config.profile.update(profile)
    stream = io.StringIO()
    toy_train(workdir, config=config, stream=stream, devices=jax.devices()[:1])
    return [path.relative_to(workdir / "profile").parts[:2] for path in workdir.glob("profile/**/*.xplane.pb")], stream


@pytest.mark.parametrize(
    ("profile", "said"),
    [
        (dict(start=2, steps=3), "traced steps up to 5: "),
        (dict(start=6, steps=100), ""),  # the run of 8 steps ends within
    ],
)
def test_steps_asked_for_are_traced(tmp_path, profile, said):
    traces, stream = run(tmp_path, **profile)
    assert len(traces) == 1 and traces[0] == ("plugins", "profile")
    assert said in stream.getvalue() and ("traced" in stream.getvalue()) == bool(said)


@pytest.mark.parametrize("profile", [dict(start=2, steps=0), dict(start=9, steps=3)])
def test_nothing_is_traced_unasked(tmp_path, profile):
    traces, _ = run(tmp_path, **profile)
    assert not traces and not (tmp_path / "profile").exists()


@pytest.mark.parametrize(
    ("profile", "message"),
    [
        (dict(start=0, steps=1), "profile.start: 0; expected 1 or more"),
        (dict(start=1, steps=-1), "profile.steps: -1; expected 0 or more"),
    ],
)
def test_numbers_that_cannot_be(tmp_path, profile, message):
    with pytest.raises(UserError, match=message):
        run(tmp_path, **profile)
