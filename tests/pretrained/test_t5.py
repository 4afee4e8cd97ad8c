"""T5's encoder: distances, padding, and what a wrong input says. Parity is in tests/oracles."""

import io

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from random_params import random_params

from magvit_jax.converters.pretrained import CONVERTERS, Source, t5
from magvit_jax.converters.pretrained.files import vocabulary
from magvit_jax.errors import UserError
from magvit_jax.pretrained import NETWORKS, networks, weights
from magvit_jax.pretrained.encoders import T5TextEncoder
from magvit_jax.pretrained.t5 import T5_SIZES, T5Encoder, T5Size, distance_buckets

TINY = T5Size(width=12, mlp_dim=20, layers=2, heads=3, head_width=5)
TEXTS = ["a cat and a dog", "the dog runs", "a bird sings in the tree", "two cats sleep on the mat"]


@pytest.fixture(scope="module")
def encode():
    model = T5Encoder(TINY, 40, jnp.float32)
    ids = jnp.ones((1, 2), jnp.int32)
    params = random_params(model, ids, ids > 0)
    return jax.jit(lambda ids_BL, mask_BL: model.apply({"params": params}, ids_BL, mask_BL))


def test_buckets_of_distances():
    # After the query: 1 to 7 one each, then four doublings in halves: 8-11, 12-15 | 16-22, 23-31 | ...
    row = distance_buckets(140)[0]
    assert row[:8].tolist() == [0, 17, 18, 19, 20, 21, 22, 23]
    firsts = [8, 12, 16, 23, 32, 46, 64, 91]
    assert [int(np.flatnonzero(row == bucket)[0]) for bucket in range(24, 32)] == firsts
    assert row[-1] == 31
    # Before it: the same, 16 lower.
    np.testing.assert_array_equal(distance_buckets(140)[:, 0][1:], row[1:] - 16)


def test_only_distances_count_and_padding_does_not(encode):
    ids = np.random.default_rng(0).integers(1, 40, 6)
    rows = np.zeros((3, 11), np.int32)
    rows[0, :6], rows[1, 5:], rows[2, :6], rows[2, 6:] = ids, ids, ids, 9
    mask = np.zeros((3, 11), bool)
    mask[0, :6], mask[1, 5:], mask[2, :6] = True, True, True
    right, left, other = encode(rows, mask)
    np.testing.assert_allclose(left[5:], right[:6], atol=1e-5)
    np.testing.assert_array_equal(other[:6], right[:6])
    swapped = rows[:1].copy()
    swapped[0, :2] = ids[1], ids[0]
    assert np.abs(encode(swapped, mask[:1])[0, 2:6] - right[2:6]).max() > 1e-3


def test_inputs_that_do_not_fit_are_refused(encode):
    ids, mask = np.ones((1, 3), np.int32), np.ones((1, 3), bool)
    with pytest.raises(UserError, match=r"T5 of ids float32 \(1, 3\): expected integers"):
        encode(ids.astype(np.float32), mask)
    with pytest.raises(UserError, match=r"T5 of a mask int32 \(1, 3\): expected bool \(1, 3\)"):
        encode(ids, ids)
    with pytest.raises(UserError, match=r"T5 of a mask bool \(1, 2\): expected bool \(1, 3\)"):
        encode(ids, mask[:, :2])


@pytest.fixture(scope="session")
def spiece():
    """A vocabulary of T5's kind, of 30 pieces."""
    sentencepiece = pytest.importorskip("sentencepiece", reason="needs the extra `text`")
    model, marks = io.BytesIO(), dict(pad_id=0, eos_id=1, unk_id=2, bos_id=-1)
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(TEXTS), model_writer=model, vocab_size=30, minloglevel=3, **marks
    )
    return model.getvalue()


def test_tokenizer_ends_and_pads(spiece):
    from magvit_jax.pretrained.t5_tokenizer import T5Tokenizer

    tokenizer = T5Tokenizer(spiece)
    ids, mask = tokenizer(["a bird sings", "a"], length=14)
    assert ids.dtype == np.int32 and mask.dtype == bool
    lengths = mask.sum(1)
    assert lengths[0] > 3 > lengths[1]
    for row, length in enumerate(lengths):
        assert mask[row, :length].all() and ids[row, length - 1] == 1
        assert (ids[row, : length - 1] > 2).all() and (ids[row, length:] == 0).all()
    cut = tokenizer(["a bird sings"], length=3)
    assert cut.ids_BL[0].tolist() == [*ids[0, :2], 1] and cut.mask_BL.all()
    with pytest.raises(UserError, match="T5 texts of 0 ids"):
        tokenizer(["a"], length=0)


def test_files_that_are_no_vocabulary_are_refused():
    pytest.importorskip("sentencepiece", reason="needs the extra `text`")
    from magvit_jax.pretrained.t5_tokenizer import T5Tokenizer

    with pytest.raises(UserError, match="spiece.model: padding and end are -1 and -1; expected T5's 0 and 1"):
        T5Tokenizer(b"")
    with pytest.raises(UserError, match="spiece.model: 14 bytes that are no SentencePiece model"):
        T5Tokenizer(b"something else")


def random_tensors():
    """Hugging Face's tensors of a tiny T5, with some of its decoder's."""
    rng = np.random.default_rng(0)
    tensors = {key: np.ones(12, np.float32) for key in ("decoder.final_layer_norm.weight", "lm_head.weight")}
    definition = networks.DEFINITIONS["t5_v1_1_small"](jnp.float32)
    for path, leaf in networks.abstract_params(definition).items():
        shape = tuple(leaf.shape)
        if len(shape) == 3:
            shape = (12, 15) if path.endswith("out") else (15, 12)
        elif "mlp/" in path:
            shape = shape[::-1]
        tensors[t5.key_of(path)] = rng.normal(0, 0.3, shape).astype(np.float32)
    return tensors


def test_bundle_with_its_vocabulary(spiece, monkeypatch, tmp_path):
    name = "t5_v1_1_small"
    monkeypatch.setitem(T5_SIZES, name, TINY)
    monkeypatch.setattr("magvit_jax.pretrained.language.PIECES", 30)
    tensors = random_tensors()
    arrays = CONVERTERS[name](Source(tensors, "x"), vocabulary(spiece, "spiece.model"))
    theirs = "encoder.block.1.layer.0.SelfAttention.{}.weight"
    assert arrays["layer1_attention/key"][7, 2, 3] == tensors[theirs.format("k")][2 * 5 + 3, 7]
    assert arrays["layer1_attention/out"][2, 3, 7] == tensors[theirs.format("o")][7, 2 * 5 + 3]
    weights.write(arrays, NETWORKS[name], tmp_path)
    encoder = T5TextEncoder.load(name, tmp_path)
    found, mask = encoder(TEXTS[:2], length=30)
    assert found.shape == (2, 30, 12) and found.dtype == np.float32
    assert not found[~mask].any() and (found[mask] != 0).any(axis=-1).all()
    np.testing.assert_allclose(encoder(TEXTS[:1], length=20)[0][0, :10], found[0, :10], atol=1e-5)
    with pytest.raises(UserError, match="x: key encoder.block.2.layer.0.layer_norm.weight is none of a T5"):
        more = tensors | {"encoder.block.2.layer.0.layer_norm.weight": np.ones(12, np.float32)}
        CONVERTERS[name](Source(more, "x"), vocabulary(spiece, "spiece.model"))
