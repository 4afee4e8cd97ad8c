"""What is said when a training collapses, and that it is said once."""

import numpy as np

from magvit_jax.systems.watch import CollapseWatch


def test_a_discriminator_that_runs_away_is_told_of_once_each_time():
    watch = CollapseWatch(1024)
    gaps = (0.5, 3.0, 12.0, 15.0, 2.0, 11.0)
    said = [watch(step, dict(logits_real=gap / 2, logits_fake=-gap / 2)) for step, gap in enumerate(gaps)]
    assert [len(messages) for messages in said] == [0, 0, 1, 0, 0, 1]
    assert "6 on real and -6 on generated clips" in said[2][0]


def test_a_codebook_that_falls_or_never_rises():
    watch = CollapseWatch(1024)
    # Random latents use much of it at first, which nobody should take for a height.
    told = ((20, 900.0), (40, 30.0), (520, 300.0), (540, 25.0), (560, 20.0), (580, 200.0), (600, 25.0))
    found = [watch(step, dict(batch_perplexity=perplexity)) for step, perplexity in told]
    assert [len(messages) for messages in found] == [0, 0, 0, 1, 0, 0, 1] and "fell to 25 from 300" in found[3][0]
    watch = CollapseWatch(1024)
    assert watch(500, dict(batch_perplexity=4.0)) == []
    [message] = watch(520, dict(batch_perplexity=4.0))
    assert "4 of 1024 possible" in message


def test_other_metrics_and_nan_are_no_news():
    watch = CollapseWatch(16)
    assert watch(2000, dict(loss=np.nan)) == []
    assert watch(2000, dict(loss=1.0, logits_real=np.nan, logits_fake=0.0)) == []
