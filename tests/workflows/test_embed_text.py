"""Captions to embeddings: `magvit embed-text` with a tiny T5, and the readers of a config's texts."""

import io

import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict

from magvit_jax.cli.main import main
from magvit_jax.data.text_shards import TextShards, write_shards
from magvit_jax.errors import UserError
from magvit_jax.pretrained import NETWORKS, networks, weights
from magvit_jax.pretrained.t5 import T5_SIZES, T5Size
from magvit_jax.workflows.embed_text import read_texts
from magvit_jax.workflows.text_readers import text_reader, words_of

NAME = "t5_v1_1_small"
TEXTS = ["a cat and a dog", "the dog runs", "a bird sings in the tree", "two cats sleep on the mat"]


def group(**fields):
    return ConfigDict(dict(kind="words", slots=4, words=(), t5="", width=0) | fields)


@pytest.fixture
def weights_dir(monkeypatch, tmp_path):
    """The bundle of a tiny T5 with a vocabulary of 30 pieces."""
    sentencepiece = pytest.importorskip("sentencepiece", reason="needs the extra `text`")
    monkeypatch.setitem(T5_SIZES, NAME, T5Size(width=12, mlp_dim=20, layers=1, heads=3, head_width=5))
    monkeypatch.setattr("magvit_jax.pretrained.language.PIECES", 30)
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(TEXTS),
        model_writer=model,
        vocab_size=30,
        minloglevel=3,
        pad_id=0,
        eos_id=1,
        unk_id=2,
        bos_id=-1,
    )
    rng, shapes = np.random.default_rng(0), networks.abstract_params(networks.DEFINITIONS[NAME](jnp.float32))
    arrays = {path: rng.normal(0, 0.3, leaf.shape).astype(np.float32) for path, leaf in shapes.items()}
    arrays[weights.VOCABULARY] = np.frombuffer(model.getvalue(), np.uint8)
    weights.write(arrays, NETWORKS[NAME], tmp_path / "weights")
    return tmp_path / "weights"


def embed(captions, weights_dir, output, *more):
    flags = [f"--captions={captions}", f"--weights-dir={weights_dir}", f"--output={output}", f"--network={NAME}"]
    return main(["embed-text", *flags, *more])


def test_every_text_is_embedded_once_and_padding_changes_nothing(weights_dir, tmp_path, capsys):
    captions = tmp_path / "captions.txt"
    captions.write_text("\n".join([TEXTS[1], "", f"  {TEXTS[0]} ", TEXTS[1]]))
    assert embed(captions, weights_dir, tmp_path / "text", "--slots=30") == 0
    assert f"2 texts embedded by {NAME}, 2 in all" in capsys.readouterr().out
    captions.write_text("\n".join(TEXTS))
    assert embed(captions, weights_dir, tmp_path / "text", "--slots=30") == 0
    assert f"2 texts embedded by {NAME}, 4 in all" in capsys.readouterr().out
    shards, network = TextShards(tmp_path / "text"), networks.load(NAME, weights_dir)
    assert shards.facts == {"network": NAME, "fingerprint": network.fingerprint, "width": 12}
    from magvit_jax.pretrained.t5_tokenizer import T5Tokenizer

    ids_BL, mask_BL = T5Tokenizer(network.vocabulary)(TEXTS[1:2], length=30)
    count = int(mask_BL.sum())
    alone_BLE = network(jnp.asarray(ids_BL[:, :count]), jnp.asarray(mask_BL[:, :count]))
    np.testing.assert_allclose(shards[TEXTS[1]], alone_BLE[0], atol=5e-3)
    assert [shards.count(text) for text in TEXTS[:2]] == [len(shards[text]) for text in TEXTS[:2]]


def test_what_cannot_be_embedded_is_said_in_one_line(weights_dir, tmp_path, capsys):
    captions = tmp_path / "captions.txt"
    captions.write_text(TEXTS[2])
    assert embed(captions, weights_dir, tmp_path / "text", "--slots=5") == 2
    assert f"'{TEXTS[2]}' has " in (line := capsys.readouterr().err) and "expected at most 5" in line
    assert not list((tmp_path / "text").glob("*.safetensors"))
    assert embed(captions, tmp_path / "nowhere", tmp_path / "text") == 2
    line = capsys.readouterr().err
    assert f"{NAME}.safetensors in {tmp_path / 'nowhere'}" in line and "`magvit convert --source=" in line
    assert embed(tmp_path / "none.txt", weights_dir, tmp_path / "text") == 2
    assert "none.txt does not exist: expected a captions.jsonl" in capsys.readouterr().err


def test_texts_out_of_a_folder_with_captions(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"")
    (tmp_path / "captions.jsonl").write_text('{"file": "a.mp4", "text": "two"}\n{"file": "a.mp4", "text": "one"}\n')
    assert read_texts(tmp_path) == read_texts(tmp_path / "captions.jsonl") == ["one", "two"]


def test_words_become_ids_with_their_number():
    words = words_of(group(), ["the dog runs", "the cat"])
    assert words.words == ("the", "cat", "dog", "runs")
    read = text_reader(group(), words)
    clip = read("The dog flies")
    assert clip["text_ids"].tolist() == [1, 3, 0, 0] and clip["text_ids"].dtype == np.int32
    assert int(clip["text_count"]) == 3 and int(read("")["text_count"]) == 0
    assert words_of(group(words=("dog", "the")), ["a cat"]).words == ("dog", "the")


def test_embeddings_are_looked_up_and_padded(tmp_path):
    write_shards(tmp_path, [("a", np.ones((2, 3))), ("long", np.ones((5, 3)))], {"width": 3})
    read = text_reader(group(kind="t5", t5=str(tmp_path), width=3), None)
    clip = read("a")
    assert clip["text_embedding"].tolist() == [[1] * 3] * 2 + [[0] * 3] * 2 and int(clip["text_count"]) == 2
    assert clip["text_embedding"].dtype == np.float32
    assert not read("")["text_embedding"].any() and int(read("")["text_count"]) == 0
    with pytest.raises(UserError, match="text 'long' has 5 tokens; expected at most text.slots=4"):
        read.check(["a", "long"])
    with pytest.raises(UserError, match="no embedding of 'b'"):
        read.check(["a", "b"])


def test_without_text_nothing_is_read():
    read = text_reader(group(kind="none", slots=0), words_of(group(kind="none"), []))
    read.check(["whatever it may say"])
    assert dict(read("whatever")) == {}


@pytest.mark.parametrize(
    "fields, expected",
    [
        (dict(kind="bert"), "text.kind is 'bert': expected one of words, t5, none"),
        (dict(slots=0), "text.slots is 0: expected 1 to 64"),
        (dict(slots=65), "text.slots is 65: expected 1 to 64"),
        (dict(kind="t5"), "text.t5 is empty: expected the folder"),
        (dict(kind="t5", t5="/nowhere"), "/nowhere/index.json does not exist"),
    ],
)
def test_bad_groups_are_named(fields, expected):
    with pytest.raises(UserError, match=expected):
        text_reader(group(**fields), words_of(group(**fields), ["a dog"]))


def test_texts_that_do_not_fit_are_named(tmp_path):
    with pytest.raises(UserError, match="the data has no text: expected data.captions"):
        words_of(group(), [])
    read = text_reader(group(slots=2), words_of(group(), ["a dog runs"]))
    with pytest.raises(UserError, match=r"text 'a dog runs': prompt of 3 words: expected at most 2 \(text.slots\)"):
        read.check(["a dog", "a dog runs"])
    write_shards(tmp_path, [], {"width": 3})
    with pytest.raises(UserError, match="text.width is 4: .* has embeddings of 3"):
        text_reader(group(kind="t5", t5=str(tmp_path), width=4), None)
