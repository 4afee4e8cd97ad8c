"""What sources of files share: checking all, skipping bad ones by name, going on when one fails later."""

import logging
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from magvit_jax.data.decode import Unreadable
from magvit_jax.errors import UserError

Checked = TypeVar("Checked")
Item = TypeVar("Item")
Result = TypeVar("Result")

_log = logging.getLogger(__name__)
_logged: set[tuple[str, str]] = set()  # train and test split check the same files; each is logged once
_NAMED = 20


def check_files(
    paths: Sequence[str], check: Callable[[str], Checked]
) -> tuple[dict[str, Checked], dict[str, str]]:
    """Runs `check` on every file, in threads: ({path: result}, {path: reason it is Unreadable})."""

    def attempt(path: str) -> Checked | Unreadable:
        try:
            return check(path)
        except Unreadable as error:
            return error

    with ThreadPoolExecutor(max(2, min(16, os.cpu_count() or 2))) as pool:
        results = dict(zip(paths, pool.map(attempt, paths), strict=True))
    good = {path: result for path, result in results.items() if not isinstance(result, Unreadable)}
    return good, {path: str(result) for path, result in results.items() if isinstance(result, Unreadable)}


def log_skipped(root: str, skipped: dict[str, str]) -> None:
    """One warning that counts and names the files not yet warned of."""
    new = [item for item in skipped.items() if item not in _logged]
    _logged.update(new)
    if new:
        names = ", ".join(f"{os.path.relpath(path, root)} ({reason})" for path, reason in new[:_NAMED])
        more = f" and {len(new) - _NAMED} more" if len(new) > _NAMED else ""
        _log.warning("%s: skipped %d file%s: %s%s", root, len(new), "s" * (len(new) > 1), names, more)


class FolderSource:
    """Base of the sources that read files; `class_names` and `skipped` are those of `Source`."""

    def __init__(self, root: str, split: str, class_names: Sequence[str], skipped: dict[str, str]):
        self.root, self.split = root, split
        self.class_names = tuple(class_names)
        self._skipped = dict(skipped)
        self._lock = threading.Lock()
        log_skipped(root, skipped)

    def __getstate__(self):
        return {name: value for name, value in self.__dict__.items() if name != "_lock"}

    def __setstate__(self, state):
        self.__dict__.update(state)
        self._lock = threading.Lock()

    @property
    def skipped(self) -> tuple[tuple[str, str], ...]:
        """(path, reason) of each file left out at the start, or that failed since in this process."""
        return tuple(self._skipped.items())

    def _fall_forward(
        self, items: Sequence[Item], first: int, read: Callable[[Item], Result]
    ) -> tuple[Item, Result]:
        """Reads item `first`, or the next that can be read.

        A file that failed once is tried again when its turn comes: another part of it may be sound, and what
        an example contains must not depend on which examples were read before.
        """
        for turn in range(len(items)):
            item = items[(first + turn) % len(items)]
            try:
                return item, read(item)
            except Unreadable as error:
                self._skip(item.path, str(error))
        raise UserError(f"{self.root}: none of its {len(items)} {self.split} files can be decoded any more")

    def _skip(self, path: str, reason: str) -> None:
        with self._lock:
            if path in self._skipped:
                return
            self._skipped[path] = reason
        log_skipped(self.root, {path: reason})
