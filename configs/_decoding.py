"""The group `decoding` of a task: the published settings of Algorithm 1 (thesis 6.5.6, 5.4.2), and others."""

#: "By default" in ch. 6.
DEFAULT = dict(
    steps=12,
    schedule="cosine",
    temperature=4.5,
    sampling_temperature=1.0,
    guidance_scale=0.0,
    guidance_schedule="constant",
    guidance_power=1.0,
)
BAIR = dict(DEFAULT, schedule="exp", temperature=400.0)
KINETICS600 = dict(DEFAULT, schedule="uniform", temperature=7.5)

#: MAGVIT-v2 on video. 24 steps are better: Tab. 5.1.
MAGVIT2 = dict(DEFAULT, temperature=32.0)

#: MAGVIT-v2 on ImageNet, by pixels a side, without guidance.
UNGUIDED = {
    256: dict(DEFAULT, steps=64, temperature=15.0),
    512: dict(DEFAULT, steps=64, temperature=30.0),
}
#: With guidance that grows as in MDT, whose code has 4 as the power where the thesis has none.
GUIDED = dict(UNGUIDED[256], guidance_scale=25.0, guidance_schedule="power_cosine", guidance_power=4.0)

#: Of the autoregressive baseline (Tab. 6.9), whose settings the thesis does not give.
TOKENWISE = dict(temperature=1.0, top_k=0, top_p=1.0, guidance_scale=0.0, cached=True)
