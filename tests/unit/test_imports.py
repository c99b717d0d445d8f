"""Imports go one way, in each of the three packages; every module has a layer of its own name.

A module may import its own layer and those below it. `notifications` imports `scheduler`, never the reverse; both know
of `schedsite` what surrounds them.
"""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

#: From the ground up: the name of a layer, and the modules and packages in it; the longest prefix decides.
LAYERS: dict[str, dict[str, tuple[str, ...]]] = {
    "scheduler": {
        "vocabulary": ("choices", "exceptions", "failpoints", "signals"),
        "decisions": ("engine",),
        "files, commands, wording": (
            "config_file",
            "runner",
            "wording.config_reasons",
            "wording.explanation_reasons",
            "wording.reasons",
            "wording.schedules",
            "wording.times",
        ),
        "data": ("migrations", "models", "queues", "task_mapping"),
        "reads": ("selectors",),
        "writes": ("services",),
        "sentences": ("wording",),
        "processes": ("processes",),
        "charts": ("charts",),
        "interfaces": ("", "admin", "api", "apps", "forms", "jobs", "management", "templatetags", "views"),
    },
    "notifications": {
        "vocabulary": ("choices", "exceptions"),
        "decisions": ("engine",),
        "messages": ("messages",),
        "transport": ("transport",),
        "channels": ("channels",),
        "data": ("migrations", "models", "querysets"),
        "reads": ("selectors",),
        "writes": ("services",),
        "sentences": ("wording",),
        "interfaces": ("", "admin", "api", "apps", "forms", "jobs", "management", "templatetags", "views"),
    },
    "schedsite": {
        "environment": (
            "",
            "environment",
            "forwarded",
            "hidden_environment",
            "private_files",
            "production",
            "zone_data",
        ),
        "requests": ("client_errors", "database", "middleware", "server_errors", "web"),
        "site": ("apps", "formats", "navigation", "settings", "urls", "wsgi"),
        "demonstration": ("demo",),
    },
}
#: What the apps may know of the site that they are served by.
KNOWN_OF_THE_SITE = ("environment", "requests")
KNOW_DJANGO_Q = {
    "scheduler.queues",
    "scheduler.processes.brokers",
    "scheduler.processes.cluster",
    "scheduler.processes.redis_broker",
    "scheduler.admin",
}
PURE = ("scheduler.engine", "scheduler.runner", "notifications.engine")


def _sources() -> dict[str, Path]:
    found = {}
    for package in LAYERS:
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


IMPORTS = {module: _imports(module) for module in SOURCES}


def _is_below(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


def _package(module: str) -> str:
    return module.partition(".")[0]


def _layer(module: str) -> tuple[int, str] | None:
    """Return the number and the name of the layer of a module, None where the table does not name it."""
    package, _, rest = module.partition(".")
    fits = [
        (len(prefix), number, name)
        for number, (name, prefixes) in enumerate(LAYERS[package].items())
        for prefix in prefixes
        if (prefix and _is_below(rest, prefix)) or prefix == rest
    ]
    return max(fits)[1:] if fits else None


def _own(*packages: str) -> list[str]:
    return sorted(module for module in SOURCES if any(_is_below(module, package) for package in packages))


def _importing(modules: list[str], package: str) -> list[str]:
    """Return "module imports name" for each of `modules` that imports `package` or what is in it."""
    return [
        f"{module} imports {name}"
        for module in modules
        for name in sorted(IMPORTS[module])
        if _is_below(name, package)
    ]


def test_every_module_is_in_a_named_layer() -> None:
    assert [module for module in SOURCES if _layer(module) is None] == []


def test_no_module_imports_from_a_layer_above_its_own() -> None:
    found = []
    for module in _own(*LAYERS):
        layer = _layer(module)
        for name in sorted(IMPORTS[module]):
            above = _layer(name) if _package(name) == _package(module) else None
            if layer and above and above[0] > layer[0]:
                found.append(f"{module} ({layer[1]}) imports {name} ({above[1]})")

    assert found == [], "\n".join(found)


def test_at_most_eight_loose_modules_are_at_the_top_of_an_app() -> None:
    for app in ("scheduler", "notifications"):
        loose = sorted(path.name for path in (ROOT / app).glob("*.py") if path.name != "__init__.py")

        assert len(loose) <= 8, loose


def test_scheduler_never_imports_notifications() -> None:
    assert _importing(_own("scheduler"), "notifications") == []


def test_apps_know_nothing_of_the_site_but_its_environment_and_requests() -> None:
    found = [
        f"{module} imports {name} ({layer[1]})"
        for module in _own("scheduler", "notifications")
        for name in sorted(IMPORTS[module])
        if _package(name) == "schedsite" and (layer := _layer(name)) and layer[1] not in KNOWN_OF_THE_SITE
    ]

    assert found == [], "\n".join(found)


def test_every_name_in_the_table_is_that_of_a_module() -> None:
    named = [
        f"{package}.{prefix}".rstrip(".")
        for package, layers in LAYERS.items()
        for prefixes in layers.values()
        for prefix in prefixes
    ]

    assert [name for name in named if name not in SOURCES] == []


def test_nobody_else_knows_django_q() -> None:
    others = [module for module in SOURCES if module not in KNOW_DJANGO_Q]

    assert _importing(others, "django_q") == []


def test_engine_and_runner_know_no_django() -> None:
    assert _importing(_own(*PURE), "django") == []


def test_runner_knows_nothing_else_of_the_project_but_reasons() -> None:
    runner = _own("scheduler.runner")
    found = [line for package in LAYERS for line in _importing(runner, package)]
    known = (" imports scheduler.runner", " imports scheduler.engine.reasons")

    assert [line for line in found if not any(name in line for name in known)] == []


def test_config_file_knows_no_database() -> None:
    assert _importing(_own("scheduler.config_file"), "django.db") == []


def test_no_module_of_tests_imports_another() -> None:
    named = re.compile(r"^\s*(?:from|import) (tests(?:\.\w+)*\.test_\w+)", re.MULTILINE)

    found = {
        f"{path.relative_to(ROOT)}: {name}"
        for path in (ROOT / "tests").rglob("*.py")
        for name in named.findall(path.read_text(encoding="utf-8"))
    }

    assert not found, f"what several test modules use belongs in tests/support: {sorted(found)}"


WITHOUT_PAGES = """
import json, sys
import django

django.setup()
from django.core import checks
from notifications import jobs
from scheduler import jobs
from scheduler.management.commands import worker
from scheduler.processes import cluster, dispatcher, supervisor

before = sorted(sys.modules)
checks.run_checks(tags=["admin"])
print(json.dumps([before, sorted(sys.modules)]))
"""
HEAVY = (
    "scheduler.admin",
    "schedsite.urls",
    "unfold.admin",
    "rest_framework.views",
    "jsonschema",
    "httpx",
    "apprise",
)


def test_processes_without_pages_load_none_and_checks_load_all() -> None:
    printed = subprocess.run(
        [sys.executable, "-c", WITHOUT_PAGES],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout

    loaded, checked = json.loads(printed)

    assert [module for module in HEAVY if module in loaded] == []
    assert {"scheduler.admin.tasks", "notifications.admin"} <= set(checked)


def test_scripts_of_tasks_are_data_and_never_imported() -> None:
    assert _importing(sorted(SOURCES), "tasks") == []


def test_walk_finds_the_modules() -> None:
    assert {"scheduler.models", "scheduler.services.dispatch", "scheduler.engine.schedules"} <= set(SOURCES)
    assert "scheduler.models" in IMPORTS["scheduler.services.dispatch"]
