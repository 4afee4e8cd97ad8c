"""What a file of a `MultimodalFolder` has: frames, sound, texts, and the videos of flow and depth beside it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from magvit_jax.data.decode import Unreadable, VideoInfo, frame_times, probe
from magvit_jax.data.files import VIDEO_EXTENSIONS
from magvit_jax.data.multimodal_spec import MultimodalSpec
from magvit_jax.data.sound_track import Track, probe_track, require_covered
from magvit_jax.data.timeline import Timeline

_ASPECT = 0.02  # share by which the proportions of a condition's video may differ


@dataclass(frozen=True)
class Contents:
    """What was found in a usable file, without decoding more than its first frame.

    Attributes:
      track: its sound; None where there is none that can be used, or none is wanted.
      silent: why it has none; empty where that was not wanted.
      beside: condition -> its video, and what is in it.
    """

    info: VideoInfo
    timeline: Timeline
    track: Track | None
    silent: str
    beside: Mapping[str, tuple[str, VideoInfo]]


@dataclass(frozen=True)
class Rule:
    """What a file must have; see `MultimodalFolder`."""

    root: Path
    spec: MultimodalSpec
    sound: str
    sound_tolerance: float
    companions: Mapping[str, str]

    def __call__(self, path: str) -> Contents:
        """What the file has. Raises Unreadable where that is not enough."""
        info = probe(path)
        timeline = Timeline(frame_times(path), info.rate)
        require_long_enough(timeline, self.spec)
        track, silent = self._track(path, timeline)
        if silent and self.sound == "required":
            raise Unreadable(silent)
        beside = {name: self._companion(name, folder, path, info) for name, folder in self.companions.items()}
        return Contents(info, timeline, track, silent, beside)

    def _track(self, path: str, timeline: Timeline) -> tuple[Track | None, str]:
        """The sound that can be used; and why there is none."""
        if self.sound == "none":
            return None, ""
        track = probe_track(path)
        if track is None:
            return None, "no sound track"
        try:
            require_covered(track.start, track.end, timeline, self.sound_tolerance)
        except Unreadable as error:
            return None, str(error)
        return track, ""

    def _companion(self, name: str, folder: str, path: str, info: VideoInfo) -> tuple[str, VideoInfo]:
        stem = Path(folder) / Path(path).relative_to(self.root).with_suffix("")
        found = [stem.with_name(stem.name + extension) for extension in VIDEO_EXTENSIONS]
        there = [video for video in found if video.is_file()]
        if not there:
            raise Unreadable(f"no {name}: expected {stem}.mp4 (or another video of that name)")
        other = probe(str(there[0]))
        if not info.frames - 1 <= other.frames <= info.frames:
            raise Unreadable(f"{there[0]} has {other.frames} frames, its video {info.frames}: expected as many")
        if abs(other.width * info.height / (other.height * info.width) - 1) > _ASPECT:
            raise Unreadable(
                f"{there[0]} is {other.height}x{other.width}, its video {info.height}x{info.width}: expected the same "
                "proportions"
            )
        return str(there[0]), other


def require_long_enough(timeline: Timeline, spec: MultimodalSpec) -> None:
    """Unreadable where no clip begins anywhere in the file."""
    if timeline.starts(spec.seconds) < 1:
        raise Unreadable(
            f"{timeline.seconds:.2f} s, a clip needs {spec.seconds:.2f} s ({spec.frames} frames, {spec.fps:g} a second)"
        )
