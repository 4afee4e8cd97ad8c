"""CLIP and T5 against transformers, VGGish against its public port written down, with random weights."""

import dataclasses

import flax.traverse_util
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from pretrained_checks import assert_close

from magvit_jax.converters.pretrained import Source, clip, t5, vggish
from magvit_jax.errors import UserError
from magvit_jax.pretrained import NETWORKS
from magvit_jax.pretrained.clip import CLIP_SIZES, Clip, ClipSize
from magvit_jax.pretrained.clip_tokenizer import ClipTokenizer
from magvit_jax.pretrained.definition import Definition, floats
from magvit_jax.pretrained.encoders import ClipEncoder
from magvit_jax.pretrained.language import LANGUAGE
from magvit_jax.pretrained.networks import abstract_params
from magvit_jax.pretrained.t5 import T5_SIZES, T5Encoder, T5Size, distance_buckets
from magvit_jax.pretrained.vggish import VGGish
from magvit_jax.pretrained.vggish_audio import log_mel_spectrogram, mel_filters
from magvit_jax.workflows import convert_pretrained

torch = pytest.importorskip("torch", reason="needs torch and the extra `oracles`")
transformers = pytest.importorskip("transformers", reason="needs the extra `oracles`")
from transformers.audio_utils import mel_filter_bank, spectrogram  # noqa: E402
from transformers.models.t5.modeling_t5 import T5Attention  # noqa: E402

pytestmark = pytest.mark.oracle


def randomised(network, seed=0):
    """Weights that keep activations near 1, so that every layer is seen."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for name, value in network.named_parameters():
            if value.ndim > 1 and "embed" not in name:
                value.normal_(0, value[0].numel() ** -0.5)
            elif name.endswith("bias"):
                value.uniform_(-0.3, 0.3)
            else:
                value.uniform_(0.5, 1.5)
                if value.ndim > 1 or "class" in name:
                    value.sub_(1.0)
    return network.eval()


def state(network):
    return Source({key: value.detach().numpy() for key, value in network.state_dict().items()}, "random")


def run(module, example, convert, source, *inputs):
    arrays = convert(abstract_params(Definition(module, example)), source)
    params = flax.traverse_util.unflatten_dict(arrays, sep="/")
    return jax.jit(module.apply)({"params": params}, *inputs)


SIZE = ClipSize(
    image_size=24,
    patch=8,
    image_width=128,
    image_layers=2,
    text_width=64,
    text_layers=3,
    vocabulary=40,
    context=9,
    features=20,
)


def hugging_face_clip(size):
    vision = dict(
        hidden_size=size.image_width,
        intermediate_size=4 * size.image_width,
        num_hidden_layers=size.image_layers,
        num_attention_heads=size.image_width // 64,
        image_size=size.image_size,
        patch_size=size.patch,
    )
    text = dict(
        hidden_size=size.text_width,
        intermediate_size=4 * size.text_width,
        num_hidden_layers=size.text_layers,
        num_attention_heads=size.text_width // 64,
        vocab_size=size.vocabulary,
        max_position_embeddings=size.context,
        eos_token_id=size.vocabulary - 1,
        bos_token_id=size.vocabulary - 2,
        pad_token_id=0,
    )
    config = transformers.CLIPConfig(text_config=text, vision_config=vision, projection_dim=size.features)
    return transformers.CLIPModel(config)


def test_clip():
    network = randomised(hugging_face_clip(SIZE))
    rng = np.random.default_rng(0)
    images = rng.normal(size=(3, 24, 24, 3)).astype(np.float32)
    ids = rng.integers(1, 38, (3, 9)).astype(np.int32)
    ids[:, 0] = 38
    ids[0, 3:], ids[1, 8:], ids[2, 5:] = 39, 39, 0
    ids[2, 4] = 39
    example = (floats(1, 24, 24, 3), jax.ShapeDtypeStruct((1, 9), jnp.int32))
    found = run(Clip(SIZE, jnp.float32), example, clip.tower_arrays, state(network), images, ids)
    with torch.no_grad():
        theirs = network(
            input_ids=torch.from_numpy(ids).long(),
            pixel_values=torch.from_numpy(images.transpose(0, 3, 1, 2)),
        )
    for ours, expected in zip(found, (theirs.image_embeds, theirs.text_embeds), strict=True):
        ours = np.asarray(ours)
        assert_close(ours / np.linalg.norm(ours, axis=1, keepdims=True), expected)


CAPTIONS = [
    "A photo of a cat, isn't it?",
    "two dogs' owners walk  the\tdogs in 2023 -- they'll run!!",
    "\u4e00\u53ea\u732b caf\u00e9 na\u00efve \u2764\ufe0f \u00bd o'clock",
    "I'M HERE; we've e-mail@example.com #tag",
]


def merges_of(texts, count):
    """The most frequent neighbours of words' bytes, joined one after another: BPE's training."""
    symbols = ClipTokenizer(b"#\n", 514, 77)._bytes
    words = [[symbols[byte] for byte in word.encode()] for text in texts for word in text.lower().split()]
    for word in words:
        word[-1] += "</w>"
    merges = []
    while len(merges) < count:
        pairs = [pair for word in words for pair in zip(word, word[1:], strict=False)]
        best = max(sorted(set(pairs)), key=pairs.count)
        merges.append(best)
        for word in words:
            at = 0
            while at < len(word) - 1:
                if (word[at], word[at + 1]) == best:
                    word[at : at + 2] = ["".join(best)]
                at += 1
    return merges


def test_clip_tokenizer():
    pytest.importorskip("ftfy", reason="needs the extra `text`")
    merges = merges_of(CAPTIONS + [CAPTIONS[0]], 60)
    ours = ClipTokenizer(("#\n" + "\n".join(map(" ".join, merges))).encode(), 514 + 60, 77)
    theirs = transformers.CLIPTokenizer(vocab=ours._id, merges=merges)
    for caption in CAPTIONS:
        assert [ours.start, *ours.encode(caption), ours.end] == theirs(caption)["input_ids"]


def test_clip_from_published_files_to_features(monkeypatch, tmp_path):
    """The files of a repository of Hugging Face, through `magvit convert`, against its own text tower."""
    name, merges = "clip_vit_b16", merges_of(CAPTIONS, 60)
    size = SIZE._replace(vocabulary=514 + 60, context=77)
    network = randomised(hugging_face_clip(size))
    torch.save(network.state_dict(), tmp_path / "pytorch_model.bin")
    (tmp_path / "merges.txt").write_text("#version: 0.2\n" + "\n".join(map(" ".join, merges)) + "\n")
    monkeypatch.setitem(CLIP_SIZES, name, size)
    with pytest.raises(UserError, match="merges.txt: its SHA-256 is .* expected f5263931"):
        convert_pretrained(name, tmp_path, tmp_path)
    row = NETWORKS[name]
    sources = tuple(dataclasses.replace(source, sha256="") for source in row.sources)
    monkeypatch.setitem(NETWORKS, name, dataclasses.replace(row, sources=sources))
    written = convert_pretrained(name, tmp_path, tmp_path / "weights")
    encoder = ClipEncoder.load(name, tmp_path / "weights")
    assert encoder.texts.fingerprint == written.fingerprint
    texts = ["a photo of a cat", "two dogs run"]
    tokens = transformers.CLIPTokenizer(vocab=encoder.tokenizer._id, merges=merges)(texts, padding=True)
    with torch.no_grad():
        theirs = network.get_text_features(**{key: torch.tensor(value) for key, value in tokens.items()})
    assert_close(encoder.encode_texts(texts), getattr(theirs, "pooler_output", theirs))


T5_TINY = T5Size(width=48, mlp_dim=56, layers=3, heads=5, head_width=8)


def hugging_face_t5(size, vocabulary):
    config = transformers.T5Config(
        vocab_size=vocabulary,
        d_model=size.width,
        d_kv=size.head_width,
        d_ff=size.mlp_dim,
        num_layers=size.layers,
        num_heads=size.heads,
        feed_forward_proj="gated-gelu",
    )
    return transformers.T5EncoderModel(config)


def test_t5():
    network = randomised(hugging_face_t5(T5_TINY, 60))
    rng = np.random.default_rng(0)
    ids = rng.integers(0, 60, (2, 150)).astype(np.int32)
    mask = np.arange(150) < np.array([[150], [11]])
    example = (jax.ShapeDtypeStruct((1, 2), jnp.int32), jax.ShapeDtypeStruct((1, 2), jnp.bool_))
    module = T5Encoder(T5_TINY, 60, jnp.float32)
    found = run(module, example, t5.encoder_arrays, state(network), ids, mask)
    with torch.no_grad():
        theirs = network(input_ids=torch.from_numpy(ids).long(), attention_mask=torch.from_numpy(mask).long())
    assert_close(np.asarray(found)[mask], theirs.last_hidden_state.numpy()[mask])


def test_t5_buckets():
    distances = torch.arange(400)[None] - torch.arange(400)[:, None]
    np.testing.assert_array_equal(distance_buckets(400), T5Attention._relative_position_bucket(distances))


@pytest.mark.parametrize("name", T5_SIZES)
def test_t5_parameters(name):
    with torch.device("meta"):
        network = hugging_face_t5(T5_SIZES[name], 32128)
    assert NETWORKS[name].parameters == sum(value.numel() for value in network.parameters())


@pytest.mark.parametrize("name", ["clip_vit_b16", "clip_vit_b32"])
def test_clip_keys_and_parameters(name):
    """Every key of the public model is used, and no other is asked for."""
    with torch.device("meta"):
        network = hugging_face_clip(CLIP_SIZES[name])
    assert NETWORKS[name].parameters == sum(value.numel() for value in network.parameters())
    asked = [key for path in abstract_params(LANGUAGE[name](np.float32)) for key in clip.keys_of(path)]
    assert sorted(asked) == sorted(key for key, _ in network.named_parameters())


class TorchVGGish(torch.nn.Module):
    """harritaylor/torchvggish's network: its layers, in its order, under its names."""

    def __init__(self, stages, hidden):
        super().__init__()
        layers, channels = [], 1
        for widths in stages:
            for width in widths:
                layers += [torch.nn.Conv2d(channels, width, 3, padding=1), torch.nn.ReLU()]
                channels = width
            layers.append(torch.nn.MaxPool2d(2, 2))
        self.features = torch.nn.Sequential(*layers)
        self.embeddings = torch.nn.Sequential(
            torch.nn.Linear(channels * 6 * 4, hidden),
            torch.nn.ReLU(),
            torch.nn.Linear(hidden, hidden),
            torch.nn.ReLU(),
            torch.nn.Linear(hidden, 128),
        )

    def forward(self, log_mel):
        x = self.features(log_mel[:, None])
        return self.embeddings(x.permute(0, 2, 3, 1).flatten(1))  # as TensorFlow has them


def test_vggish():
    stages, hidden = ((4,), (6,), (8, 10), (12, 14)), 32
    network = randomised(TorchVGGish(stages, hidden))
    log_mel = np.random.default_rng(0).normal(-1, 2, (3, 96, 64)).astype(np.float32)
    module, example = VGGish(stages, hidden, jnp.float32), (floats(1, 96, 64),)
    found = run(module, example, vggish.network_arrays, state(network), log_mel)
    with torch.no_grad():
        assert_close(found, network(torch.from_numpy(log_mel)))


def test_vggish_keys_and_parameters():
    with torch.device("meta"):
        network = TorchVGGish(((64,), (128,), (256, 256), (512, 512)), 4096)
    assert NETWORKS["vggish"].parameters == sum(value.numel() for value in network.parameters())
    asked = [vggish.key_of(path) for path in abstract_params(LANGUAGE["vggish"](np.float32))]
    assert sorted(asked) == sorted(network.state_dict())


def test_mel_filters_and_log_mel():
    theirs = mel_filter_bank(257, 64, 125.0, 7500.0, 16000, None, "kaldi", triangularize_in_mel_space=True)
    np.testing.assert_allclose(mel_filters(), theirs, atol=1e-12)
    audio = np.random.default_rng(0).uniform(-1, 1, 8000)
    window = np.sin(np.pi * np.arange(400) / 400) ** 2
    power = spectrogram(
        audio, window, 400, 160, fft_length=512, power=1.0, center=False, mel_filters=theirs, mel_floor=0.0
    )
    np.testing.assert_allclose(log_mel_spectrogram(audio), np.log(power.T + 0.01), atol=1e-6)
