"""What the commands do, for those who call it from Python: train, reconstruct, generate, generate_long,
generate_multimodal, generate_multimodal_long, gallery,
evaluate, convert, convert_pretrained, export, tokenize, write_clips (the command `shards`), and of sound
reconstruct_sounds, tokenize_sounds."""

from magvit_jax.workflows.compile import compile_ahead
from magvit_jax.workflows.conditions import UserMask
from magvit_jax.workflows.convert import convert
from magvit_jax.workflows.convert_pretrained import convert_pretrained
from magvit_jax.workflows.evaluate import evaluate
from magvit_jax.workflows.evaluate_folders import evaluate_folders
from magvit_jax.workflows.export import export
from magvit_jax.workflows.gallery import gallery
from magvit_jax.workflows.generate import generate
from magvit_jax.workflows.generate_long import generate_long
from magvit_jax.workflows.generate_multimodal import generate_multimodal
from magvit_jax.workflows.generate_multimodal_long import generate_multimodal_long
from magvit_jax.workflows.multimodal_files import Files
from magvit_jax.workflows.reconstruct import reconstruct
from magvit_jax.workflows.shards import Share, open_recordings, write_clips
from magvit_jax.workflows.shards import describe as describe_shards
from magvit_jax.workflows.sounds import reconstruct_sounds, tokenize_sounds
from magvit_jax.workflows.tokenize import tokenize
from magvit_jax.workflows.train import train

__all__ = [
    "Files",
    "Share",
    "compile_ahead",
    "convert",
    "convert_pretrained",
    "describe_shards",
    "evaluate",
    "evaluate_folders",
    "UserMask",
    "export",
    "gallery",
    "generate",
    "generate_long",
    "generate_multimodal",
    "generate_multimodal_long",
    "open_recordings",
    "reconstruct",
    "reconstruct_sounds",
    "tokenize",
    "tokenize_sounds",
    "train",
    "write_clips",
]
