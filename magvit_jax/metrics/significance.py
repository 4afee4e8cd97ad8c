"""Whether a recognition accuracy can be chance."""

from scipy import stats

from magvit_jax.errors import UserError


def binomial_p_value(correct: int, trials: int, chance: float) -> float:
    """Probability of `correct` or more hits in `trials` independent guesses, each right by `chance`.

    One-sided and exact. Recognition is above chance at level p where this is below p.
    """
    if not 0 <= correct <= trials or trials < 1 or not 0 < chance < 1:
        raise UserError(f"{correct} correct of {trials} at chance {chance}: expected 0..{trials}, chance in (0,1)")
    return float(stats.binom.sf(correct - 1, trials, chance))
