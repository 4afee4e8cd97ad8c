"""The group `data`: what configs have in common. A config adds its clips' size, its batches and its seed."""

#: Files at full size: an epoch sees each once; a share of them is held out where there is no test/ or val/.
FILES = dict(
    source="video_folder",
    path="",
    stride=1,
    flip=False,
    random_crop=True,
    smallest_crop=1.0,
    eval_clips=1024,
    size=1,  # of the embedded data, which this is not
    held_out=0.05,
    workers=8,
    cache_mb=0,
    tfds=dict(data_dir="", train_split="train", test_split="test", feature=""),
)

#: The moving digits that are generated on the way, or a few files of one's own, which are kept in memory.
EMBEDDED = dict(
    FILES, source="embedded", random_crop=False, size=8192, held_out=0.15, workers=0, cache_mb=1024
)
