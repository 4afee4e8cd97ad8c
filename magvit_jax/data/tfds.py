"""Datasets prepared by TensorFlow Datasets (TFDS), by name, read without TensorFlow.

Read are its files in ArrayRecord format, which allow random access; `tfds build NAME
--file_format=array_record` makes them, and needs TensorFlow for many datasets. A video is a feature of
type Video or another sequence of pictures (BAIR robot pushing has two), or a uint8 Tensor [T, H, W, C];
an image is a feature of type Image, and a video of one frame. Of a video only the frames that a clip
needs are decoded. The label is the feature of type ClassLabel, its names are the class names.
"""

import functools
import importlib.util
import io
import os
from collections.abc import Iterator, Mapping, Sequence
from types import SimpleNamespace
from typing import Any
from unittest import mock

import numpy as np
from PIL import Image

from magvit_jax.data import pixels
from magvit_jax.data.decode import Unreadable
from magvit_jax.data.folder import FolderSource
from magvit_jax.data.recordings import Clip, Cutting, cut, fingerprint
from magvit_jax.data.sources import ClipSpec
from magvit_jax.errors import UserError

_PREPARE = "tfds build {name} --file_format=array_record"


class TfdsExamples:
    """The examples of a split: a label and frames each, in the dataset's order.

    Args:
      name: as TFDS names datasets, "ucf101", "ucf101/ucf101_1:2.0.0", or the folder of a prepared one.
      split: as TFDS names splits, "train", "train[:90%]".
      data_dir: folder of prepared datasets; where TFDS looks by default (TFDS_DATA_DIR,
        ~/tensorflow_datasets) if empty.
      feature: the video's or image's name, to be given where there are several.

    Raises:
      UserError: the dataset or split is not there, is not in ArrayRecord format, or has no such feature.
    """

    def __init__(self, name: str, split: str, data_dir: str = "", feature: str = ""):
        self._arguments = (name, split, data_dir, feature)
        builder = _builder(name, data_dir)
        self.name, self.split = builder.info.full_name, split
        features = _by_name(builder.info.features)
        self._key = _visual_feature(self.name, features, feature)
        self._label, self.class_names = _label_feature(self.name, features)
        self.is_video = len(features[self._key].shape) == 4
        self.frames = features[self._key].shape[0] if self.is_video else 1
        self._source = _data_source(
            builder, split, {key: features[key] for key in (self._key, self._label) if key}
        )
        counts = {
            key: [info.num_examples, info.num_bytes] for key, info in sorted(builder.info.splits.items())
        }
        self._fingerprint = fingerprint([self.name, self._key, counts])

    def __reduce__(self):
        return TfdsExamples, self._arguments  # another process opens the files anew

    def __len__(self) -> int:
        return len(self._source)

    def read(self, number: int) -> tuple[Sequence[Any], int]:
        """(frames, label) of an example; `rgb` makes a picture of a frame."""
        example = self._source[number]
        frames = example[self._key]
        return frames if self.is_video else [frames], int(example[self._label]) if self._label else 0

    def identity(self) -> dict[str, Any]:
        """What tells the split from others, as plain JSON values."""
        return {"source": "tfds", "dataset": self.name, "split": self.split, "fingerprint": self._fingerprint}


def rgb(frame: Any) -> np.ndarray:
    """A frame as TFDS stores it, encoded or uint8 [H, W, C], as uint8 [H, W, 3]. Raises Unreadable."""
    try:
        if isinstance(frame, bytes):
            with Image.open(io.BytesIO(frame)) as image:
                return pixels.rgb_from_image(image)
        frame = np.asarray(frame)
        if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[-1] not in (1, 3):
            raise Unreadable(f"frames of {frame.dtype} {list(frame.shape)}: expected uint8 [H, W, 1 or 3]")
        return np.broadcast_to(frame, (*frame.shape[:2], 3))
    except (OSError, SyntaxError, ValueError) as error:
        raise Unreadable(f"a frame cannot be decoded ({error})") from error


class Tfds(FolderSource):
    """Clips of a TFDS dataset's examples, each of which counts once.

    A training clip begins at a random frame, with `random_crop` lies anywhere, and with `flip` is mirrored
    half the time; a test clip is the middle. An example that is too short or damaged is replaced by the next
    one, counted and named.

    Raises:
      UserError: see `TfdsExamples`; clips of more than one frame of images, or longer than every video.
    """

    def __init__(self, examples: TfdsExamples, spec: ClipSpec):
        self._examples = examples
        super().__init__(examples.name, examples.split, examples.class_names, {})
        if not len(examples):
            raise UserError(f"TFDS dataset {examples.name}: split {examples.split!r} has no examples")
        if not examples.is_video and spec.frames != 1:
            raise UserError(f"data.frames is {spec.frames}: {examples.name} has images, set it to 1")
        if examples.frames is not None and examples.frames < spec.span:
            raise UserError(f"TFDS dataset {examples.name}: {_too_short(examples.frames, spec)}")
        self._items = _Items(examples)

    def __len__(self) -> int:
        return len(self._examples)

    @property
    def summary(self) -> str:
        """One line about what there is."""
        return f"TFDS dataset {self._examples.name}: split {self.split}, {len(self)} examples"

    def clip(self, index: int, rng: np.random.Generator, spec: ClipSpec, train: bool) -> dict[str, Any]:
        """See `Source.clip`."""
        read = functools.partial(self._read, rng, spec, train)
        _, (video_THWC, label) = self._fall_forward(self._items, index, read)
        return {"video": video_THWC, "label": np.int32(label)}

    def _read(
        self, rng: np.random.Generator, spec: ClipSpec, train: bool, item: SimpleNamespace
    ) -> tuple[np.ndarray, int]:
        frames, label = self._examples.read(item.number)
        if len(frames) < spec.span:
            raise Unreadable(_too_short(len(frames), spec))
        free, area = len(frames) - spec.span, (spec.height, spec.width)
        start = int(rng.integers(free + 1)) if train else free // 2
        chosen = [rgb(frames[start + k * spec.stride]) for k in range(spec.frames)]
        cover = pixels.random_cover(rng, area, spec.smallest_crop) if train else area
        size = pixels.cover_size(chosen[0].shape[:2], cover)
        corner = pixels.centre_corner(size, area)
        if train and spec.random_crop:
            corner = pixels.random_corner(rng, size, area)
        video_THWC = pixels.crop(np.stack([pixels.resize(frame, size) for frame in chosen]), corner, area)
        flip = train and spec.flip and rng.random() < 0.5
        return np.ascontiguousarray(video_THWC[:, :, ::-1] if flip else video_THWC), label


class TfdsRecordings:
    """The examples of a split as recordings; see `recordings.Recordings`."""

    def __init__(self, examples: TfdsExamples):
        self._examples, self.class_names = examples, examples.class_names

    def __len__(self) -> int:
        return len(self._examples)

    def name(self, number: int) -> str:
        """The split and the example's number."""
        return f"{self._examples.split}/{number}"

    def clips(self, number: int, cutting: Cutting) -> Iterator[Clip]:
        """See `recordings.Recordings`."""
        frames, label = self._examples.read(number)
        size = rgb(frames[0]).shape[:2] if len(frames) else (1, 1)
        yield from cut(map(rgb, frames), size, cutting, self.name(number), label)

    def identity(self) -> dict[str, Any]:
        """See `recordings.Recordings`."""
        return self._examples.identity()


class _Items(Sequence):
    """The examples by number and name, as `FolderSource` goes through them."""

    def __init__(self, examples: TfdsExamples):
        self._examples = examples

    def __len__(self) -> int:
        return len(self._examples)

    def __getitem__(self, number: int) -> SimpleNamespace:
        path = os.path.join(self._examples.name, f"{self._examples.split} {number}")
        return SimpleNamespace(number=number, path=path)


def _too_short(frames: int, spec: ClipSpec) -> str:
    return f"{frames} frames, a clip needs {spec.span} ({spec.frames} at stride {spec.stride})"


def _builder(name: str, data_dir: str) -> Any:
    """Of a prepared dataset: only its files are looked at, the code that made it is not run."""
    tfds = _import_tfds()
    from tensorflow_datasets.core import read_only_builder

    if not name:
        raise UserError("data.path is empty: expected the name of a TFDS dataset, such as 'ucf101:2.0.0'")
    with _video_feature_without_tensorflow():
        if os.path.isfile(os.path.join(name, "dataset_info.json")):
            return tfds.builder_from_directory(name)
        try:
            return read_only_builder.builder_from_files(name, data_dir=data_dir or None)
        except tfds.core.DatasetNotFoundError as error:
            from tensorflow_datasets.core.utils import file_utils

            places = " or ".join(os.fspath(place) for place in file_utils.list_data_dirs(data_dir or None))
            prepare = _PREPARE.format(name=name) + (f" --data_dir={data_dir}" if data_dir else "")
            raise UserError(
                f"TFDS dataset {name!r} is not in {places}; expected it there: prepare it with `{prepare}`, or "
                "name the folder that has it (data.tfds.data_dir, --data-dir)"
            ) from error


def _import_tfds() -> Any:
    try:
        import tensorflow_datasets
    except ImportError as error:
        raise UserError(
            f"data.source is 'tfds', but {error.name} is not installed; expected "
            "`pip install 'magvit_jax[tfds]'`"
        ) from error
    return tensorflow_datasets


def _video_feature_without_tensorflow() -> Any:
    """Video, alone among TFDS's features (4.9), asks TensorFlow for the name of a dtype when it is made."""
    if importlib.util.find_spec("tensorflow") is not None:
        return mock.patch.dict({})  # nothing to do
    from tensorflow_datasets.core.features import video_feature

    return mock.patch.object(video_feature, "tf", SimpleNamespace(dtypes=SimpleNamespace(as_dtype=np.dtype)))


def _by_name(features: Any) -> Mapping[str, Any]:
    """The features of an example. An example that is a sequence of steps, each with its features, has a sequence of
    each; that is how it is stored."""
    import tensorflow_datasets as tfds

    if not isinstance(features, tfds.features.Sequence):
        return features
    shapes = features.shape
    return {key: tfds.features.Sequence(features[key], length=shapes[key][0]) for key in features.feature}


def _visual_feature(dataset: str, features: Mapping[str, Any], wanted: str) -> str:
    """The feature that has the pixels: the one asked for, or the only video, or else the only image."""
    import tensorflow_datasets as tfds

    def is_video(feature: Any) -> bool:
        tensor = type(feature) is tfds.features.Tensor and feature.np_dtype == np.uint8
        pictures = isinstance(feature, tfds.features.Sequence) and isinstance(
            feature.feature, tfds.features.Image
        )
        return pictures or (tensor and len(feature.shape) == 4)

    videos = [key for key in sorted(features) if is_video(features[key])]
    images = [key for key in sorted(features) if isinstance(features[key], tfds.features.Image)]
    found = [wanted] if wanted in videos + images else videos or images
    if len(found) != 1 or (wanted and found != [wanted]):
        raise UserError(
            f"TFDS dataset {dataset}: data.tfds.feature is {wanted!r}; expected one of its videos "
            f"({', '.join(videos) or 'none'}) or images ({', '.join(images) or 'none'})"
        )
    return found[0]


def _label_feature(dataset: str, features: Mapping[str, Any]) -> tuple[str | None, tuple[str, ...]]:
    """(key, names) of the only class label, or of "label" among several; without one all is a class of its
    own."""
    import tensorflow_datasets as tfds

    labels = [key for key in features if isinstance(features[key], tfds.features.ClassLabel)]
    key = "label" if "label" in labels else labels[0] if len(labels) == 1 else None
    return (key, tuple(features[key].names)) if key else (None, (dataset.split("/")[0],))


def _data_source(builder: Any, split: str, wanted: Mapping[str, Any]) -> "_Examples":
    """`wanted` are features by name."""
    from tensorflow_datasets import decode

    name = builder.info.full_name
    try:
        source = builder.as_data_source(split, deserialize_method=decode.DeserializeMethod.RAW_BYTES)
    except NotImplementedError as error:
        raise UserError(
            f"TFDS dataset {name} is stored as {builder.info.file_format.value}, which has no random access; "
            f"expected array_record: `{_PREPARE.format(name=name)}`"
        ) from error
    except ValueError as error:
        splits = ", ".join(builder.info.splits)
        raise UserError(
            f"TFDS dataset {name}: split {split!r}: expected one of {splits}, or a part of one"
        ) from error
    return _Examples(source, {key: _undecoded(feature) for key, feature in wanted.items()})


def _undecoded(feature: Any) -> Any:
    """A feature that parses as the given one but leaves pictures encoded: decoding all frames of a video to
    use a few would cost most of the time. TFDS's own way to that, SkipDecoding, needs TensorFlow for a
    Video."""
    from tensorflow_datasets import features

    if isinstance(feature, features.Sequence):
        return features.Sequence(features.Text(), length=feature.shape[0])
    return features.Text() if isinstance(feature, features.Image) else feature


class _Examples(Sequence):
    """Some features of a data source's examples."""

    def __init__(self, source: Sequence[bytes], wanted: dict[str, Any]):
        from tensorflow_datasets import features

        self._source, self._features = source, features.FeaturesDict(wanted)

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, number: int) -> dict[str, Any]:
        return self._features.deserialize_example_np(self._source[number])
