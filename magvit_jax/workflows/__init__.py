"""What the commands do, for those who call it from Python: train, reconstruct, generate, evaluate."""

from magvit_jax.workflows.evaluate import evaluate
from magvit_jax.workflows.generate import generate
from magvit_jax.workflows.reconstruct import reconstruct
from magvit_jax.workflows.train import train

__all__ = ["evaluate", "generate", "reconstruct", "train"]
