"""magvit embed-text: captions to the embeddings of a frozen T5, in shards."""

import argparse

from magvit_jax.workflows.embed_text import embed_text, read_texts, text_embedder


def run(args: argparse.Namespace) -> None:
    texts = read_texts(args.captions)
    embedder = text_embedder(args.network, args.weights_dir, args.slots, args.batch)
    written, shards = embed_text(embedder, texts, args.output)
    print(f"{written} texts embedded by {args.network}, {len(shards)} in all: {args.output}")
