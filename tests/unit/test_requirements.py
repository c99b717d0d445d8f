"""What the code imports is what the requirements declare, and CI installs the versions of the constraints file."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
RUNTIME, DEVELOPMENT = ROOT / "requirements.txt", ROOT / "requirements-dev.txt"
OWN = {"scheduler", "notifications", "schedsite"}
NAME = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)", re.MULTILINE)


def _normal(name: str) -> str:
    """Return a name as registries compare it. Source: PEP 503."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _names(*files: Path) -> set[str]:
    return {_normal(name) for file in files for name in NAME.findall(file.read_text(encoding="utf-8"))}


def _walk(node: ast.AST) -> Iterator[ast.AST]:
    """Yield all nodes but those that only a type checker reads."""
    for child in ast.iter_child_nodes(node):
        if not (isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING"):
            yield child
            yield from _walk(child)


def _imported(*folders: str) -> dict[str, str]:
    """Return which libraries are imported, each with a file that does it."""
    found = {}
    for folder in folders:
        for path in (ROOT / folder).rglob("*.py"):
            for node in _walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Import):
                    names = [name.name for name in node.names]
                elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                    names = [node.module]
                else:
                    continue
                found |= {name.partition(".")[0]: str(path.relative_to(ROOT)) for name in names}
    return {name: path for name, path in found.items() if name not in sys.stdlib_module_names}


@pytest.mark.parametrize(
    ("folders", "declared", "beside"),
    [
        (("scheduler", "notifications", "schedsite"), (RUNTIME,), OWN),
        (("tests", "docs"), (RUNTIME, DEVELOPMENT), OWN | {"tests"}),
        (
            ("benchmarks",),
            (RUNTIME, DEVELOPMENT),
            OWN | {path.stem for path in (ROOT / "benchmarks").glob("*.py")} | {"tests"},
        ),
    ],
    ids=["the product", "the tests", "the benchmarks"],
)
def test_what_is_imported_is_declared(
    folders: tuple[str, ...], declared: tuple[Path, ...], beside: set[str]
) -> None:
    distributions = packages_distributions()

    undeclared = {
        f"{path}: {name}"
        for name, path in _imported(*folders).items()
        if name not in beside
        and not _names(*declared).intersection(_normal(one) for one in distributions.get(name, [name]))
    }

    assert undeclared == set()


def test_every_requirement_is_constrained() -> None:
    assert _names(RUNTIME, DEVELOPMENT) - _names(ROOT / "constraints.txt") == set()
