"""What the documentation says is so: settings, commands, links and examples are those of the code."""

from __future__ import annotations

import json
import re
from pathlib import Path

from django.core.management import get_commands

from scheduler.config_file import parse_config, task_fields
from scheduler.management.commands.generate_docs import (
    METRICS,
    PAGE,
    REASONS,
    configuration_page,
    metrics_page,
    reasons_page,
)
from tests.support.cases import each_case

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
READ_SETTING = re.compile(r'env\.(\w+)\(\s*"([A-Z_]+)"(?:,\s*([^,)]+))?')
SETTINGS = {
    name: default
    for _reader, name, default in READ_SETTING.findall(
        (ROOT / "schedsite" / "settings.py").read_text(encoding="utf-8")
    )
}


def _ids(pages: list[Path]) -> list[str]:
    return [str(page.relative_to(ROOT)) for page in pages]


def _slug(heading: str) -> str:
    """Return the anchor that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def _anchors(page: Path) -> set[str]:
    return {
        _slug(title) for title in re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    }


def test_configuration_reference_is_current() -> None:
    assert PAGE.read_text(encoding="utf-8") == configuration_page(), "run: python manage.py generate_docs"
    assert REASONS.read_text(encoding="utf-8") == reasons_page(), "run: python manage.py generate_docs"
    assert METRICS.read_text(encoding="utf-8") == metrics_page(), "run: python manage.py generate_docs"


def test_configuration_reference_names_every_field_of_a_task() -> None:
    page = configuration_page()

    assert [f.name for f in task_fields() if f"`{f.name}`" not in page] == []


@each_case("name", [*sorted(SETTINGS), "SECRET_KEY"])
def test_every_setting_is_documented(name: str) -> None:
    assert f"| `{name}` |" in (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")


@each_case("name", [name for name, default in SETTINGS.items() if re.fullmatch(r'\d+|"[^"]*"', default)])
def test_documented_default_of_a_setting_is_that_of_the_code(name: str) -> None:
    page = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")

    row = next(line for line in page.splitlines() if line.startswith(f"| `{name}` |"))

    assert row.split("|")[2].strip() == f"`{SETTINGS[name].strip(chr(34))}`"


def test_settings_page_names_no_setting_that_does_not_exist() -> None:
    page = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")

    named = re.findall(r"^\| `([A-Z_]+)` \|", page, re.MULTILINE)

    assert set(named) == {*SETTINGS, "SECRET_KEY"}


@each_case("page", PAGES, ids=_ids(PAGES))
def test_links_lead_somewhere(page: Path) -> None:
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if target.startswith(("http:", "https:", "mailto:")):
            continue
        path, _, anchor = target.partition("#")
        linked = (page.parent / path).resolve() if path else page
        if not linked.exists() or (anchor and anchor not in _anchors(linked)):
            broken.append(target)

    assert broken == []


@each_case("page", PAGES, ids=_ids(PAGES))
def test_commands_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")

    commands = set(re.findall(r"manage\.py ([a-z_]+)", text))
    targets = set(re.findall(r"(?:^|`)make ([a-z-]+)", text, re.MULTILINE))

    assert commands <= set(get_commands())
    assert targets <= set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


@each_case("page", PAGES, ids=_ids(PAGES))
def test_examples_of_tasks_are_accepted(page: Path) -> None:
    for block in re.findall(r"```json\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
        example = json.loads(block)
        if isinstance(example, dict) and ("tasks" in example or "task_id" in example):
            assert parse_config(block, file=page.name).specs


def test_both_readmes_have_the_same_commands_and_links() -> None:
    english, chinese = (
        (ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "README.zh-CN.md")
    )

    def links(text: str) -> list[str]:
        found = [link for link in re.findall(r"\]\(([^)]+)\)", text) if not link.startswith("README")]
        return [link.replace("-zh.png", ".png") for link in found]  # pictures speak the language, too

    def commands(text: str) -> list[str]:
        return [
            line.split("#")[0].strip() for line in re.findall(r"^(?:make|\.venv|python3|PORT).*$", text, re.M)
        ]

    assert links(english) == links(chinese)
    assert commands(english) == commands(chinese)


#: Folders whose files papers name without the package that they are in; the last one is like that of any channel.
FOLDERS = (ROOT, ROOT / "scheduler", ROOT / "notifications", ROOT / "tests" / "pigeon")
PAPERS = (ROOT / "CONTRIBUTING.md", ROOT / "docs" / "architecture.md")
NAMED_PATH = re.compile(r"`((?:[\w.-]+/)*[\w.-]+(?:\.(?:py|json|md|html|css|js|po)|/))(?:\s[^`]*)?`")
NAMED_PART = re.compile(r"`((?:\w+/)+\w+)\.(?!(?:py|json|md|html|css|js|po)`)(\w+)`")


def _defines(module: Path, name: str) -> bool:
    """Return whether the module exists and defines the function, class or constant."""
    defined = re.compile(rf"^(?:def |class )?{name}\b", re.MULTILINE)
    return module.exists() and defined.search(module.read_text(encoding="utf-8")) is not None


def test_papers_of_the_code_name_parts_of_modules_that_exist() -> None:
    missing = [
        f"{page.name}: {module}.{name}"
        for page in PAPERS
        for module, name in NAMED_PART.findall(page.read_text(encoding="utf-8"))
        if not any(_defines(folder / f"{module}.py", name) for folder in FOLDERS)
    ]

    assert missing == []


def test_papers_of_the_code_name_files_that_exist() -> None:
    missing = [
        f"{page.name}: {name}"
        for page in PAPERS
        for name in NAMED_PATH.findall(page.read_text(encoding="utf-8"))
        if not any((folder / name).exists() for folder in FOLDERS)
    ]

    assert missing == []


PROVES = re.compile(r'^@pytest\.mark\.proves\("(G\d+)"\)\n(?:.*\n)*?def (\w+)\(', re.MULTILINE)


def test_every_guarantee_is_proven_by_the_tests_that_it_names() -> None:
    page = (ROOT / "docs" / "guarantees.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (G\d+) \| .* \| (.*) \|$", page, re.MULTILINE)
    named = {(number, test) for number, tests in rows for test in re.findall(r"`([^`]+)`", tests)}

    marked = {
        (number, f"{path.relative_to(ROOT)}::{name}")
        for path in (ROOT / "tests").rglob("test_*.py")
        for number, name in PROVES.findall(path.read_text(encoding="utf-8"))
    }

    assert [number for number, _tests in rows] == [f"G{place}" for place in range(1, len(rows) + 1)]
    assert {number for number, _test in named} == {number for number, _tests in rows}
    assert marked == named
