"""A file or a folder of them, as commands take it: videos and images; a folder's bad files are skipped and
named."""

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from magvit_jax.data.files import IMAGE_EXTENSIONS, VIDEO_EXTENSIONS, find_files
from magvit_jax.errors import UserError

MEDIA = (*VIDEO_EXTENSIONS, *IMAGE_EXTENSIONS)
Read = TypeVar("Read")


def each_file(
    source: str | os.PathLike,
    read: Callable[[Path], Read],
    say: Callable[[str], None],
    extensions: Sequence[str] = MEDIA,
    what: str = "video or image",
) -> Iterator[Read]:
    """What `read` gives of the file, or of each file of a folder in the order of names.

    Args:
      extensions: of the files of a folder that count, which `what` names.

    Raises:
      UserError: the one file is bad, by `read`; or a folder has no file that is good.
    """
    source = Path(source)
    if not source.is_dir():
        yield read(source)
        return
    found = skipped = 0
    for name in find_files(source, extensions, what):
        try:
            result = read(Path(name))
        except UserError as error:
            skipped += 1
            say(f"skipped: {error}")
            continue
        found += 1
        yield result
    if not found:
        raise UserError(f"{source}: none of its {skipped} {what.replace(' or ', ' and ')} files could be read")
    if skipped:
        say(f"{skipped} of {found + skipped} files skipped")
