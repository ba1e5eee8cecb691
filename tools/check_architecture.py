"""
Whether docs/architecture.md names only what exists: every path in it, and every `name` in `path`.

Paths are relative to the root or to `p2ptwisted/`. A name is a function, a class or a constant of
that module, or a method of one of its classes, as `Class.method`.
"""

import ast
import re
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

PAGE = ROOT / "docs" / "architecture.md"

_PATH = re.compile(r"`([\w./-]*(?:/|\.(?:py|md|toml)))`")
#: `name` in `path`, `name` from `path`, and several names: `a` and `b` in `path`.
_NAMES_IN = re.compile(
    r"((?:`[\w.]+`(?:,\s+|\s+and\s+|\s+or\s+)?)+)\s+(?:in|from)\s+`([\w./-]+\.py)`"
)


def find(path: str) -> Path | None:
    """The file or folder of a path on the page; None where there is none."""
    for folder in (ROOT, ROOT / "p2ptwisted"):
        if (folder / path).exists():
            return folder / path
    return None


def _assigned(node: ast.stmt) -> Iterator[str]:
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    for target in targets:
        for part in ast.walk(target) if target is not None else ():
            if isinstance(part, ast.Name):
                yield part.id


def _defined(statements: list[ast.stmt], prefix: str = "") -> Iterator[str]:
    for node in statements:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield prefix + node.name
        elif isinstance(node, ast.ClassDef):
            yield prefix + node.name
            yield from _defined(node.body, f"{prefix}{node.name}.")
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            yield from (prefix + name for name in _assigned(node))


@cache
def names_of(module: Path) -> frozenset[str]:
    """What a module defines."""
    return frozenset(_defined(ast.parse(module.read_text()).body))


def problems(page: str) -> Iterator[str]:
    """What the page names and isn't there."""
    for path in sorted(set(_PATH.findall(page))):
        if find(path) is None:
            yield f"there is no {path}"
    for names, path in sorted(set(_NAMES_IN.findall(page))):
        module = find(path)
        if module is not None:
            for name in re.findall(r"[\w.]+", re.sub(r"`\s*(?:,|and|or)\s*`", " ", names)):
                if name not in names_of(module):
                    yield f"{path} has no {name}"


def main() -> int:
    page = PAGE.read_text()
    found = list(problems(page))
    for problem in found:
        print(f"docs/architecture.md: {problem}")
    if not found:
        print(f"docs/architecture.md: {len(set(_NAMES_IN.findall(page)))} names are where it says")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
