"""The rows of the networks that read or hear."""

from magvit_jax.pretrained.row import Network, SourceFile

_HUB = "https://huggingface.co"
_MERGES_SHA256 = "f526393189112391ce6f9795d4695f704121ce452c3aad1f5335cc41337eba85"
_SPIECE_SHA256 = "d60acb128cf7b7f2536e8f38a5b18a05535c9e14c7a355904270e15b0945ea86"


def _clip(name: str, patch: int, sha256: str, parameters: int) -> Network:
    repository = f"{_HUB}/openai/clip-vit-base-patch{patch}"
    return Network(
        name=name,
        title=f"CLIP ViT-B/{patch}, image and text towers with their vocabulary",
        used_for="CLIPSIM",
        sources=(
            SourceFile("pytorch_model.bin", f"{repository}/resolve/main/pytorch_model.bin", sha256),
            SourceFile("merges.txt", f"{repository}/resolve/main/merges.txt", _MERGES_SHA256),
        ),
        licence="MIT",
        parameters=parameters,
    )


def _t5(size: str, parameters: int) -> Network:
    repository = f"{_HUB}/google/t5-v1_1-{size}"
    return Network(
        name=f"t5_v1_1_{size}",
        title=f"T5 v1.1 {size}, encoder with its vocabulary",
        used_for="VideoPoet's text embeddings" if size == "xl" else "text embeddings",
        sources=(
            SourceFile("pytorch_model.bin", f"{repository}/resolve/main/pytorch_model.bin"),
            SourceFile("spiece.model", f"{repository}/resolve/main/spiece.model", _SPIECE_SHA256),
        ),
        licence="Apache-2.0",
        parameters=parameters,
    )


LANGUAGE: tuple[Network, ...] = (
    _clip("clip_vit_b16", 16, "", 149_620_737),
    _clip(
        "clip_vit_b32", 32, "a63082132ba4f97a80bea76823f544493bffa8082296d62d71581a4feff1576f", 151_277_313
    ),
    Network(
        name="vggish",
        title="VGGish, the embedding before its activation",
        used_for="FAD",
        sources=(
            SourceFile(
                "vggish-10086976.pth",
                "https://github.com/harritaylor/torchvggish/releases/download/v0.1/vggish-10086976.pth",
                "10086976",
            ),
        ),
        licence="Apache-2.0",
        parameters=72_141_184,
    ),
    _t5("small", 35_332_800),
    _t5("base", 109_628_544),
    _t5("large", 341_231_104),
    _t5("xl", 1_223_527_424),
    _t5("xxl", 4_762_310_656),
)
