"""One task against the schema, and what a schema cannot say."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from itertools import islice
from typing import Any, cast

from scheduler.config_file.fast_check import definition_check
from scheduler.config_file.notify_rules import find_in_rules, find_repeated
from scheduler.config_file.older import find_in_older_notify, upgrade_task
from scheduler.config_file.problems import ConfigError, Finding, Keys, refused, shorten
from scheduler.config_file.schema import allowed_words, fields_of
from scheduler.config_file.schema_errors import find_schema_errors
from scheduler.config_file.soundness import find_unsound
from scheduler.config_file.specs import TaskSpec, given_fields, normal_task
from scheduler.config_file.upstreams import FIELD, find_unknown
from scheduler.engine.schedules import parse_schedule
from scheduler.exceptions import InvalidScheduleError

ANY_ZONE, ANY_TIME = "UTC", "0 0 * * *"
MOST_TOLD = 200  # nobody reads more, and a hostile body has a million


def validate_task(
    data: object, *, file: str = "", partial: bool = False, known: Collection[str] | None = None
) -> TaskSpec:
    """Return the normal form of one task from the API or a form.

    Args:
        known: ids of the tasks that it may depend on; None: not asked here.
        partial: required fields may be missing, and only the fields given are returned, without defaults, to be laid
            over a stored task.

    Raises:
        ConfigError: with all problems, but at most 200; paths begin at the task.
    """
    findings = list(islice(find_unsound(data), MOST_TOLD))
    if not findings:
        data, _notes = upgrade_task(data)
        own = (f for f in find_in_task(data, partial=partial) if not (partial and _is_of_task(f)))
        findings = list(islice(own, MOST_TOLD))
        if known is not None:
            unknown = find_unknown(upstreams_of(data), {*known, task_id_of(data)})
            findings += islice(unknown, MOST_TOLD - len(findings))
    if findings:
        raise ConfigError([finding.as_problem(file) for finding in findings])
    task = cast(dict[str, Any], data)
    return given_fields(task) if partial else normal_task(task)


def _is_of_task(finding: Finding) -> bool:
    """Whether a field of the task itself is missing, and not one of something within it."""
    return finding.is_absence and len(finding.path) == 1


def task_id_of(task: object) -> str:
    """Return the id that a task names, whether it is valid or not; "" when it names none."""
    task_id = task.get("task_id") if isinstance(task, dict) else None
    return task_id if isinstance(task_id, str) else ""


def upstreams_of(task: object) -> list[object]:
    """Return what a task names as its upstreams, whether it is valid or not."""
    upstreams = task.get(FIELD) if isinstance(task, dict) else None
    return upstreams if isinstance(upstreams, list) else []


def find_in_task(task: object, *, partial: bool = False) -> Iterator[Finding]:
    """Yield all that is wrong with one task in the present form whose values are sound."""
    is_valid = definition_check("task")(task)
    bad: set[str | int] = set()
    notify = task.get("task_notify") if isinstance(task, dict) else None
    older = list(find_in_older_notify(notify)) if isinstance(notify, dict) else []
    yield from older
    for finding in () if is_valid else find_schema_errors(task):
        if older and finding.path == ("task_notify",):
            bad.add("task_notify")
            continue
        if len(finding.path) == 1:
            bad.add(finding.path[0])
        yield finding
    if isinstance(task, dict):
        accepted = {name: value for name, value in task.items() if name not in bad}
        yield from _beyond_schema(accepted, is_parallel_known=not partial and "task_concurrency" not in bad)


def _beyond_schema(task: Mapping[str, Any], *, is_parallel_known: bool) -> Iterator[Finding]:
    """Yield what the schema cannot say of the fields that it accepts; in lists and objects some items may be bad."""
    for name in ("task_name", "task_exec"):
        if name in task and not task[name].strip():
            yield refused((name,), task[name], allowed_words(fields_of("task")[name]))
    yield from _check_schedule(task)
    yield from _check_dependencies(task)
    yield from find_repeated(("task_tags",), task.get("task_tags", []))
    yield from _check_parallel(task, "skip" if is_parallel_known else "allow")
    yield from _check_env_file(task)
    yield from find_in_rules(task.get("task_notify", []))


def _check_schedule(task: Mapping[str, Any]) -> Iterator[Finding]:
    expression, zone = task.get("task_schedule", ""), task.get("task_timezone", "")
    error = _schedule_error(ANY_TIME, zone) if zone else ""
    if error:
        yield Finding(("task_timezone",), error, shorten(zone), "a name of the IANA database")
    error = _schedule_error(expression, ANY_ZONE) if expression else ""
    if error:
        allowed = "a cron expression of five or six fields, an alias such as @daily, or empty text"
        yield Finding(("task_schedule",), error, shorten(expression), allowed)


def _schedule_error(expression: str, zone: str) -> str:
    try:
        parse_schedule(expression, zone)
    except InvalidScheduleError as error:
        return str(error)
    return ""


def _check_dependencies(task: Mapping[str, Any]) -> Iterator[Finding]:
    upstreams, task_id = task.get(FIELD, []), task.get("task_id")
    yield from find_repeated((FIELD,), upstreams)
    if task_id in upstreams:
        path: Keys = (FIELD, upstreams.index(task_id))
        message = f"the dependencies would form a cycle: {task_id} → {task_id}"
        yield Finding(path, message, shorten(task_id), "the id of another task")


def _check_parallel(task: Mapping[str, Any], default: str) -> Iterator[Finding]:
    concurrency = task.get("task_concurrency", default)
    if task.get("task_max_parallel") is not None and concurrency != "allow":
        allowed = f'null unless task_concurrency is "allow" (it is "{concurrency}")'
        yield refused(("task_max_parallel",), task["task_max_parallel"], allowed)


def _check_env_file(task: Mapping[str, Any]) -> Iterator[Finding]:
    path = task.get("task_env", {}).get("_ENV_FILE")
    if isinstance(path, str) and (not path.strip() or path.startswith("/") or ".." in path.split("/")):
        yield refused(("task_env", "_ENV_FILE"), path, "a relative path without ..")
