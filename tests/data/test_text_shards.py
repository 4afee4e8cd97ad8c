"""Embeddings by their text: what is written is found again, and what is missing is named with the command."""

import pickle

import numpy as np
import pytest

from magvit_jax.data import text_shards
from magvit_jax.data.text_shards import TextShards, text_key, write_shards
from magvit_jax.errors import UserError

FACTS = {"network": "t5", "fingerprint": "abc", "width": 3}
TEXTS = {text: np.random.default_rng(n).normal(size=(1 + n, 3)) for n, text in enumerate(["a", "ä b", "c " * 90])}


def test_what_is_written_is_found_again(tmp_path, monkeypatch):
    monkeypatch.setattr(text_shards, "TEXTS", 2)
    assert write_shards(tmp_path / "text", TEXTS.items(), FACTS) == 3
    shards = TextShards(tmp_path / "text")
    assert len(shards) == 3 and shards.facts == FACTS and "b" not in shards
    assert sorted(path.name for path in (tmp_path / "text").iterdir()) == [
        "index.json",
        "text-00000.safetensors",
        "text-00001.safetensors",
    ]
    for found in (shards, pickle.loads(pickle.dumps(shards))):
        for text, embedding_NE in TEXTS.items():
            assert found[text].dtype == np.float32
            np.testing.assert_allclose(found[text], embedding_NE, rtol=1e-3)


def test_the_key_is_the_sha256_of_the_text():
    assert text_key("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_more_can_be_added_by_the_same_network_alone(tmp_path):
    write_shards(tmp_path, [("a", np.ones((1, 3)))], FACTS)
    write_shards(tmp_path, [("b", np.zeros((2, 3)))], FACTS)
    assert [TextShards(tmp_path)[text].sum() for text in "ab"] == [3, 0]
    with pytest.raises(UserError, match="has embeddings of fingerprint 'abc'; expected 'def'"):
        write_shards(tmp_path, [], FACTS | {"fingerprint": "def"})


def test_what_is_missing_is_named_with_the_command(tmp_path):
    write_shards(tmp_path, [("a", np.ones((1, 3)))], FACTS)
    shards = TextShards(tmp_path)
    shards.require(["a", "a"])
    with pytest.raises(UserError, match="no embedding of 'b' and of 1 other texts; `magvit embed-text --captions=FILE"):
        shards.require(["a", "b", "c"])
    with pytest.raises(UserError, match=f"no embedding of 'b'; .*--output={tmp_path}"):
        shards["b"]
    with pytest.raises(UserError, match="index.json does not exist: .*`magvit embed-text"):
        TextShards(tmp_path / "nowhere")


def test_damage_is_named(tmp_path):
    with pytest.raises(UserError, match="embedding of 'a' is not finite in float16"):
        write_shards(tmp_path, [("a", np.full((1, 3), 1e6))], FACTS)
    (tmp_path / "text-00007.safetensors").write_bytes(b"no tensors")
    with pytest.raises(UserError, match="text-00007.safetensors: not readable as text embeddings"):
        TextShards(tmp_path)
    (tmp_path / "index.json").write_text("[]")
    with pytest.raises(UserError, match="index.json: not readable as an index"):
        TextShards(tmp_path)
