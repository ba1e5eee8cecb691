"""
Whether the documents name only what exists: every path of the code, every module, and every
`name` in `path` or `module` (`Name`).

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

PAGES = ("README.md", "CONTRIBUTING.md", "SECURITY.md", "docs/*.md")

#: The first folder of a path of ours; others are the reader's.
_FOLDERS = (
    "p2ptwisted|supernode|node|cli|transfer|protocols|web|client|security|support|"
    "twisted|test|simulation|fuzz|bench|tools|docs|etc|resources"
)
_PATH = re.compile(rf"`((?:{_FOLDERS})/(?:[\w./-]+\.(?:py|md|toml)|[\w/-]*/)?)`")
_MODULE = re.compile(r"`((?:p2ptwisted|test|tools|fuzz|bench|simulation)(?:\.[a-z]\w*)+)`")
#: `name` in `path`, `name` from `path`, and several names: `a` and `b` in `path`.
_CLASS_OF = re.compile(_MODULE.pattern + r"\s+\(`(\w+)`\)")
_NAMES_IN = re.compile(
    r"((?:`[\w.]+`(?:,\s+|\s+and\s+|\s+or\s+)?)+)\s+(?:in|from)\s+`([\w./-]+\.py)`"
)


def find(path: str) -> Path | None:
    """The file or folder of a path on the page; None where there is none."""
    for folder in (ROOT, ROOT / "p2ptwisted"):
        if (folder / path).exists():
            return folder / path
    return None


def find_module(name: str) -> Path | None:
    """The file or folder of a module; None where there is none."""
    path = name.replace(".", "/")
    return find(f"{path}.py") or find(path)


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
    for name in sorted(set(_MODULE.findall(page))):
        if find_module(name) is None:
            yield f"there is no {name}"
    for name, kind in sorted(set(_CLASS_OF.findall(page))):
        module = find_module(name)
        if module is not None and kind not in names_of(module):
            yield f"{name} has no {kind}"
    for names, path in sorted(set(_NAMES_IN.findall(page))):
        module = find(path)
        if module is None:
            yield f"there is no {path}"
        else:
            for name in re.findall(r"[\w.]+", re.sub(r"`\s*(?:,|and|or)\s*`", " ", names)):
                if name not in names_of(module):
                    yield f"{path} has no {name}"


def main() -> int:
    found = 0
    for page in sorted(path for pattern in PAGES for path in ROOT.glob(pattern)):
        for problem in problems(page.read_text()):
            print(f"{page.relative_to(ROOT)}: {problem}")
            found += 1
    if not found:
        print("what the documents name of the code is there")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
