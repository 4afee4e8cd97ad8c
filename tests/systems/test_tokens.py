"""A generator trained on token shards is the one trained on the videos they were made from."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from tiny_models import quiet_train, tiny_config

from magvit_jax import bundles, data, systems, workflows
from magvit_jax.errors import UserError
from magvit_jax.workflows import Share


@pytest.fixture(scope="module")
def tokens(tiny, tmp_path_factory):
    """The tokens of the clips that `tiny.generator` was trained and tested on, in their order."""
    root = tmp_path_factory.mktemp("tokens")
    tokenizer = bundles.load_tokenizer(tiny.tokenizer.bundle)
    spec = data.ClipSpec.from_config(tiny.generator.config.data)
    for split, num in (("train", 64), ("test", 16)):
        recordings = workflows.open_recordings(None, spec, split=split)
        workflows.tokenize(
            tokenizer, recordings, root / split, num=num, share=Share(shards=1), stream=io.StringIO()
        )
    return root


def on_tokens(tiny, tokens, *more):
    source = (
        "data.source=token_shards",
        f"data.path={tokens}",
        f"tokenizer={tiny.generator.config.tokenizer}",
    )
    return tiny_config("generator", *source, *more)


def losses(workdir):
    records = map(json.loads, (Path(workdir) / "metrics.jsonl").read_text().splitlines())
    return [
        {k: x for k, x in record.items() if "loss" in k} for record in records if record["kind"] == "train"
    ]


def test_losses_are_those_of_training_on_videos(tiny, tokens, tmp_path):
    # The quickstart's embedded clips have seed 1 in the config; the tokens have the default one.
    videos = tiny_config("generator", f"tokenizer={tiny.generator.config.tokenizer}", "data.seed=0")
    quiet_train(videos, tmp_path / "videos")
    quiet_train(on_tokens(tiny, tokens, "data.seed=0", "training.sample_every=4"), tmp_path / "tokens")
    one, other = losses(tmp_path / "videos"), losses(tmp_path / "tokens")
    assert len(one) == 4
    for a, b in zip(one, other, strict=True):
        assert a == pytest.approx(b, rel=1e-4)
    assert list((tmp_path / "tokens" / "samples").iterdir())


def test_what_is_measured_and_shown_of_tokens(tiny, tokens):
    tokenizer = bundles.load_tokenizer(tiny.tokenizer.bundle)
    config = on_tokens(tiny, tokens)
    system = systems.build(config, tokenizer=tokenizer, num_classes=10)
    assert system.data_keys == ("ids", "label", "index") and set(system.evaluators) == {"validation"}
    spec = data.ClipSpec.from_config(config.data)
    batches = list(data.eval_batches(data.build_source(config.data, "test"), spec, batch_size=8, num=16))
    state = tiny.generator.state.system
    assert system.evaluate_loss(state, batches)["loss"] == pytest.approx(np.log(64), rel=0.05)
    shown = system.sample(state, batches[0])
    assert set(shown) == {"tokenized", "frame_prediction", "class_conditional"}
    expected = np.asarray(tokenizer.decode(batches[0]["ids"])) * 255
    np.testing.assert_allclose(shown["tokenized"], expected, atol=0.51)
    np.testing.assert_allclose(shown["frame_prediction"][:, :5], expected[:, :5], atol=0.51)


def test_tokens_of_another_model_are_refused(tiny, tokens, tmp_path):
    other = tmp_path / "other"
    for split in ("train", "test"):
        (other / split).mkdir(parents=True)
        for path in (tokens / split).iterdir():
            (other / split / path.name).write_bytes(path.read_bytes())
        index = other / split / "index.json"
        fingerprint = bundles.read(tiny.tokenizer.bundle).config["fingerprint"]
        index.write_text(index.read_text().replace(fingerprint, "0123456789abcdef"))
    with pytest.raises(
        UserError, match="has tokens of tokenizer 0123456789abcdef; expected those of config.tokenizer"
    ):
        quiet_train(on_tokens(tiny, other), tmp_path / "run")
    with pytest.raises(UserError, match="data.source is 'token_shards': a tokenizer is trained on pixels"):
        source = ("data.source=token_shards", f"data.path={tokens}")
        quiet_train(tiny_config("tokenizer", *source), tmp_path / "run")
    with pytest.raises(UserError, match="task 'frame_prediction' conditions on tokens of a padded clip"):
        quiet_train(on_tokens(tiny, tokens, "tasks.frame_prediction.settings.frames=4"), tmp_path / "run")
    assert not (tmp_path / "run").exists()
