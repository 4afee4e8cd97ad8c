"""The group `optimizer`: what configs have in common. A config adds the steps of its warm-up."""

#: Of tokenizers and of their adversary (thesis 3.3.1, 5.4.1).
ADAM = dict(
    name="adam",
    learning_rate=1e-4,
    schedule="cosine",
    final_fraction=0.0,
    b1=0.0,
    b2=0.99,
    eps=1e-8,
    weight_decay=0.0,
    decay_kernels_only=True,
    clip_norm=0.0,
)

#: Of transformers (6.5.6).
ADAMW = dict(ADAM, name="adamw", b1=0.9, b2=0.96, weight_decay=0.045, clip_norm=1.0)
