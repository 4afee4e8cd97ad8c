"""Training: the System protocol, state, optimizers, the step, the loop, checkpoints and metric writers."""
