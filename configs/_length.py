"""How long a run is, in epochs."""

from ml_collections import ConfigDict


def train_for(config: ConfigDict, epochs: int, examples: int, batch_size: int) -> None:
    """Batch size, steps, and warm-ups of one epoch (both players'), of a config that trains a tokenizer."""
    config.data.batch_size = batch_size
    config.training.steps = epochs * examples // batch_size
    for optimizer in (config.optimizer, config.adversarial.optimizer):
        optimizer.warmup_steps = examples // batch_size
