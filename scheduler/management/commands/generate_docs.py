"""`manage.py generate_docs`: generate pages of docs/ from the schema of config.json, the reasons and the metrics."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from textwrap import fill
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser
from django.urls import get_resolver

from scheduler.api.metrics.catalogue import CATALOGUE
from scheduler.config_file import FieldMetadata, task_fields
from scheduler.config_file.channel_kinds import channel_kinds
from scheduler.config_file.legacy import names_of_addresses
from scheduler.engine.reasons import Plural, registered_codes, template_of

PAGE = Path(settings.BASE_DIR) / "docs" / "configuration.md"
REASONS, METRICS = PAGE.with_name("reasons.md"), PAGE.with_name("metrics.md")
STALE = 2

HEAD = """\
# Configuration reference

<!-- Generated from scheduler/config_file/config.schema.json by `manage.py generate_docs`; do not edit. -->

Tasks can be defined in a file, on the site and through the API, with the same fields and the same validation.

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

`manage.py import_config PATH` reads such a file: an object with `tasks`, a list of tasks, a single task, or a folder
with `*/config.json`. It prints a plan, then applies all of it or nothing:

- `--dry-run` only prints the plan; `--check` also exits with 2 if anything would change.
- `--prune` deletes the tasks that are missing from the file.
- `--json` prints the plan or the errors as JSON.

An invalid file exits with 1. The output lists every problem with file, line, column, path, the value found and the
allowed values. The limits of a file are 5 MB, 32 levels, 250,000 lists and objects, and 20,000 tasks.

`manage.py export_config [PATH]` writes the file without the fields that have their default. Importing an exported file
changes nothing. It contains the secrets; a file from the page Export has `••••••` in their place. Importing that file
keeps the [secrets](rules-and-deliveries.md#secrets) stored for the same target, and asks for all others.

The schema is served at `/api/scheduler/config/schema`; editors that find it under `$schema` complete and check the file.
"""

SECTIONS = (
    ("file", "The file", ""),
    ("task", "A task", ""),
    (
        "exit_codes",
        "Exit codes",
        "The fields of `task_exit_codes`. List each code once; the codes of `no_retry` must be technical failures. Death "
        "by a signal, a timeout and a failed start are not exit codes and keep their outcomes.",
    ),
    (
        "rule",
        "A notification rule",
        "An item of `task_notify`; see [notifications](notifications.md).",
    ),
)
#: For each kind of channels.
TITLE_OF_KIND, INTRODUCTION_OF_KIND = "A channel: {0}", "With `type` set to `{0}`."

OLDER = """\
## Older files

The import accepts older forms and reports them as notes: `task_log` is ignored (the history contains the output);
`task_notify: {}` means no rules; `task_notify` with `on_success`, `on_failure`, `on_timeout` and addresses in ADDRESSES
is converted to rules; `null` in a text, list or object field means its default.
"""


HEAD_OF_REASONS = """\
# Reasons

<!-- Generated from the templates of the reasons by `manage.py generate_docs`; do not edit. -->

A reason says why something ended, did not start, waits or was rejected, as a code with values. The API and webhooks
return it next to the English text: `reason` is for people, and its wording may change; `reason_code` and `reason_params`
are stable. A code keeps its meaning and the names of its values; new versions may add codes and values. The site displays
reasons in the language of the reader.

`reason_code` is null without a reason, and in rows from versions without codes. Instants (`at`, `until`, `slot`,
`succeeded_at`) are ISO 8601 in UTC; `zone` names the time zone of the text. A value can be a reason itself: an object
with `code` and `params`. `other` contains text from elsewhere, such as the operating system.

| Code | Values | Text |
|---|---|---|"""
HEAD_OF_METRICS = """\
| Metric | Type | Labels | Meaning |
|---|---|---|---|"""
END_OF_METRICS = "<!-- End of the list. -->"
PLACE = re.compile(r"%\((\w+)\)s")


class Command(BaseCommand):
    """With --check it writes nothing and exits with 2 if a page is outdated."""

    help = "Write docs/configuration.md, docs/reasons.md and the list in docs/metrics.md."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options."""
        parser.add_argument(
            "--check", action="store_true", help="Write nothing; exit 2 when it would change."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Write, or compare."""
        pages = ((PAGE, configuration_page()), (REASONS, reasons_page()), (METRICS, metrics_page()))
        for page, text in pages:
            if page.exists() and page.read_text(encoding="utf-8") == text:
                continue
            if options["check"]:
                self.stderr.write(f"{page} is not current; run: python manage.py generate_docs")
                sys.exit(STALE)
            page.write_text(text, encoding="utf-8")
            self.stdout.write(f"{page} written")


def reasons_page() -> str:
    """Return the list of reasons as Markdown, sorted by code."""
    rows = [
        _row(f"`{code}`", ", ".join(f"`{name}`" for name in _places(text)), PLACE.sub(r"‹\1›", text))
        for code, text in sorted((str(code), _longest(code)) for code in registered_codes())
    ]
    return "\n".join([HEAD_OF_REASONS, *rows, ""])


def metrics_page() -> str:
    """Return the page of the metrics with the list of all that are registered."""
    _ = get_resolver().url_patterns  # loads the views, and all metrics with them
    head, _, rest = METRICS.read_text(encoding="utf-8").partition(HEAD_OF_METRICS)
    rows = [
        _row(f"`{one.name}`", one.kind, ", ".join(f"`{label}`" for label in one.labels), one.help)
        for one in CATALOGUE.values()
    ]
    return "\n".join([f"{head}{HEAD_OF_METRICS}", *rows, END_OF_METRICS]) + rest.partition(END_OF_METRICS)[2]


def _longest(code: StrEnum) -> str:
    template = template_of(code)
    return template.many if isinstance(template, Plural) else template


def _places(text: str) -> list[str]:
    return list(dict.fromkeys(PLACE.findall(text)))


def configuration_page() -> str:
    """Return the reference as Markdown."""
    parts = [HEAD]
    names = [kind.name for kind in channel_kinds()]
    of_kinds = [(name, TITLE_OF_KIND.format(name), INTRODUCTION_OF_KIND.format(name)) for name in names]
    for definition, title, introduction in (*SECTIONS, *of_kinds):
        parts.append("\n".join(_section(title, introduction, task_fields(definition))))
    return "\n".join([*parts, _older_files()])


def _older_files() -> str:
    *names, last = [f"`{name}`" for name in names_of_addresses()]
    head, text = OLDER.replace("ADDRESSES", f"{', '.join(names)} or {last}").split("\n\n", 1)
    return f"{head}\n\n{fill(text, 120, break_long_words=False, break_on_hyphens=False)}\n"


def _section(title: str, introduction: str, fields: list[FieldMetadata]) -> Iterator[str]:
    yield f"## {title}\n"
    if introduction:
        yield f"{introduction}\n"
    yield "| Field | Meaning | Allowed | Default | Example |"
    yield "|---|---|---|---|---|"
    for field in fields:
        default = "required" if field.is_required else _code(field.default)
        example = _code(field.examples[0]) if field.examples else ""
        yield _row(f"`{field.name}`", field.description, str(field.allowed), default, example)
    yield ""


def _row(*cells: str) -> str:
    # In a table a bar ends the cell, in code as well.
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def _code(value: Any) -> str:
    return f"`{json.dumps(value, ensure_ascii=False)}`"
