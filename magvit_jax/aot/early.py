"""Compiles up to where machine code would be made, which is most of the time and changes no number but one.

The compiler writes the optimised program and its place in memory to files before it makes code. It has no switch
to stop there, so it runs in a process of its own, which is ended when the files are whole.
"""

import multiprocessing
import os
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import jax

from magvit_jax.aot.memory import Memory, from_allocations
from magvit_jax.aot.step import Step
from magvit_jax.errors import UserError

PROGRAM = "*after_optimizations_after_buffer_assignment.txt"
ALLOCATIONS = "*after_optimizations-buffer-assignment.txt"
ERROR, MISTAKE = "error.txt", "user_error.txt"
PATIENCE = 3600.0  # seconds for the whole compilation
SETTLED = 1.0  # seconds in which the last file has not grown


def compile_early(build: Callable[..., Step], *arguments: object) -> tuple[Memory | str, str]:
    """(memory, optimised HLO) of the step that `build` makes; (message, "") of one that the compiler refuses.

    Args:
      build: a function at the top level of a module; it and its arguments are sent to the new process.

    Raises:
      UserError: as of `build` and of what it lowers.
      RuntimeError: the process ended with neither.
    """
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        process = context.Process(target=_compile, args=(name, build, arguments), daemon=True)
        process.start()
        try:
            end = time.monotonic() + PATIENCE
            while process.is_alive() and time.monotonic() < end:
                if _whole(folder):
                    return from_allocations(_only(folder, ALLOCATIONS)), _only(folder, PROGRAM)
                time.sleep(0.1)
            process.join(1.0)
            if (folder / MISTAKE).exists():
                raise UserError((folder / MISTAKE).read_text())
            if (folder / ERROR).exists():
                return (folder / ERROR).read_text(), ""
            if any(folder.glob(PROGRAM)):
                return from_allocations(_only(folder, ALLOCATIONS)), _only(folder, PROGRAM)
            raise RuntimeError(f"the compiler's process ended with status {process.exitcode} and without a program")
        finally:
            process.kill()
            process.join()


def _compile(folder: str, build: Callable[..., Step], arguments: tuple[object, ...]) -> None:
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    try:
        build(*arguments).lower().compile({"xla_dump_to": folder})
    except (jax.errors.JaxRuntimeError, UserError) as error:
        name = MISTAKE if isinstance(error, UserError) else ERROR
        (Path(folder) / name).write_text(str(error))


def _end_with(parent: int) -> None:
    """Ends this process when its parent is gone, however that ended; the compiler would go on for minutes."""
    while os.getppid() == parent:
        time.sleep(1.0)
    os._exit(1)


def _whole(folder: Path) -> bool:
    """Whether the optimised program, which is written last, is there to its end."""
    paths = list(folder.glob(PROGRAM))
    return bool(paths) and time.time() - paths[0].stat().st_mtime > SETTLED


def _only(folder: Path, pattern: str) -> str:
    (path,) = folder.glob(pattern)
    return path.read_text()
