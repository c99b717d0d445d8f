"""Imports go one way: interfaces → services → selectors → models → engine → choices."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

#: From the ground up. A module may import its own layer and those before it; the longest prefix decides.
LAYERS = (
    {"scheduler.exceptions", "scheduler.choices", "scheduler.crashpoints", "scheduler.signals"},
    {"scheduler.engine"},
    {
        "scheduler.config_file",
        "scheduler.descriptions",
        "scheduler.specs",
        "scheduler.runner",
        "scheduler.phrases",
    },
    {"scheduler.demonstration"},
    {"scheduler.models", "scheduler.querysets", "scheduler.migrations", "scheduler.queues"},
    {"scheduler.selectors", "scheduler.upstreams", "scheduler.paging"},
    {"scheduler.services"},
    {"scheduler.cluster", "scheduler.supervisor", "scheduler.dispatcher", "scheduler.plan_text"},
    {"scheduler"},  # admin, api, forms, views, commands, jobs and whatever else is an interface
)
KNOW_DJANGO_Q = {"scheduler.queues", "scheduler.cluster"}
PURE = ("scheduler.engine", "scheduler.runner")


def _sources() -> dict[str, Path]:
    found = {}
    for package in ("scheduler", "notifications", "schedsite"):
        for path in (ROOT / package).rglob("*.py"):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts).removesuffix(".__init__")] = path
    return found


SOURCES = _sources()


def _is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def _walk(node: ast.AST) -> Iterator[ast.AST]:
    """Yield all nodes but those that only a type checker reads."""
    for child in ast.iter_child_nodes(node):
        if not _is_type_checking(child):
            yield child
            yield from _walk(child)


def _imports(module: str) -> set[str]:
    """Return what `module` imports, in functions too; ``from a import b`` is a.b where that is a module."""
    found: set[str] = set()
    for node in _walk(ast.parse(SOURCES[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            for name in node.names:
                full = f"{node.module}.{name.name}"
                found.add(full if full in SOURCES else node.module)
    return found


def _is_below(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


def _layer(module: str) -> int:
    fits = [
        (len(prefix), number)
        for number, prefixes in enumerate(LAYERS)
        for prefix in prefixes
        if _is_below(module, prefix)
    ]
    return max(fits)[1]


def _own(package: str) -> list[str]:
    return sorted(module for module in SOURCES if _is_below(module, package))


@pytest.mark.parametrize("module", _own("scheduler"))
def test_module_imports_nothing_from_a_layer_above_it(module: str) -> None:
    layer = _layer(module)

    above = {name for name in _imports(module) if _is_below(name, "scheduler") and _layer(name) > layer}

    assert above == set()


@pytest.mark.parametrize("module", _own("scheduler"))
def test_scheduler_never_imports_notifications(module: str) -> None:
    assert not [name for name in _imports(module) if _is_below(name, "notifications")]


@pytest.mark.parametrize("module", _own("scheduler") + _own("notifications") + _own("schedsite"))
def test_nobody_else_knows_django_q(module: str) -> None:
    knows = any(_is_below(name, "django_q") for name in _imports(module))

    assert not knows or module in KNOW_DJANGO_Q


@pytest.mark.parametrize("module", [name for package in PURE for name in _own(package)])
def test_engine_and_runner_know_no_django(module: str) -> None:
    assert not [name for name in _imports(module) if _is_below(name, "django")]


@pytest.mark.parametrize("module", _own("scheduler.runner"))
def test_runner_knows_nothing_else_of_the_project(module: str) -> None:
    own = [
        name for name in _imports(module) if name.split(".")[0] in {"scheduler", "schedsite", "notifications"}
    ]

    assert not [name for name in own if not _is_below(name, "scheduler.runner")]


@pytest.mark.parametrize("module", _own("scheduler.config_file"))
def test_config_file_knows_no_database(module: str) -> None:
    assert not [name for name in _imports(module) if _is_below(name, "django.db")]


@pytest.mark.parametrize("module", sorted(SOURCES))
def test_scripts_of_tasks_are_data_and_never_imported(module: str) -> None:
    assert not [name for name in _imports(module) if _is_below(name, "tasks")]


def test_walk_finds_the_modules() -> None:
    assert {"scheduler.models", "scheduler.services.dispatch", "scheduler.engine.schedules"} <= set(SOURCES)
    assert "scheduler.models" in _imports("scheduler.services.dispatch")
