"""Creation of tasks from a template: write the definition and its first script, or neither."""

from __future__ import annotations

import os
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from django.conf import settings
from django.db import transaction

from scheduler.config_file import TaskSpec
from scheduler.config_file.reasons import Code
from scheduler.engine.reasons import Reason
from scheduler.exceptions import ConflictError
from scheduler.models import Task
from scheduler.services.folders import remember_folders
from scheduler.services.tasks import save_task

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser

Kind = Literal["python", "shell"]

FILES: dict[Kind, str] = {"python": "main.py", "shell": "main.sh"}
COMMANDS: dict[Kind, str] = {"python": "python main.py", "shell": "sh main.sh"}

PYTHON = '''\
"""What this task does, in a sentence."""

import os
import sys
import traceback


def main() -> int:
    print(f"Hello from {os.environ['TASK_NAME']}, attempt {os.environ['ATTEMPT']}.", flush=True)
    # 0: success.  1: it worked, but its goal was not met; never tried again.
    # Any other number: it failed, and is tried again if the task says so.
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Exception:
        # Python itself would exit with 1, which means a goal that was not met.
        traceback.print_exc()
        sys.exit(2)
'''

SHELL = """\
#!/bin/sh
# What this task does, in a sentence.
# Exit code 0: success.  1: it worked, but its goal was not met; never tried again.
# Any other code: it failed, and is tried again if the task says so.
# Many programs exit with 1 when they fail: "grep x file || exit 2" makes that a failure that is tried again.
set -eu

echo "Hello from $TASK_NAME, attempt $ATTEMPT."
"""

TEXTS: dict[Kind, str] = {"python": PYTHON, "shell": SHELL}


def create_from_template(spec: TaskSpec, *, kind: Kind, user: AbstractBaseUser | None, now: datetime) -> Task:
    """Create the task of `spec` and its script in the folder of the task; never overwrite a file.

    Raises:
        ConfigError: the definition is invalid.
        ConflictError: the script exists already, or the folder cannot be written.
    """
    written: Path | None = None
    try:
        with transaction.atomic():
            task = save_task(spec, task=None, user=user, now=now)
            written = write_script(spec["task_id"], FILES[kind], TEXTS[kind])
            remember_folders([task.pk])
    except BaseException:
        if written is not None:  # the transaction failed at commit: remove the script
            with suppress(OSError):
                written.unlink()
        raise
    return task


def write_script(task_id: str, name: str, text: str) -> Path:
    """Write a script in the folder of a task and return its path.

    The folder is opened without following a link, and the file is created in it only if it does not exist.

    Raises:
        ConflictError: the script exists already, or the folder cannot be written.
    """
    path = Path(settings.SCHEDULER_TASKS_DIR) / task_id / name
    try:
        path.parent.mkdir(exist_ok=True)
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
            with os.fdopen(os.open(path.name, flags, 0o644, dir_fd=folder), "w", encoding="utf-8") as file:
                file.write(text)
        finally:
            os.close(folder)
    except FileExistsError as error:
        raise ConflictError(Reason(Code.SCRIPT_EXISTS, {"path": f"{task_id}/{path.name}"})) from error
    except OSError as error:
        raise ConflictError(
            Reason(Code.SCRIPT_NOT_WRITABLE, {"path": f"{task_id}/{path.name}", "error": error.strerror})
        ) from error
    return path
