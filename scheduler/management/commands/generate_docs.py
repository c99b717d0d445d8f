"""`manage.py generate_docs`: write docs/configuration.md from the schema of config.json."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser

from scheduler.config_file import FieldMetadata, task_fields

PAGE = Path(settings.BASE_DIR) / "docs" / "configuration.md"
STALE = 2

HEAD = """\
# Configuration reference

<!-- Made from scheduler/schema/config.schema.json by `manage.py generate_docs`; do not edit. -->

Tasks can be defined in a file, on the site and over the API; all three use the words and the checks below.

```json
{
  "tasks": [
    {
      "task_id": "hello",
      "task_name": "Hello",
      "task_exec": "python main.py",
      "task_schedule": "*/5 * * * *"
    }
  ]
}
```

`manage.py import_config PATH` reads such a file: an object with `tasks`, a bare list of tasks, one task, or a folder
with `*/config.json`. It prints what it would change, then writes all of it or nothing; `--dry-run` stops before
writing, `--check` also exits with 2 when something would change, `--prune` removes tasks that the file does not name,
`--json` prints the plan or the errors for machines. A refused file exits with 1 and lists every problem with its file,
line, column, path, the value found and what is allowed. `manage.py export_config [PATH]` writes the file; fields at
their default are left out, and importing what was exported changes nothing. A file has at most 5 MB, a depth of 32 and
20,000 tasks. It holds the secrets themselves: `••••••`, which pages and the API show instead, is refused.

The schema is served at `/api/scheduler/config/schema`; an editor that finds it under `$schema` completes and checks.
"""

SECTIONS = (
    ("file", "The file", ""),
    ("task", "A task", ""),
    (
        "rule",
        "A notification rule",
        "An item of `task_notify`; what it does is in [notifications](notifications.md).",
    ),
    ("email", "A channel: email", "With `type` set to `email`."),
    ("webhook", "A channel: webhook", "With `type` set to `webhook`."),
    ("apprise", "A channel: apprise", "With `type` set to `apprise`."),
)

OLDER = """\
## Older files

Accepted, and reported as a note by the import: `task_log` is dropped (output is kept in the history instead);
`task_notify: {}` means none; `task_notify` with `on_success`, `on_failure`, `on_timeout` and addresses under `email`,
`emails` or `recipients` becomes rules. `null` in a text, list or object field means its default.
"""


class Command(BaseCommand):
    """With --check it writes nothing and exits with 2 when the page is not current."""

    help = "Write docs/configuration.md from the schema of config.json."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options."""
        parser.add_argument(
            "--check", action="store_true", help="Write nothing; exit 2 when it would change."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Write, or compare."""
        text = configuration_page()
        if PAGE.exists() and PAGE.read_text(encoding="utf-8") == text:
            return
        if options["check"]:
            self.stderr.write(f"{PAGE} is not current; run: python manage.py generate_docs")
            sys.exit(STALE)
        PAGE.write_text(text, encoding="utf-8")
        self.stdout.write(f"{PAGE} written")


def configuration_page() -> str:
    """Return the reference as Markdown."""
    parts = [HEAD]
    for definition, title, introduction in SECTIONS:
        parts.append("\n".join(_section(title, introduction, task_fields(definition))))
    return "\n".join([*parts, OLDER])


def _section(title: str, introduction: str, fields: list[FieldMetadata]) -> Iterator[str]:
    yield f"## {title}\n"
    if introduction:
        yield f"{introduction}\n"
    yield "| Field | Meaning | Allowed | Default | Example |"
    yield "|---|---|---|---|---|"
    for field in fields:
        default = "required" if field.is_required else _code(field.default)
        example = _code(field.examples[0]) if field.examples else ""
        yield _row(f"`{field.name}`", field.description, field.allowed, default, example)
    yield ""


def _row(*cells: str) -> str:
    # In a table a bar ends the cell, in code as well.
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def _code(value: Any) -> str:
    return f"`{json.dumps(value, ensure_ascii=False)}`"
