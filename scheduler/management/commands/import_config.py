"""`manage.py import_config`: read config.json, show the plan, and apply it atomically."""

from __future__ import annotations

import dataclasses
import json
import sys
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from scheduler.config_file import ConfigError, read_config
from scheduler.engine.times import iso
from scheduler.management.base import DatabaseCommand
from scheduler.selectors.tasks import task_ids
from scheduler.services.configuration import ImportPlan, apply_import, plan_import, stored_specs
from scheduler.wording.import_plan import plan_lines

DONE, REFUSED, WOULD_CHANGE = 0, 1, 2


class Command(DatabaseCommand):
    """Exit codes: 0 done, 1 rejected, 2 if --check finds changes."""

    help = "Import tasks from a config.json, or from a folder with */config.json."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the arguments."""
        parser.add_argument("path", help="The file or folder to read.")
        parser.add_argument("--dry-run", action="store_true", help="Show the plan, write nothing.")
        parser.add_argument(
            "--check", action="store_true", help="Write nothing; exit 2 when something would change."
        )
        parser.add_argument("--prune", action="store_true", help="Remove tasks that the file does not name.")
        parser.add_argument("--json", action="store_true", help="Print the plan, or the errors, as JSON.")

    def handle(self, *args: Any, **options: Any) -> None:
        """Plan, print, and apply unless `--check` is given."""
        try:
            self._import(options)
        except ConfigError as error:
            self._print_problems(error, as_json=options["json"])
            sys.exit(REFUSED)

    def _import(self, options: dict[str, Any]) -> None:
        now = datetime.now(UTC)
        if options["path"] == "":  # from an unset shell variable; it would mean the current folder
            raise CommandError("the path is empty; a file or folder is needed")
        document = read_config(Path(options["path"]), known=task_ids(), stored=stored_specs)
        plan = plan_import(document, prune=options["prune"], now=now)
        shown = _plan_text(plan, as_json=options["json"])
        self.say(shown)  # first: if the plan cannot be printed, nothing is changed
        if options["check"] and plan.has_changes:
            sys.exit(WOULD_CHANGE)
        if options["dry_run"] or options["check"] or not plan.has_changes:
            done = "" if options["dry_run"] or options["check"] else "Nothing to do: unchanged."
        else:
            applied = apply_import(document, prune=options["prune"], user=None, now=now)
            done = "Applied."
            if (text := _plan_text(applied, as_json=options["json"])) != shown:
                done = f"Somebody else changed tasks meanwhile. What was written:\n{text}\n{done}"
        if done and not options["json"]:
            with suppress(CommandError):  # the import is done, even if the message cannot be printed
                self.say(done)

    def _print_problems(self, error: ConfigError, *, as_json: bool) -> None:
        if as_json:
            self.say(json.dumps({"errors": [problem.as_json() for problem in error.problems]}, indent=2))
            return
        self.stderr.write(str(error))
        self.stderr.write("Refused: nothing was changed.")


def _plan_text(plan: ImportPlan, *, as_json: bool) -> str:
    if not as_json:
        return "\n".join(plan_lines(plan))
    document = {
        "created": plan.created,
        "changed": [dataclasses.asdict(change) for change in plan.changed],
        "unchanged": plan.unchanged,
        "removed": plan.removed,
        "notes": [str(note) for note in plan.notes],
    }
    return json.dumps(document, indent=2, ensure_ascii=False, default=_as_text)


def _as_text(value: object) -> str:
    return iso(value) if isinstance(value, datetime) else str(value)
