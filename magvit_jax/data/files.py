"""Finding files, reading labels off their paths, and dividing them into train and test."""

import hashlib
import logging
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from magvit_jax.errors import UserError

VIDEO_EXTENSIONS = (".mp4", ".m4v", ".mkv", ".webm", ".avi", ".mov", ".gif", ".y4m")
IMAGE_EXTENSIONS = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif")
TRAIN_FOLDERS = ("train", "training")
TEST_FOLDERS = ("test", "val", "validation")

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Entry:
    """A file with its label's name; `test` is None where its name's hash decides about the split."""

    path: str
    relative: str
    label: str
    test: bool | None


def find_files(root: str | os.PathLike, extensions: Sequence[str], what: str) -> list[str]:
    """Paths of all files below `root` with one of the extensions, in order of their names.

    Follows links to folders, once each; leaves hidden files and folders out.

    Raises:
      UserError: `root` is missing, is not a folder, or has no such file; `what` names them ("video").
    """
    root = os.fspath(root)
    if not root or not os.path.exists(root):
        raise UserError(f"{root!r} does not exist: expected a folder of {what} files")
    if not os.path.isdir(root):
        raise UserError(f"{root} is not a folder: expected a folder of {what} files")
    found, others, seen = [], 0, {os.path.realpath(root)}
    for folder, subfolders, names in os.walk(root, followlinks=True):
        subfolders[:] = [name for name in sorted(subfolders) if not name.startswith(".")]
        subfolders[:] = [name for name in subfolders if _first_visit(os.path.join(folder, name), seen)]
        for name in names:
            if name.startswith("."):
                continue
            if name.lower().endswith(tuple(extensions)):
                found.append(os.path.join(folder, name))
            else:
                others += 1
    if not found:
        kinds = " ".join(extensions)
        raise UserError(f"{root} has no {what} file ({others} other files): expected one of {kinds}")
    return sorted(found)


def _first_visit(folder: str, seen: set[str]) -> bool:
    real = os.path.realpath(folder)
    if real in seen:
        return False
    seen.add(real)
    return True


def list_videos(path: str | os.PathLike) -> list[str]:
    """Video files below a folder, in order of their names; a file stands for itself. Raises UserError."""
    if os.path.isfile(path):
        return [os.fspath(path)]
    return find_files(path, VIDEO_EXTENSIONS, "video")


def list_images(path: str | os.PathLike) -> list[str]:
    """Image files below a folder, in order of their names; a file stands for itself. Raises UserError."""
    if os.path.isfile(path):
        return [os.fspath(path)]
    return find_files(path, IMAGE_EXTENSIONS, "image")


def label_entries(root: str | os.PathLike, paths: Sequence[str], loose_label: str | None) -> list[Entry]:
    """Labels files by the first folder below `root`, or below its train and test folders if it has both.

    A file in no sub-folder gets `loose_label`, or its own name without the extension where that is None.
    Where there are both train and test folders, files outside them are left out, which is logged.
    """
    relative = {path: PurePosixPath(Path(path).relative_to(root).as_posix()) for path in paths}
    tops = {parts.parts[0] for parts in relative.values() if len(parts.parts) > 1}
    train, test = _folder_named(tops, TRAIN_FOLDERS), _folder_named(tops, TEST_FOLDERS)
    divided = train is not None and test is not None
    entries = []
    for path, name in relative.items():
        parts, side = name.parts, None
        if divided:
            if parts[0] not in (train, test):
                continue
            parts, side = parts[1:], parts[0] == test
        label = parts[0] if len(parts) > 1 else (loose_label or name.stem)
        entries.append(Entry(path, str(name), label, side))
    if len(entries) < len(paths):
        outside = len(paths) - len(entries)
        _log.warning("%s: %d files outside of %s/ and %s/ are not used", root, outside, train, test)
    return entries


def _folder_named(names: set[str], wanted: Sequence[str]) -> str | None:
    """The first of the wanted names that is there, whatever its case."""
    for want in wanted:
        for name in sorted(names):
            if name.lower() == want:
                return name
    return None


def _hash(entry: Entry) -> str:
    return hashlib.sha256(entry.relative.encode()).hexdigest()


def check_held_out(fraction: float) -> None:
    """UserError unless it is a fraction."""
    if not 0 < fraction < 1:
        raise UserError(f"data.held_out is {fraction}: expected a fraction between 0 and 1")


def hold_out(entries: Sequence[Entry], fraction: float) -> set[str]:
    """Paths of the test files: `fraction` of all, but at least one, and never all.

    Files go to the test side in the order of their names' hashes, so it depends on nothing else. A label
    keeps its last training file as long as another label has one to spare.
    """
    wanted = min(max(1, round(fraction * len(entries))), len(entries) - 1)
    left = Counter(entry.label for entry in entries)
    spare, last = [], []
    for entry in sorted(entries, key=_hash):
        (spare if left[entry.label] > 1 else last).append(entry)
        left[entry.label] -= 1
    return {entry.path for entry in (spare + last)[:wanted]}


def one_side(
    root: str, entries: Sequence[Entry], usable: Sequence[Entry], split: str, held_out: float
) -> set[str]:
    """Paths of the usable files of `split`, by the folders they are in or else held out of at least two.

    The split "all" has every usable file.

    Raises:
      UserError: the train or test folder has no usable file.
    """
    if split == "all":
        return {entry.path for entry in usable}
    test = split == "test"
    if usable[0].test is not None:
        mine = {entry.path for entry in usable if entry.test == test}
        if not mine:
            raise UserError(f"{root}: its {split} folder has no usable file")
        return mine
    # Decided among all files, so that a file's side does not hang on which ones are long enough for a clip.
    theirs = hold_out(entries, held_out)
    if len({entry.path in theirs for entry in usable}) == 1:
        theirs = hold_out(usable, held_out)
    return {entry.path for entry in usable if (entry.path in theirs) == test}
