"""The group `adversarial`, as published (thesis 5.4.1). A config adds the second player's optimizer."""

ADVERSARY = dict(
    weight=0.1,
    loss="non_saturating",
    r1_cost=10.0,
    r1_every=1,
    lecam_weight=0.001,
    lecam_decay=0.999,
    start_step=0,
    ema_decay=0.0,
)
