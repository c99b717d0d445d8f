"""Modules and functions of the packages stay short enough to be read at once."""

from __future__ import annotations

import ast
import statistics
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MOST_LINES, MOST_LINES_OF_A_FUNCTION = 400, 50
USUAL_LINES, NEARLY_ALL_LINES = 8, 26  # of a function: the median, and 95 of 100


def modules() -> Iterator[Path]:
    """Yield the modules of the packages, without migrations."""
    for package in ("scheduler", "notifications", "schedsite"):
        yield from (path for path in (ROOT / package).rglob("*.py") if "migrations" not in path.parts)


def functions() -> Iterator[tuple[int, str]]:
    """Yield lines and place of each function."""
    for path in modules():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                assert node.end_lineno is not None
                yield node.end_lineno - node.lineno + 1, f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"


def test_no_module_is_too_long() -> None:
    lines = {str(path.relative_to(ROOT)): len(path.read_bytes().splitlines()) for path in modules()}

    assert {name: count for name, count in lines.items() if count > MOST_LINES} == {}


def test_no_function_is_too_long() -> None:
    assert [place for count, place in functions() if count > MOST_LINES_OF_A_FUNCTION] == []


def test_most_functions_are_short() -> None:
    lines = [count for count, _ in functions()]

    assert statistics.median(lines) <= USUAL_LINES
    assert statistics.quantiles(lines, n=20)[18] <= NEARLY_ALL_LINES
