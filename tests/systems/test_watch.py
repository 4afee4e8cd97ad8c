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
    found = [watch(step, dict(batch_perplexity=p)) for step, p in ((20, 3.0), (40, 300.0), (60, 25.0), (80, 20.0))]
    assert [len(messages) for messages in found] == [0, 0, 1, 0] and "fell to 25 from 300" in found[2][0]
    watch = CollapseWatch(1024)
    assert watch(1000, dict(batch_perplexity=4.0)) == []  # it may still find itself
    [message] = watch(1020, dict(batch_perplexity=4.0))
    assert "4 of 1024 possible" in message


def test_other_metrics_and_nan_are_no_news():
    watch = CollapseWatch(16)
    assert watch(2000, dict(loss=np.nan)) == []
    assert watch(2000, dict(loss=1.0, logits_real=np.nan, logits_fake=0.0)) == []
