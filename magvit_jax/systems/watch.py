"""Signs of a collapse in the metrics of a tokenizer's training, said in words."""

from collections.abc import Mapping

#: The discriminator is sure beyond doubt: at 10 apart it errs less than once in a hundred.
LOGIT_GAP = 10.0
#: Of the codes that a batch could use at most; what uses fewer says next to nothing.
LEAST_SHARE = 0.01
#: Steps in which a codebook may find itself: random latents use much of it, and the first updates lose most of that.
GRACE = 500
#: Of the highest perplexity since then.
LEAST_OF_PEAK = 0.1


class CollapseWatch:
    """Looks at the mean metrics of each window of steps; speaks up when something begins, and is silent while it lasts.

    Args:
      possible_codes: that one batch could use at most.
    """

    def __init__(self, possible_codes: int):
        self._possible, self._peak = possible_codes, 0.0
        self._known: set[str] = set()

    def __call__(self, step: int, values: Mapping[str, float]) -> list[str]:
        """New warnings of the window that ends with `step`."""
        found = {}
        if "logits_real" in values:
            real, fake = values["logits_real"], values["logits_fake"]
            if abs(real - fake) > LOGIT_GAP:
                found["logits"] = (
                    f"the discriminator's mean logits are {real:.3g} on real and {fake:.3g} on generated clips, more "
                    f"than {LOGIT_GAP:g} apart: the adversary is running away"
                )
        if "batch_perplexity" in values and step > GRACE:
            perplexity = values["batch_perplexity"]
            self._peak = max(self._peak, perplexity)
            if perplexity < LEAST_OF_PEAK * self._peak:
                found["fall"] = (
                    f"the codebook's perplexity in a batch fell to {perplexity:.3g} from {self._peak:.3g}: it collapses"
                )
            elif perplexity < LEAST_SHARE * self._possible:
                found["low"] = (
                    f"the codebook's perplexity in a batch is {perplexity:.3g} of {self._possible} possible: "
                    "hardly any codes are in use"
                )
        new = [message for name, message in found.items() if name not in self._known]
        self._known = set(found)
        return new
