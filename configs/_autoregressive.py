"""The autoregressive baseline of a masked transformer's config: the same network, data and steps (thesis Tab. 6.9)."""

from ml_collections import ConfigDict

from ._decoding import TOKENWISE


def autoregressive(config: ConfigDict) -> ConfigDict:
    """What is not about tokens that are masked stays as it is."""
    fields = config.to_dict()
    fields["system"] = "autoregressive_video"
    fields["masking"] = dict(method="prefix", class_dropout=config.masking.class_dropout)
    fields["loss"] = dict(label_smoothing=config.loss.label_smoothing)
    for task in fields["tasks"].values():
        task["decoding"] = dict(TOKENWISE)
    return ConfigDict(fields)
