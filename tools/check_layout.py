"""Checks the bones of the repository: who imports whom, and that no file is longer than one idea.

    python tools/check_layout.py [ROOT]

Prints every violation as `file:line: what is wrong` and exits with status 1 if there is any. Imports are read
with `ast`, wherever they stand in a file, so a lazy import inside a function counts like any other. The rules
are the two tables below and nothing else; `docs/architecture.md` says why they are as they are.
"""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

PACKAGE = "magvit_jax"
MAX_LINES = 500
FOLDERS = (PACKAGE, "tools", "experiments", "configs", "tests")

_PARTS = frozenset(
    "partitioning ops nn data media tokenizer tokens transformer sampling pretrained metrics evaluation "
    "generation training".split()
)

# Part of the package -> the parts that it may import, besides itself, `typing` and `errors`.
MAY_IMPORT: dict[str, frozenset[str]] = {
    "typing": frozenset(),
    "errors": frozenset(),
    "partitioning": frozenset(),
    "ops": frozenset(),
    "metrics": frozenset({"ops"}),
    "tokens": frozenset(),
    "data": frozenset(),
    "media": frozenset(),
    "nn": frozenset({"ops", "partitioning"}),
    "tokenizer": frozenset({"nn", "ops", "partitioning"}),
    "pretrained": frozenset({"nn", "ops", "partitioning"}),
    "transformer": frozenset({"nn", "tokens", "partitioning"}),
    "sampling": frozenset({"tokens"}),
    "evaluation": frozenset({"metrics", "pretrained", "data", "ops", "partitioning"}),
    "generation": frozenset({"transformer", "sampling", "tokenizer", "tokens", "partitioning"}),
    "training": frozenset({"partitioning"}),
    "converters": frozenset({"tokenizer", "pretrained"}),
    "systems": _PARTS,
    "bundles": _PARTS | {"systems"},
    "aot": _PARTS | {"systems", "bundles"},
    "workflows": _PARTS | {"systems", "bundles", "converters", "aot"},
    "quickstart": _PARTS | {"systems", "bundles", "workflows", "cli", PACKAGE},
    "experiments": _PARTS | {"systems", "bundles", "workflows", "quickstart", "cli", PACKAGE},
    "cli": _PARTS | {"systems", "bundles", "aot", "workflows", "quickstart", "experiments", PACKAGE, "configs"},
    "__main__": frozenset({"cli"}),
    "__init__": _PARTS | {"systems", "bundles", "workflows"},
}
FREE = ("typing", "errors")  # everything may import these two, but they import nothing

# Folder beside the package -> the top-level names that its files may import; a folder not named here is free.
DATA_FOLDERS: dict[str, frozenset[str]] = {"configs": frozenset({"configs", "ml_collections"})}
# Top-level names of this repository that the package may import only where its row above says so.
OUTSIDE = frozenset({"configs", "experiments", "tests", "tools"})
# Tests may import none of those: an installed package has them nowhere, and only a checkout on PYTHONPATH finds them.


class Violation(NamedTuple):
    """One broken rule; `line` is 0 where the whole file breaks it."""

    path: str
    line: int
    what: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.what}"


def check(root: Path) -> list[Violation]:
    """Every violation under the repository `root`, in the order of paths."""
    violations = []
    for folder in FOLDERS:
        for path in sorted((root / folder).rglob("*.py")):
            name = path.relative_to(root).as_posix()
            text = path.read_text(encoding="utf-8")
            violations += check_length(name, text) + check_imports(name, text)
    return violations


def check_length(name: str, text: str) -> list[Violation]:
    """At most one violation: the file has more than `MAX_LINES` lines."""
    lines = len(text.splitlines())
    return [Violation(name, 0, f"{lines} lines, at most {MAX_LINES}")] if lines > MAX_LINES else []


def check_imports(name: str, text: str) -> list[Violation]:
    """The imports of one file that its row of the tables does not allow.

    Args:
        name: path from the repository's root, with forward slashes; decides which rules hold.
        text: the file's source.
    """
    folder, *rest = name.split("/")
    if folder == PACKAGE:
        return _check_part(name, rest[0].removesuffix(".py"), text)
    if folder in DATA_FOLDERS:
        allowed = DATA_FOLDERS[folder]
        return [
            Violation(name, line, f"imports {module}; {folder} may import only {_listed(allowed)}")
            for module, line in imported_modules(name, text)
            if module.split(".")[0] not in allowed
        ]
    if folder == "tests":
        return [
            Violation(name, line, f"imports {module}, which is found only where PYTHONPATH has the repository")
            for module, line in imported_modules(name, text)
            if module.split(".")[0] in OUTSIDE
        ]
    return []


def _check_part(name: str, part: str, text: str) -> list[Violation]:
    if part not in MAY_IMPORT:
        return [Violation(name, 0, f"{part!r} has no row in the table MAY_IMPORT of tools/check_layout.py")]
    allowed = MAY_IMPORT[part] | {part} | (frozenset() if part in FREE else frozenset(FREE))
    violations = []
    for module, line in imported_modules(name, text):
        target = _target(module)
        if target is not None and target not in allowed:
            what = f"{part} imports {module}; it may import only {_listed(allowed)}"
            violations.append(Violation(name, line, what))
    return violations


def _target(module: str) -> str | None:
    """Which part or folder of this repository `module` belongs to; None for the libraries of others.

    A name of the top level that is no part, such as `magvit_jax.load_tokenizer`, belongs to the top level;
    names like `__version__` are plain data and belong to nobody.
    """
    top, *rest = module.split(".")
    if top in OUTSIDE:
        return top
    if top != PACKAGE or (rest and rest[0].startswith("__")):
        return None
    return rest[0] if rest and rest[0] in MAY_IMPORT else PACKAGE


def imported_modules(name: str, text: str) -> Iterator[tuple[str, int]]:
    """Absolute dotted names that the file imports, with their lines; relative imports are resolved.

    `from a import b` yields `a.b`, whether `b` is a module or not: the rules look at a name's beginning only.
    """
    package = name.split("/")[:-1]
    for node in ast.walk(ast.parse(text, filename=name)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            prefix = ".".join([*base, *filter(None, [node.module])])
            for alias in node.names:
                yield f"{prefix}.{alias.name}", node.lineno


def _listed(names: frozenset[str]) -> str:
    return ", ".join(sorted(names))


def main(arguments: list[str]) -> int:
    """Checks the repository at the one argument, or this one; returns the exit status."""
    root = Path(arguments[0]) if arguments else Path(__file__).resolve().parents[1]
    if not (root / PACKAGE).is_dir():
        print(f"{root}: no folder {PACKAGE} here, expected the root of the repository", file=sys.stderr)
        return 2
    violations = check(root)
    for violation in violations:
        print(violation)
    print(f"layout: {len(violations)} violation(s)" if violations else "layout: in order")
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
