"""The group `data` of models of video, sound and text, and the group `text`. A config adds sizes, batches and seed.

Of the group `data`, what the sources `multimodal_folder` and `embedded_sounding` read:

    fps, samples, sample_rate      files of other rates are converted; samples are at most frames / fps seconds
    sound                          "required" (files without are skipped), "optional" (has_audio says), "none"
    sound_tolerance                seconds that a sound track may be shorter than its video: silence is put there
    flow, depth                    "" or a folder with a video of the same name for every video
    captions                       "labels" (templates), "file" (captions.jsonl in data.path), "none"
    templates                      texts of a label, {label} in them; one is drawn for each example
    images                         batches of images in between: their share in the first part of the run and after it
                                   (8.3.4). source is "none", "frames" (of the videos) or "image_folder"
"""

NO_IMAGES = dict(
    source="none", path="", captions="none", templates=(), first_share=0.0, image_first=0.0, image_after=0.0
)
#: Images in 90% of the batches of the first quarter of the run, then in 10% (8.3.4).
TWO_STAGES = dict(NO_IMAGES, first_share=0.25, image_first=0.9, image_after=0.1)

#: Files with captions beside them, at full size.
FILES = dict(
    source="multimodal_folder",
    path="",
    fps=8.0,
    sample_rate=16_000,
    sound="optional",
    sound_tolerance=0.25,
    flow="",
    depth="",
    captions="file",
    templates=(),
    flip=False,
    random_crop=True,
    size=1,  # of the embedded data, which this is not
    held_out=0.05,
    workers=8,
    cache_mb=0,
    eval_clips=1024,
    images=NO_IMAGES,
)

#: The moving digits with a sound that follows their motion: no download.
EMBEDDED = dict(
    FILES,
    source="embedded_sounding",
    sound="required",
    captions="labels",
    templates=("{label}", "a digit {label}", "the digit {digit} {label}"),
    random_crop=False,
    size=8192,
    workers=0,
    cache_mb=1024,
)

#: No text; words of the captions as ids, `slots` of them; or frozen T5 embeddings from the folder `t5` of
#: `magvit embed-text`, `width` numbers each.
NO_TEXT = dict(kind="none", slots=0, words=(), t5="", width=0)
WORDS = dict(kind="words", slots=16, words=(), t5="", width=0)
T5_XL = dict(kind="t5", slots=64, words=(), t5="", width=2048)
