"""Nobody but the package of a channel names its kind: what holds for all kinds is asked of the registry."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from notifications.channels.registry import REGISTRY
from scheduler.config_file.schema import SCHEMA_FILE

ROOT = Path(__file__).resolve().parents[2]
KINDS = tuple(REGISTRY)
#: Where kinds may be named: their packages, what was written once, translations.
OWN = ("notifications/channels/", "notifications/migrations/", "scheduler/migrations/", "schedsite/locale/")
#: Words that are no kinds of channels: a trigger of runs.
OTHERS = {("scheduler/choices.py", "webhook")}
IN_QUOTES = re.compile(rf"""["']({"|".join(KINDS)})["']""")


def _sources(ending: str) -> Iterator[tuple[str, str]]:
    """Yield name and text of each file that may name no kind."""
    for folder in ("notifications", "schedsite", "scheduler", "templates"):
        for path in sorted((ROOT / folder).rglob(f"*{ending}")):
            name = path.relative_to(ROOT).as_posix()
            if not name.startswith(OWN):
                yield name, path.read_text(encoding="utf-8")


def _named(node: ast.AST) -> Iterator[str]:
    """Yield the kinds that a piece of code names: as a text, or by an import from the package of one."""
    if isinstance(node, ast.Constant) and node.value in KINDS:
        yield str(node.value)
    if isinstance(node, ast.Import | ast.ImportFrom):
        names = [f"{getattr(node, 'module', '')}.{name.name}" for name in node.names]
        yield from (kind for kind in KINDS for name in names if f"notifications.channels.{kind}" in name)


def test_no_module_outside_the_packages_of_channels_names_a_kind() -> None:
    found = {
        (name, kind)
        for name, text in _sources(".py")
        for node in ast.walk(ast.parse(text))
        for kind in _named(node)
    }

    assert found - OTHERS == set()
    assert found >= OTHERS


def test_no_template_script_or_style_outside_the_packages_of_channels_names_a_kind() -> None:
    found = [
        f"{name}: {kind}"
        for ending in (".html", ".js", ".css")
        for name, text in _sources(ending)
        for kind in IN_QUOTES.findall(text)
    ]

    assert found == []


def test_the_file_of_the_schema_names_no_kind() -> None:
    assert IN_QUOTES.findall(SCHEMA_FILE.read_text(encoding="utf-8")) == []


def test_a_package_has_what_a_channel_needs() -> None:
    for kind, channel in REGISTRY.items():
        assert channel.folder == ROOT / "notifications" / "channels" / kind
        assert {"form.html", "content.html", "corpus.json"} <= {
            path.name for path in channel.folder.iterdir()
        }
