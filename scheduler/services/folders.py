"""Working folders of tasks, and the record of which tasks have had a folder of their own.

A task without its own folder runs in the parent of the tasks folder. A task that had one does not fall back to the
parent if its folder is missing: the disk may not be mounted, and the command would work on files of other tasks.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Collection
from functools import lru_cache
from pathlib import Path

from django.conf import settings

from scheduler.engine.reasons import Code, Reason
from scheduler.models import Task
from scheduler.runner import StartError

STEP = 500


def base_folder() -> Path:
    """Return the parent of the tasks folder, with symbolic links resolved now.

    Raises:
        StartError: the tasks folder is a dangling link.
    """
    tasks: Path = settings.SCHEDULER_TASKS_DIR
    if not os.path.islink(tasks):  # noqa: PTH114 - hot path
        return _parent(tasks)
    if not tasks.exists():
        raise StartError(Code.TASKS_FOLDER_LINK_BROKEN, path=str(tasks))
    return tasks.resolve().parent


def working_folder(task_id: str, *, had_folder: bool) -> Path:
    """Return the working folder of a task: its own folder, or the base folder if it never had one.

    Raises:
        StartError: its folder is missing, or a dangling link.
    """
    own = own_folder(task_id)
    try:
        mode = os.lstat(own).st_mode  # sufficient for most tasks
        if stat.S_ISDIR(mode) or (stat.S_ISLNK(mode) and own.is_dir()):
            return own
        if stat.S_ISLNK(mode) and not own.exists():
            raise StartError(Code.FOLDER_LINK_BROKEN, path=str(own))
    except FileNotFoundError:
        pass
    except OSError:
        return own  # the start will report the error
    base = base_folder()
    if had_folder:
        raise StartError(Code.FOLDER_LOST, path=str(own))
    return base


def own_folder(task_id: str) -> Path:
    """Return the path of the task's own folder, whether or not it exists."""
    return _own_folder(settings.SCHEDULER_TASKS_DIR, task_id)


@lru_cache(maxsize=2048)  # building paths takes longer than the stat call
def _own_folder(tasks: Path, task_id: str) -> Path:
    return tasks / task_id


@lru_cache(maxsize=4)
def _parent(folder: Path) -> Path:
    return folder.parent


def has_folder(task_id: str) -> bool:
    """Return whether the task's own folder exists now."""
    try:
        return (Path(settings.SCHEDULER_TASKS_DIR) / task_id).is_dir()
    except OSError:
        return False


def folder_error(task: Task) -> Reason | None:
    """Return why the folder of a task prevents its start, or None."""
    if not task.has_folder or has_folder(task.task_id):
        return None
    return Reason(Code.FOLDER_LOST, {"path": str(Path(settings.SCHEDULER_TASKS_DIR) / task.task_id)})


def remember_folders(task_pks: Collection[int]) -> None:
    """Record that tasks have had a folder of their own."""
    if task_pks:
        Task.all_objects.filter(pk__in=task_pks, has_folder=False).update(has_folder=True)


def look_for_folders() -> None:
    """Record all tasks whose own folder exists now."""
    unknown = Task.objects.filter(has_folder=False).values_list("pk", "task_id")
    found = [pk for pk, task_id in unknown if has_folder(task_id)]
    for start in range(0, len(found), STEP):
        remember_folders(found[start : start + STEP])
