"""Captions to embeddings in shards, once, for every training run that reads them."""

import os
from pathlib import Path

from magvit_jax.data.captions import CAPTION_FILE, read_captions
from magvit_jax.data.text_shards import TextShards, write_shards
from magvit_jax.errors import UserError
from magvit_jax.pretrained import networks
from magvit_jax.pretrained.t5 import T5_SIZES
from magvit_jax.pretrained.text_embedding import TextEmbedder


def read_texts(captions: str | os.PathLike) -> list[str]:
    """The texts of a captions.jsonl, of a folder with one, or of any other file: one a line. Sorted, each once.

    Raises:
      UserError: no such file, or no text in it.
    """
    path = Path(captions)
    path = path / CAPTION_FILE if path.is_dir() else path
    if path.suffix == ".jsonl":
        texts = {text for found in read_captions(path).values() for text in found}
    elif path.is_file():
        texts = {" ".join(line.split()) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()}
    else:
        raise UserError(f"{path} does not exist: expected a {CAPTION_FILE}, or a file of one text a line")
    if not texts:
        raise UserError(f"{path} has no text: expected one a line")
    return sorted(texts)


def text_embedder(network: str, weights_dir: str | os.PathLike | None, slots: int, batch: int) -> TextEmbedder:
    """A frozen T5 with its weights.

    Args:
      network: a name of `T5_SIZES`.
      weights_dir: the folder of weights; MAGVIT_WEIGHTS by default.

    Raises:
      UserError: an unknown network, or missing weights: the line names the file, its place and the command.
    """
    if network not in T5_SIZES:
        raise UserError(f"network {network!r}: expected one of {', '.join(T5_SIZES)}")
    return TextEmbedder(networks.load(network, weights_dir), slots=slots, batch=batch)


def embed_text(embedder: TextEmbedder, texts: list[str], output: str | os.PathLike) -> tuple[int, TextShards]:
    """Adds to a folder the embeddings of the texts that it does not have: how many these were, and all of them.

    Raises:
      UserError: a text that is too long, or a folder of another network's embeddings.
    """
    network = embedder.network
    width = network.definition.module.size.width
    facts = {"network": network.name, "fingerprint": network.fingerprint, "width": width}
    write_shards(output, (), facts)
    there = TextShards(output)
    new = [text for text in texts if text not in there]
    written = write_shards(output, zip(new, embedder.stream(new), strict=True), facts)
    return written, TextShards(output)
